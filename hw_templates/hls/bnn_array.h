// The array: runs the layers on the activation memory, PE output channels of LANES columns (or
// images) at a time. It owns both memories; weights and the first layer's bits come in by streams
// and are stored while the array multiplies.
#ifndef BNN_ARRAY_H
#define BNN_ARRAY_H

#include "bnn_types.h"

#ifndef __SYNTHESIS__
#include <cstdio>
#include <cstdlib>
#endif

namespace bnn {

#ifndef __SYNTHESIS__
// Called after every layer: layer 0 is the first layer, layer j + 1 is array layer j. `base`,
// `words`: the region of every lane's memory that the layer wrote; it starts with image `first`
// counted from the region's origin. `start`, `images`: the images of the run.
typedef void (*TraceHook)(int layer, int start, int images, int first, int base, int words, const ActMemory act);
extern TraceHook trace_hook;
#endif

// A full adder: three bits of the same weight become one and a carry.
inline void add_bits(bool a, bool b, bool c, bool& sum, bool& carry) {
#pragma HLS INLINE  // part of the array's pipeline
  sum = a ^ b ^ c;
  carry = (a & b) | (a & c) | (b & c);
}

// Number of ones of six bits: every bit of the result is a function of six inputs, one LUT.
inline ap_uint<3> count_six(ap_uint<6> bits) {
#pragma HLS INLINE  // part of the array's pipeline
  bool sum0, carry0, sum1, carry1, twos, fours;
  add_bits(bits[0], bits[1], bits[2], sum0, carry0);
  add_bits(bits[3], bits[4], bits[5], sum1, carry1);
  add_bits(carry0, carry1, sum0 & sum1, twos, fours);
  ap_uint<3> count = 0;
  count[0] = sum0 ^ sum1;
  count[1] = twos;
  count[2] = fours;
  return count;
}

// Number of bits in which the vectors agree. Three pairs of bits are six inputs: a LUT for the sum and
// one for the carry. Their counts follow in sixes, so that little is left for adders with carry chains.
inline Acc count_matches(Vector a, Vector b) {
#pragma HLS INLINE  // part of the array's pipeline
#if defined(__SYNTHESIS__) || defined(BNN_CSIM_COMPRESSORS)
  constexpr int SIXES = (SIMD + 17) / 18;  // of triples
  ap_uint<6 * SIXES> ones = 0, twos = 0;
  for (int t = 0; t < (SIMD + 2) / 3; ++t) {
#pragma HLS UNROLL  // first level of compressors
    bool match[3];
    for (int k = 0; k < 3; ++k) {
#pragma HLS UNROLL  // inputs of one compressor
      match[k] = 3 * t + k < SIMD && a[3 * t + k] == b[3 * t + k];
    }
    bool sum, carry;
    add_bits(match[0], match[1], match[2], sum, carry);
    ones[t] = sum;
    twos[t] = carry;
  }
  Acc count = 0;
  for (int s = 0; s < SIXES; ++s) {
#pragma HLS UNROLL  // second level, and the adder tree
    count += Acc(count_six(ap_uint<6>(ones >> (6 * s)))) + (Acc(count_six(ap_uint<6>(twos >> (6 * s)))) << 1);
  }
  return count;
#else
  const Vector match = ~(a ^ b);
  int total = 0;
  for (int i = 0; i < SIMD; i += 64) {
    total += __builtin_popcountll(ap_uint<64>(match >> i).to_uint64());
  }
  return Acc(unsigned(total));
#endif
}

// The weight memory as a ring. Words are counted over the whole run; the counters wrap together.
struct Ring {
  unsigned received;  // words stored
  unsigned released;  // words that may be overwritten
  int beat;           // beats of the next word that are there
  Vector vector;      // of one PE, where it takes several beats
};

// The first layer's slices, counted over the whole run.
struct Ahead {
  unsigned stored;
  unsigned limit;  // slices that may be stored
};

// A layer's command, decoded.
struct Layer {
  bool wide, pool, serial, score, dense, pad_one;
  int pad, taps;
  int groups, tap_words, rows, blocks, group_words, outputs;
  int height, width;
  int source, src_image, src_row;
  int dst, dst_image, dst_row, dst_words, out_columns;
  int last_bits;
  int images, write_first;
};

// Stores a beat of weights if there is one and the ring has room.
inline void receive_weights(BeatStream& weights_in, Ring& ring, WeightMemory weights) {
#pragma HLS INLINE  // part of the caller's pipeline
  constexpr int BEATS = SIMD >= 64 ? SIMD / 64 : 1;   // beats of one PE's vector
  constexpr int PES = SIMD >= 64 ? 1 : 64 / SIMD;     // PEs of one beat
  constexpr int REST = SIMD > 64 ? SIMD - 64 : 0;     // bits of a vector from earlier beats
  Beat data = 0;
  if (ring.received - ring.released == unsigned(WEIGHT_DEPTH) || !take(weights_in, data)) return;
  const int address = int(ring.received & unsigned(WEIGHT_DEPTH - 1));
  const int first = ring.beat / BEATS * PES;
  ring.vector = REST > 0 ? Vector(Vector(data) << REST | ring.vector >> (SIMD - REST)) : Vector(data);
  if (ring.beat % BEATS == BEATS - 1) {
    for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // every PE has its own memory
      if (p / PES * PES == first) {
        weights[p][address] = PES == 1 ? ring.vector : Vector(data >> (p % PES * SIMD));
      }
    }
  }
  if (++ring.beat == WORD_BEATS) {
    ring.beat = 0;
    ++ring.received;
  }
}

// The write ports of the activation memory in one cycle: `bits` go to slices `slice` to
// `slice + slices - 1` of the lanes that are `on`. The write that starts a word clears the rest of it.
inline void write_lanes(const bool on[LANES], const int address[LANES], const ap_uint<PE> bits[LANES], int slice,
                        int slices, ActMemory act) {
#pragma HLS INLINE  // part of the caller's pipeline
  for (int m = 0; m < LANES; ++m) {
#pragma HLS UNROLL  // every lane has its own memory
    if (!on[m]) continue;
    for (int s = 0; s < SLICES; ++s) {
#pragma HLS UNROLL  // every slice has its own memory
      const int from = s - slice;
      const bool mine = from >= 0 && from < slices;
      if (mine || slice == 0) {
        act[m][s][address[m]] = mine ? Slice(bits[m] >> (from * FIRST_PE)) : Slice(0);
      }
    }
  }
}

// Takes a slice of the first layer if there is one and its buffer is free, for `write_lanes`;
// returns the slice's number.
inline int take_ahead(WriteStream& first, Ahead& ahead, bool on[LANES], int address[LANES], ap_uint<PE> bits[LANES]) {
#pragma HLS INLINE  // part of the caller's pipeline
  SliceWrite item = 0;
  if (ahead.stored == ahead.limit || !take(first, item)) return 0;
  ++ahead.stored;
  const int lane = int(ap_uint<4>(item >> (FIRST_PE + 24)).to_uint());
  for (int m = 0; m < LANES; ++m) {
#pragma HLS UNROLL  // wires
    on[m] = m == lane;
    address[m] = int(ap_uint<16>(item >> (FIRST_PE + 8)).to_uint());
    bits[m] = ap_uint<PE>(Slice(item));
  }
  return int(ap_uint<8>(item >> FIRST_PE).to_uint());
}

// In C simulation the producers have ended before: what is not there will never come.
inline void check_supply(BeatStream& weights_in, WriteStream& first) {
#if !defined(__SYNTHESIS__) && !defined(BNN_CSIM_THREADS)
  if (weights_in.empty() && first.empty()) {
    std::fprintf(stderr, "the array waits for data that nobody sends\n");
    std::exit(3);
  }
#else
  (void)weights_in;
  (void)first;
#endif
}

// A cycle in which the array has nothing to multiply.
inline void wait_cycle(BeatStream& weights_in, WriteStream& first, Ring& ring, Ahead& ahead, WeightMemory weights,
                       ActMemory act) {
#pragma HLS INLINE  // part of the caller's pipeline
  bool on[LANES] = {};
  int address[LANES] = {};
  ap_uint<PE> bits[LANES];
#pragma HLS ARRAY_PARTITION variable=on type=complete       // wires
#pragma HLS ARRAY_PARTITION variable=address type=complete  // wires
#pragma HLS ARRAY_PARTITION variable=bits type=complete     // wires
  const int slice = take_ahead(first, ahead, on, address, bits);
  write_lanes(on, address, bits, slice, 1, act);
  receive_weights(weights_in, ring, weights);
}

// A layer's command as the array uses it.
inline Layer decode(const Word d[D_WORDS]) {
#pragma HLS INLINE  // wires
  Layer f;
  f.wide = get(d, D_KERNEL3) != 0;
  f.pool = get(d, D_POOL) != 0;
  f.serial = get(d, D_SERIAL) != 0;
  f.score = get(d, D_SCORES) != 0;
  f.dense = get(d, D_DENSE) != 0;
  f.pad_one = get(d, D_PAD_ONE) != 0;
  f.pad = get(d, D_PAD);
  f.taps = f.wide ? 3 : 1;
  f.groups = low16(d[D_GROUPS]);
  f.tap_words = low16(d[D_TAP_WORDS]);
  f.rows = low16(d[D_ROWS]);
  f.blocks = low16(d[D_BLOCKS]);
  f.group_words = low16(d[D_GROUP_WORDS]);
  f.outputs = low16(d[D_OUTPUTS]);
  f.height = get(d, D_HEIGHT);
  f.width = get(d, D_WIDTH);
  f.source = low16(d[R_SOURCE]);
  f.src_image = low16(d[D_SOURCE_IMAGE_STRIDE]);
  f.src_row = low16(d[D_SOURCE_ROW_STRIDE]);
  f.dst = low16(d[D_DEST_BASE]);
  f.dst_image = low16(d[D_DEST_IMAGE_STRIDE]);
  f.dst_row = low16(d[D_DEST_ROW_STRIDE]);
  f.dst_words = low16(d[D_DEST_WORDS]);
  f.out_columns = low16(d[D_OUT_COLUMNS]);
  f.last_bits = low16(d[D_LAST_BITS]);
  f.images = low16(d[R_IMAGES]);
  f.write_first = low16(d[R_WRITE_FIRST]);
  return f;
}

// Runs group `group` of a layer, whose words start at `position` of the ring. A cycle multiplies one
// input word of LANES columns with PE weight vectors; finished bits leave in the next cycle, or one
// lane (serial) or one score a cycle while the next sum goes on. Returns the cycles it took.
inline unsigned run_group(const Layer& f, int group, unsigned position, BeatStream& weights_in, WriteStream& first,
                          ScoreStream& scores, Ring& ring, Ahead& ahead, WeightMemory weights, ActMemory act,
                          unsigned& busy) {
  const int images = f.dense ? round_up(f.images, LANES) : f.images;
  const int channel = group * PE;
  const int channels = smaller(f.outputs - channel, PE);
  const int out_word = channel >> SIMD_BITS, out_slice = (channel & (SIMD - 1)) / FIRST_PE;
  const Vector ones = ~Vector(0);
  const Vector last_pad = f.last_bits >= SIMD ? ones : Vector(~(ones << f.last_bits));

  Acc threshold[PE];
  ap_uint<PE> flip = 0;
  Score offset[PE];
  ap_int<16> scale[PE];
  Acc acc[PE][LANES];
  Acc held[PE][LANES];           // finished sums of a score layer
  ap_uint<PE> upper[LANES / 2];  // the pool's upper row
  ap_uint<PE> out[LANES];        // finished bits
#pragma HLS ARRAY_PARTITION variable=threshold type=complete  // every PE uses its own each cycle
#pragma HLS ARRAY_PARTITION variable=offset type=complete     // loaded for all PEs at once
#pragma HLS ARRAY_PARTITION variable=scale type=complete      // loaded for all PEs at once
#pragma HLS ARRAY_PARTITION variable=acc type=complete dim=0  // all accumulators add each cycle
#pragma HLS ARRAY_PARTITION variable=held type=complete dim=0  // all sums finish in the same cycle
#pragma HLS ARRAY_PARTITION variable=upper type=complete      // all lanes pool in the same cycle
#pragma HLS ARRAY_PARTITION variable=out type=complete        // all lanes finish in the same cycle

  const int header = int(position & unsigned(WEIGHT_DEPTH - 1));
  const int second_header = (header + 1) & (WEIGHT_DEPTH - 1);
  const int first_weight = (header + (f.score ? S_WORDS : T_WORDS)) & (WEIGHT_DEPTH - 1);
  for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // every PE has its own weight memory
    const Vector word = weights[p][header];
    threshold[p] = Acc(word);
    flip[p] = word[T_FLIP.low];
    offset[p] = Score(ap_uint<32>(word));
    scale[p] = ap_int<16>(ap_uint<16>(weights[p][second_header]));
    for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // registers
      acc[p][l] = 0;
      held[p][l] = 0;
    }
  }
  for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // registers
    out[l] = 0;
    upper[l / 2] = 0;
  }

  int i = 0, y = 0, b = 0, dy = 0, ky = 0, kx = 0, c = 0, weight = first_weight;
  int pending = 0;                         // writes left for the finished block
  int next = 0;                            // next lane to write
  int next_channel = 0;                    // next score of that lane
  int done_i = 0, done_y = 0, done_b = 0;  // the finished block
  unsigned cycles = 0;
  bool more = images > 0;
step:
  while (more || pending > 0) {
#pragma HLS PIPELINE II=1  // the array multiplies every cycle
#pragma HLS DEPENDENCE variable=act type=inter dependent=false      // source, destination and the first layer's next buffer do not overlap
#pragma HLS DEPENDENCE variable=weights type=inter dependent=false  // words that arrive now are read in a later call
    const bool last_word = ky == f.taps - 1 && kx == f.taps - 1 && c == f.tap_words - 1;
    const bool stall = last_word && pending > 1;  // the block before has not left yet
    const bool compute = more && !stall;
    ++cycles;

    // The write ports: finished bits first, else the first layer.
    bool on[LANES] = {};
    int address[LANES] = {};
    ap_uint<PE> bits[LANES];
#pragma HLS ARRAY_PARTITION variable=on type=complete       // wires
#pragma HLS ARRAY_PARTITION variable=address type=complete  // wires
#pragma HLS ARRAY_PARTITION variable=bits type=complete     // wires
    int slice = out_slice, slices = PE / FIRST_PE;
    if (pending > 0 && !f.score) {
      const int valid = f.pool ? LANES / 2 : LANES;
      const int first_x = done_b * valid;
      const int number = f.write_first + done_i;
      const int serial_x = first_x + next;
      const int row = f.dst + done_y * f.dst_row + out_word;
      const int in_serial = row + (number >> LANE_BITS) * f.dst_image + serial_x * f.dst_words;
      const int in_pixels = row + done_i * f.dst_image;
      for (int m = 0; m < LANES; ++m) {
#pragma HLS UNROLL  // every lane writes its own memory
        const int lane = f.serial ? next : (m - first_x) & LANE_MASK;
        const int x = first_x + lane;
        on[m] = f.serial ? m == (number & LANE_MASK) && serial_x < f.out_columns : lane < valid && x < f.out_columns;
        address[m] = f.serial ? in_serial : in_pixels + (x >> LANE_BITS) * f.dst_words;
        bits[m] = out[lane];
      }
      ++next;
      --pending;
    } else {
      slice = take_ahead(first, ahead, on, address, bits);
      slices = 1;
    }
    write_lanes(on, address, bits, slice, slices, act);
    receive_weights(weights_in, ring, weights);

    if (pending > 0 && f.score) {
      const ap_int<ACC_BITS + 1> sum = ap_int<ACC_BITS + 1>(held[next_channel][next]);
      scores.write(Score(scale[next_channel] * sum + offset[next_channel]));
      if (++next_channel == channels) {
        next_channel = 0;
        ++next;
      }
      --pending;
    }

    // One word of the sum.
    if (compute) {
      const int row = y + dy + ky - f.pad;
      const int left = b * LANES + kx - f.pad;
      const bool row_inside = row >= 0 && row < f.height;
      const int line = f.source + i * f.src_image + row * f.src_row + c;
      Vector read[LANES];
#pragma HLS ARRAY_PARTITION variable=read type=complete  // all lanes read in the same cycle
      for (int m = 0; m < LANES; ++m) {
#pragma HLS UNROLL  // every lane's memory is read once
        const int x = left + ((m - left) & LANE_MASK);
        const bool inside = row_inside && x >= 0 && x < f.width;
        const int from = inside ? line + (x >> LANE_BITS) * f.tap_words : 0;
        Vector word = 0;
        for (int s = 0; s < SLICES; ++s) {
#pragma HLS UNROLL  // the slices of a word
          word |= Vector(act[m][s][from]) << (s * FIRST_PE);
        }
        const Vector padding = !f.pad_one ? Vector(0) : c == f.tap_words - 1 ? last_pad : ones;
        read[m] = inside ? word : padding;
      }
      const bool first_word = ky == 0 && kx == 0 && c == 0;
      for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // PE output channels
        const Vector vector = weights[p][weight];
        for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // LANES columns or images
          acc[p][l] = Acc((first_word ? Acc(0) : acc[p][l]) + count_matches(vector, read[(left + l) & LANE_MASK]));
        }
      }
      ++busy;

      if (last_word) {
        ap_uint<PE> hit[LANES];
#pragma HLS ARRAY_PARTITION variable=hit type=complete  // all lanes finish in the same cycle
        for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // LANES columns or images
          hit[l] = 0;
          for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // PE output channels
            hit[l][p] = acc[p][l] >= threshold[p];
            held[p][l] = acc[p][l];
          }
        }
        for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // LANES columns or images
          if (!f.pool) out[l] = hit[l] ^ flip;
        }
        for (int j = 0; j < LANES / 2; ++j) {
#pragma HLS UNROLL  // pairs of columns
          const ap_uint<PE> pair = hit[2 * j] | hit[2 * j + 1];
          if (f.pool && dy == 1) out[j] = (upper[j] | pair) ^ flip;
          if (f.pool && dy == 0) upper[j] = pair;
        }
        if (!f.pool || dy == 1) {
          pending = f.score ? smaller(f.images - i * LANES, LANES) * channels
                            : !f.serial ? 1 : f.pool ? LANES / 2 : LANES;
          next = 0;
          done_i = i;
          done_y = f.pool ? y / 2 : y;
          done_b = b;
        }
      }

      // The next word: c, kx, ky, dy, b, y, i from the inside out.
      weight = last_word ? first_weight : (weight + 1) & (WEIGHT_DEPTH - 1);
      if (++c == f.tap_words) {
        c = 0;
        if (++kx == f.taps) {
          kx = 0;
          if (++ky == f.taps) {
            ky = 0;
            if (++dy == (f.pool ? 2 : 1)) {
              dy = 0;
              if (++b == f.blocks) {
                b = 0;
                y += f.pool ? 2 : 1;
                if (y >= f.rows) {
                  y = 0;
                  more = ++i < images;
                }
              }
            }
          }
        }
      }
    }
  }
  return cycles;
}

// The process. `busy_out`: cycles in which the array multiplied. `cycles_out`: cycles in which it
// multiplied, wrote or waited for data; the few in between, to fill a pipeline, are not in it.
inline void array(WordStream& commands, BeatStream& weights_in, WriteStream& first, ScoreStream& scores,
                  unsigned* busy_out, unsigned* cycles_out) {
  static ActMemory act;
#pragma HLS ARRAY_PARTITION variable=act type=complete dim=1  // every lane has its own port
#pragma HLS ARRAY_PARTITION variable=act type=complete dim=2  // every slice has its own write enable
#pragma HLS BIND_STORAGE variable=act type=ram_s2p impl=bram  // one read and one write port
  static WeightMemory weights;
#pragma HLS ARRAY_PARTITION variable=weights type=complete dim=1  // every PE reads each cycle
#pragma HLS BIND_STORAGE variable=weights type=ram_s2p impl=bram  // one read and one write port

  Ring ring = {0, 0, 0, 0};
  Ahead ahead = {0, 0};
  unsigned busy = 0, cycles = 0;
  bool finished = false;
layers:
  while (!finished) {
    Word d[D_WORDS];
#pragma HLS ARRAY_PARTITION variable=d type=complete  // the fields are used together in every cycle
    int fields = 0;
  command:
    while (fields < D_WORDS) {
#pragma HLS PIPELINE II=1  // one word a cycle
#pragma HLS DEPENDENCE variable=act type=inter dependent=false      // only written
#pragma HLS DEPENDENCE variable=weights type=inter dependent=false  // only written
      // Data is taken here too: `control` may be waiting for the first layer, which waits for the array.
      if (take(commands, d[fields])) ++fields;
      wait_cycle(weights_in, first, ring, ahead, weights, act);
      ++cycles;
    }
    const Layer f = decode(d);
    const int groups = f.groups;  // 0 in a command that only sets the limit or ends the run
    const unsigned group_words = unsigned(f.group_words) + (f.score ? 2U : 1U);
    unsigned position = d[R_POSITION].to_uint();
    finished = d[R_FINISH] != 0;
    if (!finished) ahead.limit = d[R_FIRST_LIMIT].to_uint();
  first_bits:
    while (!finished && int(ahead.stored - d[R_FIRST_NEED].to_uint()) < 0) {
#pragma HLS PIPELINE II=1  // a slice and a beat a cycle
#pragma HLS DEPENDENCE variable=act type=inter dependent=false      // only written
#pragma HLS DEPENDENCE variable=weights type=inter dependent=false  // only written
      check_supply(weights_in, first);
      wait_cycle(weights_in, first, ring, ahead, weights, act);
      ++cycles;
    }
#ifndef __SYNTHESIS__
    if (trace_hook != nullptr && !finished && get(d, D_FROM_FIRST)) {
      const int blocks = f.dense ? round_up(f.images, LANES) : f.images;
      trace_hook(0, to_int(d[R_START]), f.images, 0, f.source, blocks * f.src_image, act);
    }
#endif
  groups:
    for (int g = 0; g < groups; ++g) {
    group_weights:
      while (int(ring.received - position - group_words) < 0) {
#pragma HLS PIPELINE II=1  // a slice and a beat a cycle
#pragma HLS DEPENDENCE variable=act type=inter dependent=false      // only written
#pragma HLS DEPENDENCE variable=weights type=inter dependent=false  // only written
        check_supply(weights_in, first);
        wait_cycle(weights_in, first, ring, ahead, weights, act);
        ++cycles;
      }
      cycles += run_group(f, g, position, weights_in, first, scores, ring, ahead, weights, act, busy);
      position += group_words;
      if (d[R_RELEASE] != 0) ring.released = position;
    }
#ifndef __SYNTHESIS__
    if (trace_hook != nullptr && groups > 0 && !f.score) {
      const bool by_image = f.dense || f.serial;
      const int skip = by_image ? f.write_first / LANES : 0;
      const int blocks = by_image ? round_up(f.write_first + f.images, LANES) - skip : f.images;
      trace_hook(to_int(d[R_LAYER]) + 1, to_int(d[R_START]), f.images, f.write_first - skip * LANES,
                 f.dst + skip * f.dst_image, blocks * f.dst_image, act);
    }
#endif
  }
  *busy_out = busy;
  *cycles_out = cycles;
}

}  // namespace bnn

#endif
