// The array: runs the layers on the activation memory, PE output channels of LANES columns (or
// images) at a time. It owns both memories; weights and the first layer's bits come in by streams
// and are stored while the array multiplies.
//
// Every loop of one cycle per iteration reads the memories first and writes them last: a read that
// follows a write in the code has to wait for it, even where the two never meet, and what is written
// depends on what was read.
#ifndef BNN_ARRAY_H
#define BNN_ARRAY_H

#include "bnn_dot.h"
#include "bnn_loop.h"
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

// A tile of the array has registers of its own for its operands: none drives more than TILE dot products.
constexpr int TILE = 4;
constexpr int TILE_LANES = LANES < TILE ? LANES : TILE;
constexpr int GROUP_SLICES = PE / FIRST_PE;  // slices of a word that a group writes

// The weight memory as a ring.
struct Ring {
  Quota room;         // words that may be stored
  unsigned received;  // words stored since the start of the run, less those of `room`
  Index address;      // of the next word
  int beat;           // beats of it that are there
  Vector vector;      // of one PE, where it takes several beats
};

// The first layer's slices.
struct Ahead {
  Quota room;       // slices that may be stored
  unsigned limit;   // the last one of these, counted from the start of the run
};

// A layer's command, decoded.
struct Layer {
  bool wide, pool, serial, score, dense, pad_one;
  int pad;
  Index groups, tap_words, rows, blocks, group_words, outputs;
  Index height, width;
  Index source, src_image, src_row;
  Index dst, dst_image, dst_row, dst_words, out_columns;
  Index last_bits;
  Index images, write_first;
};

// A word of a sum: image, row (or pair of rows with a pool), block of columns, upper or lower row of the
// pool, row and column of the kernel, word of the tap. `weight` is the place of its weights.
struct Position {
  Counter image, row, block, lower, ky, kx, word;
  Index weight;
  Counter words;  // of the sum
  Counter turn;   // cycle of the block
};

// The limits of a group's counters.
struct Limits {
  Limit image, row, block, lower, ky, kx, word, words;
  Limit turn;         // cycles of a block: its words, or more where the block before takes longer to leave
  Limit lanes, rest;  // lanes of a block that leave one after the other, and those of the last one
  Limit channels;     // scores of a lane
};

// The finished block, while it leaves.
struct Leaving {
  bool on;
  Index image, row, block;
  Counter lane, channel;
  Limit lanes;
};

// Stores a beat of weights if there is one and the ring has room. Returns whether a word is complete.
inline bool receive_weights(BeatStream& weights_in, Ring& ring, WeightMemory weights) {
#pragma HLS INLINE  // part of the caller's pipeline
  constexpr int BEATS = SIMD >= 64 ? SIMD / 64 : 1;   // beats of one PE's vector
  constexpr int PES = SIMD >= 64 ? 1 : 64 / SIMD;     // PEs of one beat
  constexpr int REST = SIMD > 64 ? SIMD - 64 : 0;     // bits of a vector from earlier beats
  Beat data = 0;
  if (!ring.room.open || !take(weights_in, data)) return false;
  const int first = ring.beat / BEATS * PES;
  const bool last = ring.beat == WORD_BEATS - 1;
  ring.vector = REST > 0 ? Vector(Vector(data) << REST | ring.vector >> (SIMD - REST)) : Vector(data);
  if (ring.beat % BEATS == BEATS - 1) {
  pes:
    for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // every PE has its own memory
      if (p / PES * PES == first) {
        weights[p][ring.address] = PES == 1 ? ring.vector : Vector(data >> (p % PES * SIMD));
      }
    }
  }
  ring.beat = last ? 0 : ring.beat + 1;
  ring.address = last ? Index((ring.address + 1) & (WEIGHT_DEPTH - 1)) : ring.address;
  take(ring.room, last);
  return last;
}

// An address has as many bits as the memory: what a damaged program computes beyond them is dropped.
inline int wrapped(int address) {
#pragma HLS INLINE  // wires
  return address & (ACT_DEPTH - 1);
}

// The write ports of the activation memory in one cycle: of the lanes that are `on`, slices `slice` to
// `slice + slices - 1` of the word at `address`. `bits` has every slice in its place, modulo PE bits. The
// write that starts a word clears the rest of it.
inline void write_lanes(const bool on[LANES], int address, const ap_uint<PE> bits[LANES], int slice, int slices,
                        ActMemory act) {
#pragma HLS INLINE  // part of the caller's pipeline
lanes:
  for (int m = 0; m < LANES; ++m) {
#pragma HLS UNROLL  // every lane has its own memory
    if (!on[m]) continue;
  slices:
    for (int s = 0; s < SLICES; ++s) {
#pragma HLS UNROLL  // every slice has its own memory
      const bool mine = s >= slice && s < slice + slices;
      if (mine || slice == 0) {
        act[m][s][wrapped(address)] = mine ? Slice(bits[m] >> (s % GROUP_SLICES * FIRST_PE)) : Slice(0);
      }
    }
  }
}

// Takes a slice of the first layer, for `write_lanes`, if it is `free` to, there is one and its buffer is free. Returns
// whether it did.
inline bool take_ahead(WriteStream& first, Ahead& ahead, bool free, bool on[LANES], int& address,
                       ap_uint<PE> bits[LANES], int& slice) {
#pragma HLS INLINE  // part of the caller's pipeline
  SliceWrite item = 0;
  const bool taken = free && ahead.room.open && take(first, item);
  const int lane = int(ap_uint<4>(item >> (FIRST_PE + 24)).to_uint());
  address = int(ap_uint<16>(item >> (FIRST_PE + 8)).to_uint());
  slice = int(ap_uint<8>(item >> FIRST_PE).to_uint());
lanes:
  for (int m = 0; m < LANES; ++m) {
#pragma HLS UNROLL  // wires
    on[m] = taken && m == lane;
  slices:
    for (int s = 0; s < GROUP_SLICES; ++s) {
#pragma HLS UNROLL  // wires
      bits[m].range(s * FIRST_PE + FIRST_PE - 1, s * FIRST_PE) = Slice(item);
    }
  }
  take(ahead.room, taken);
  return taken;
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

// A cycle in which the array has nothing to multiply; tells whether a slice and the last beat of a word came.
inline void wait_cycle(BeatStream& weights_in, WriteStream& first, Ring& ring, Ahead& ahead, WeightMemory weights,
                       ActMemory act, bool& slice, bool& word) {
#pragma HLS INLINE  // part of the caller's pipeline
  bool on[LANES];
  ap_uint<PE> bits[LANES];
#pragma HLS ARRAY_PARTITION variable=on type=complete    // wires
#pragma HLS ARRAY_PARTITION variable=bits type=complete  // wires
  int address, place;
  slice = take_ahead(first, ahead, true, on, address, bits, place);
  write_lanes(on, address, bits, place, 1, act);
  word = receive_weights(weights_in, ring, weights);
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
  f.groups = index(d[D_GROUPS]);
  f.tap_words = index(d[D_TAP_WORDS]);
  f.rows = index(d[D_ROWS]);
  f.blocks = index(d[D_BLOCKS]);
  f.group_words = index(d[D_GROUP_WORDS]);
  f.outputs = index(d[D_OUTPUTS]);
  f.height = Index(get(d, D_HEIGHT));
  f.width = Index(get(d, D_WIDTH));
  f.source = index(d[R_SOURCE]);
  f.src_image = index(d[D_SOURCE_IMAGE_STRIDE]);
  f.src_row = index(d[D_SOURCE_ROW_STRIDE]);
  f.dst = index(d[D_DEST_BASE]);
  f.dst_image = index(d[D_DEST_IMAGE_STRIDE]);
  f.dst_row = index(d[D_DEST_ROW_STRIDE]);
  f.dst_words = index(d[D_DEST_WORDS]);
  f.out_columns = index(d[D_OUT_COLUMNS]);
  f.last_bits = index(d[D_LAST_BITS]);
  f.images = index(d[R_IMAGES]);
  f.write_first = index(d[R_WRITE_FIRST]);
  return f;
}

// The limits of a group's counters.
inline Limits limits_of(const Layer& f, int channels) {
#pragma HLS INLINE  // once a group
  const int images = f.dense ? round_up(f.images, LANES) : f.images;
  const int lanes = f.score ? LANES : !f.serial ? 1 : f.pool ? LANES / 2 : LANES;
  const int rest = f.score ? f.images - (images - 1) * LANES : lanes;
  const int leaving = f.score ? lanes * channels : lanes;
  const int steps = f.pool ? 2 * f.group_words : int(f.group_words);
  Limits limits;
  limits.image = limit_of(images);
  limits.row = limit_of(f.pool ? f.rows / 2 : f.rows);
  limits.block = limit_of(f.blocks);
  limits.lower = limit_of(f.pool ? 2 : 1);
  limits.ky = limit_of(f.wide ? 3 : 1);
  limits.kx = limits.ky;
  limits.word = limit_of(f.tap_words);
  limits.words = limit_of(f.group_words);
  limits.turn = limit_of(larger(steps, leaving));
  limits.lanes = limit_of(lanes);
  limits.rest = limit_of(rest);
  limits.channels = limit_of(f.score ? channels : 1);
  return limits;
}

// Reads the array's operands: a word of LANES columns in their order, and a vector of every PE.
inline void fetch(const Layer& f, const Position& at, const ActMemory act, const WeightMemory weights,
                  Vector columns[LANES], Vector vectors[PE]) {
#pragma HLS INLINE  // part of the caller's pipeline
  const Vector ones = ~Vector(0);
  const Vector last_pad = f.last_bits >= SIMD ? ones : Vector(~(ones << f.last_bits));
  const bool last = at.word.last;
  const int row = (f.pool ? 2 * at.row.value + at.lower.value : int(at.row.value)) + at.ky.value - f.pad;
  const int shift = at.kx.value - f.pad;  // of the first lane's column from the block's first
  const bool row_inside = row >= 0 && row < f.height;
  const int line = f.source + at.image.value * f.src_image + row * f.src_row + at.block.value * f.tap_words +
                   at.word.value;
  Vector read[LANES];
#pragma HLS ARRAY_PARTITION variable=read type=complete  // all lanes read in the same cycle
memories:
  for (int m = 0; m < LANES; ++m) {
#pragma HLS UNROLL  // every lane's memory is read once
    const int next = m < shift ? 1 : m - shift >= LANES ? -1 : 0;  // its column's block, from this one
    const int x = (at.block.value + next) * LANES + m;
    const bool inside = row_inside && x >= 0 && x < f.width;
    const int from = line + (next > 0 ? int(f.tap_words) : next < 0 ? -int(f.tap_words) : 0);
    Vector word = 0;
  slices:
    for (int s = 0; s < SLICES; ++s) {
#pragma HLS UNROLL  // the slices of a word
      word.range(s * FIRST_PE + FIRST_PE - 1, s * FIRST_PE) = act[m][s][inside ? wrapped(from) : 0];
    }
    const Vector padding = !f.pad_one ? Vector(0) : last ? last_pad : ones;
    read[m] = inside ? word : padding;
  }
lanes:
  for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // a choice of four
    columns[l] = read[(l + (shift == 0 ? 0 : shift == 1 ? 1 : shift == 2 ? 2 : LANES - 1)) % LANES];
  }
pes:
  for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // every PE's memory is read once
    vectors[p] = weights[p][at.weight];
  }
}

// A register of one operand.
inline void keep(const Operand& in, Operand& out) {
#pragma HLS INLINE off           // one for every call
#pragma HLS PIPELINE II=1        // takes an operand every cycle
#pragma HLS LATENCY min=1 max=1  // gives it in the next
  out = in;
}

// Matches of every PE of a tile with every one of its lanes.
inline void count_tile(const Operand weights[TILE], const Operand acts[TILE_LANES], Count counts[TILE][TILE_LANES]) {
#pragma HLS INLINE off     // synthesised once, and placed near its registers
#pragma HLS PIPELINE II=1  // part of the array's pipeline
#pragma HLS ARRAY_PARTITION variable=weights type=complete       // used together
#pragma HLS ARRAY_PARTITION variable=acts type=complete          // used together
#pragma HLS ARRAY_PARTITION variable=counts type=complete dim=0  // used together
  Operand weight[TILE], activation[TILE_LANES];
#pragma HLS ARRAY_PARTITION variable=weight type=complete      // the tile's registers
#pragma HLS ARRAY_PARTITION variable=activation type=complete  // the tile's registers
pes:
  for (int p = 0; p < TILE; ++p) {
#pragma HLS UNROLL  // registers
    keep(weights[p], weight[p]);
  }
lanes:
  for (int l = 0; l < TILE_LANES; ++l) {
#pragma HLS UNROLL  // registers
    keep(acts[l], activation[l]);
  }
rows:
  for (int p = 0; p < TILE; ++p) {
#pragma HLS UNROLL  // output channels
  columns:
    for (int l = 0; l < TILE_LANES; ++l) {
#pragma HLS UNROLL  // columns or images
      counts[p][l] = count_matches(weight[p], activation[l]);
    }
  }
}

// Matches of every PE with every lane.
inline void count_all(const Vector vectors[PE], const Vector columns[LANES], Count counts[PE][LANES]) {
#pragma HLS INLINE  // part of the caller's pipeline
  Operand weights[PE], acts[LANES];
#pragma HLS ARRAY_PARTITION variable=weights type=complete  // used together
#pragma HLS ARRAY_PARTITION variable=acts type=complete     // used together
pes:
  for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // output channels
    weights[p] = operand(vectors[p], true);
  }
lanes:
  for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // columns or images
    acts[l] = operand(columns[l], false);
  }
tile_rows:
  for (int p = 0; p < PE; p += TILE) {
#pragma HLS UNROLL  // output channels
  tile_columns:
    for (int l = 0; l < LANES; l += TILE_LANES) {
#pragma HLS UNROLL  // columns or images
      Operand tile_weights[TILE], tile_acts[TILE_LANES];
      Count tile[TILE][TILE_LANES];
#pragma HLS ARRAY_PARTITION variable=tile_weights type=complete  // wires
#pragma HLS ARRAY_PARTITION variable=tile_acts type=complete     // wires
#pragma HLS ARRAY_PARTITION variable=tile type=complete dim=0    // wires
    tile_pes:
      for (int r = 0; r < TILE; ++r) {
#pragma HLS UNROLL  // wires
        tile_weights[r] = weights[p + r];
      }
    tile_lanes:
      for (int c = 0; c < TILE_LANES; ++c) {
#pragma HLS UNROLL  // wires
        tile_acts[c] = acts[l + c];
      }
      count_tile(tile_weights, tile_acts, tile);
    rows:
      for (int r = 0; r < TILE; ++r) {
#pragma HLS UNROLL  // wires
      columns:
        for (int c = 0; c < TILE_LANES; ++c) {
#pragma HLS UNROLL  // wires
          counts[p + r][l + c] = tile[r][c];
        }
      }
    }
  }
}

// The finished block's bits, for `write_lanes`. The address is that of the layer's first output word.
inline void write_block(const Layer& f, const Leaving& block, const ap_uint<PE> out[LANES], bool on[LANES],
                        int& address, ap_uint<PE> bits[LANES]) {
#pragma HLS INLINE  // part of the caller's pipeline
  const int first_x = block.block * (f.pool ? LANES / 2 : LANES);
  const int serial_x = first_x + block.lane.value;
  const int number = f.write_first + block.image;
  const int image = f.serial ? number >> LANE_BITS : int(block.image);
  const int column = f.serial ? serial_x : first_x >> LANE_BITS;
  address = f.dst + image * f.dst_image + block.row * f.dst_row + column * f.dst_words;
lanes:
  for (int m = 0; m < LANES; ++m) {
#pragma HLS UNROLL  // every lane writes its own memory
    const int pooled = m % (LANES / 2);
    const bool half = (m >= LANES / 2) == (block.block % 2 == 1);  // of the lanes that a pooled block goes to
    const int x = first_x + (f.pool ? pooled : m);
    on[m] = f.serial ? m == (number & LANE_MASK) && serial_x < f.out_columns
                     : (!f.pool || half) && x < f.out_columns;
    bits[m] = f.serial ? out[block.lane.value] : f.pool ? out[pooled] : out[m];
  }
}

// Runs group `group` of a layer, whose words start at `position` of the ring. A cycle multiplies one
// input word of LANES columns with PE weight vectors; finished bits leave in the next cycle, or one
// lane (serial) or one score a cycle while the next sum goes on. A block takes at least as many cycles
// as it takes to leave, so that the array never has to look whether the block before has left.
// Returns the cycles it took.
inline unsigned run_group(const Layer& f, int group, unsigned position, BeatStream& weights_in, WriteStream& first,
                          ScoreStream& scores, Ring& ring, Ahead& ahead, WeightMemory weights, ActMemory act,
                          unsigned& busy) {
  const int channel = group * PE;
  const int channels = smaller(f.outputs - channel, PE);
  const int out_word = channel >> SIMD_BITS, out_slice = (channel & (SIMD - 1)) / FIRST_PE;
  const int header = int(position & unsigned(WEIGHT_DEPTH - 1));
  const int second_header = (header + 1) & (WEIGHT_DEPTH - 1);
  const Index first_weight = Index((header + (f.score ? S_WORDS : T_WORDS)) & (WEIGHT_DEPTH - 1));

  Acc start[PE];           // of an accumulator: minus the threshold, so that the sum's sign is the bit
  ap_uint<PE> flip = 0;
  Score offset[PE];
  ap_int<S_SCALE.bits> scale[PE];
  Acc acc[PE][LANES];
  Acc held[PE][LANES];           // finished sums of a score layer
  ap_uint<PE> upper[LANES / 2];  // the pool's upper row
  ap_uint<PE> out[LANES];        // finished bits
#pragma HLS ARRAY_PARTITION variable=start type=complete       // every PE uses its own each cycle
#pragma HLS ARRAY_PARTITION variable=offset type=complete      // loaded for all PEs at once
#pragma HLS ARRAY_PARTITION variable=scale type=complete       // loaded for all PEs at once
#pragma HLS ARRAY_PARTITION variable=acc type=complete dim=0   // all accumulators add each cycle
#pragma HLS ARRAY_PARTITION variable=held type=complete dim=0  // all sums finish in the same cycle
#pragma HLS ARRAY_PARTITION variable=upper type=complete       // all lanes pool in the same cycle
#pragma HLS ARRAY_PARTITION variable=out type=complete         // all lanes finish in the same cycle

pes:
  for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // every PE has its own weight memory
    const Vector word = weights[p][header];
    start[p] = f.score ? Acc(0) : Acc(-Acc(ap_uint<T_THRESHOLD.bits>(word)));
    flip[p] = word[T_FLIP.low];
    offset[p] = Score(ap_uint<32>(word));
    scale[p] = ap_int<S_SCALE.bits>(ap_uint<S_SCALE.bits>(weights[p][second_header]));
  sums:
    for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // registers
      acc[p][l] = 0;
      held[p][l] = 0;
    }
  }
lanes:
  for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // registers
    out[l] = 0;
    upper[l / 2] = 0;
  }

  const Limits limits = limits_of(f, channels);
  Position at;
  restart(at.image, limits.image);
  restart(at.row, limits.row);
  restart(at.block, limits.block);
  restart(at.lower, limits.lower);
  restart(at.ky, limits.ky);
  restart(at.kx, limits.kx);
  restart(at.word, limits.word);
  restart(at.words, limits.words);
  restart(at.turn, limits.turn);
  at.weight = first_weight;
  Leaving leaving;
  leaving.on = false;
  leaving.image = 0;
  leaving.row = 0;
  leaving.block = 0;
  leaving.lanes = limits.lanes;
  restart(leaving.lane, limits.lanes);
  restart(leaving.channel, limits.channels);
  bool more = f.images > 0;  // blocks
  bool words = true;         // the block has words left
  unsigned cycles = 0;
step:
  while (more || leaving.on) {
#pragma HLS PIPELINE II=1  // the array multiplies every cycle
#pragma HLS DEPENDENCE variable=act type=inter dependent=false      // source, destination and the first layer's next buffer do not overlap
#pragma HLS DEPENDENCE variable=weights type=inter dependent=false  // words that arrive now are read in a later call
    const bool compute = more && words;
    const bool first_word = at.ky.value == 0 && at.kx.value == 0 && at.word.value == 0;
    const bool last_word = compute && at.words.last;
    const bool finish = last_word && at.lower.last;
    ++cycles;
    if (compute) ++busy;

    Vector columns[LANES], vectors[PE];
#pragma HLS ARRAY_PARTITION variable=columns type=complete  // all lanes are used in the same cycle
#pragma HLS ARRAY_PARTITION variable=vectors type=complete  // all PEs are used in the same cycle
    if (compute) fetch(f, at, act, weights, columns, vectors);

    // The block before: finished bits go to memory, else the first layer's.
    bool on[LANES];
    ap_uint<PE> bits[LANES];
#pragma HLS ARRAY_PARTITION variable=on type=complete    // wires
#pragma HLS ARRAY_PARTITION variable=bits type=complete  // wires
    int address, slice;
    const bool writes = leaving.on && !f.score;
    take_ahead(first, ahead, !writes, on, address, bits, slice);
    if (writes) {
      write_block(f, leaving, out, on, address, bits);
      address += out_word;
      slice = out_slice;
    }
    if (leaving.on && f.score) {
      const Acc sum = held[leaving.channel.value][leaving.lane.value];
      scores.write(Score(scale[leaving.channel.value] * sum + offset[leaving.channel.value]));
    }
    write_lanes(on, address, bits, slice, writes ? GROUP_SLICES : 1, act);
    receive_weights(weights_in, ring, weights);

    // One word of the sums, and what becomes of finished ones.
    if (compute) {
      Count counts[PE][LANES];
#pragma HLS ARRAY_PARTITION variable=counts type=complete dim=0  // wires
      count_all(vectors, columns, counts);
      ap_uint<PE> hit[LANES];
#pragma HLS ARRAY_PARTITION variable=hit type=complete  // wires
    add_lanes:
      for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // LANES columns or images
      add_pes:
        for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // PE output channels
          acc[p][l] = Acc((first_word ? start[p] : acc[p][l]) + counts[p][l]);
          hit[l][p] = !acc[p][l][ACC_BITS];
          if (finish) held[p][l] = acc[p][l];
        }
      }
      if (last_word) {
      pairs:
        for (int j = 0; j < LANES / 2; ++j) {
#pragma HLS UNROLL  // pairs of columns
          const ap_uint<PE> pair = hit[2 * j] | hit[2 * j + 1];
          if (f.pool && finish) {
            out[j] = (upper[j] | pair) ^ flip;
          } else if (f.pool) {
            upper[j] = pair;
          }
        }
      bits:
        for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // LANES columns or images
          if (!f.pool) out[l] = hit[l] ^ flip;
        }
      }
    }

    // What leaves in the next cycle.
    const bool left = leaving.channel.last && leaving.lane.last;
    step(leaving.lane, leaving.lanes, leaving.channel.last);
    step(leaving.channel, limits.channels, true);
    leaving.on = finish || (leaving.on && !left);
    if (finish) {
      leaving.image = at.image.value;
      leaving.row = at.row.value;
      leaving.block = at.block.value;
      leaving.lanes = at.image.last ? limits.rest : limits.lanes;
      restart(leaving.lane, leaving.lanes);
      restart(leaving.channel, limits.channels);
    }

    // The next word.
    at.weight = last_word ? first_weight : compute ? Index((at.weight + 1) & (WEIGHT_DEPTH - 1)) : at.weight;
    words = at.turn.last || (words && !(at.words.last && at.lower.last));
    const bool end_row = at.turn.last && at.block.last, end_image = end_row && at.row.last;
    more = more && !(end_image && at.image.last);
    step(at.image, limits.image, end_image);
    step(at.row, limits.row, end_row);
    step(at.block, limits.block, at.turn.last);
    step(at.lower, limits.lower, last_word);
    step(at.ky, limits.ky, compute && at.kx.last && at.word.last);
    step(at.kx, limits.kx, compute && at.word.last);
    step(at.word, limits.word, compute);
    step(at.words, limits.words, compute);
    step(at.turn, limits.turn, true);
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

  Ring ring = {quota_of(WEIGHT_DEPTH), 0, 0, 0, 0};
  Ahead ahead = {quota_of(0), 0};
  unsigned busy = 0, cycles = 0;
  bool finished = false;
layers:
  while (!finished) {
    Word d[COMMAND_WORDS];
#pragma HLS ARRAY_PARTITION variable=d type=complete  // the fields are used together in every cycle
    int fields = 0;
    bool slice, word;  // came in a cycle
  command:
    while (fields < COMMAND_WORDS) {
#pragma HLS PIPELINE II=1  // one word a cycle
#pragma HLS DEPENDENCE variable=act type=inter dependent=false      // only written
#pragma HLS DEPENDENCE variable=weights type=inter dependent=false  // only written
      // Data is taken here too: `control` may be waiting for the first layer, which waits for the array.
      if (take(commands, d[fields])) ++fields;
      wait_cycle(weights_in, first, ring, ahead, weights, act, slice, word);
      ++cycles;
    }
    const Layer f = decode(d);
    const int groups = f.groups;  // 0 in a command that only sets the limit or ends the run
    const unsigned group_words = unsigned(f.group_words + header_words(d));
    unsigned position = d[R_POSITION].to_uint();
    finished = d[R_FINISH] != 0;
    const unsigned stored = ahead.limit - unsigned(left(ahead.room));
    if (!finished) ahead.limit = d[R_FIRST_LIMIT].to_uint();
    ahead.room = quota_of(int(ahead.limit - stored));
    Quota missing = quota_of(finished ? 0 : int(d[R_FIRST_NEED].to_uint() - stored));
  first_bits:
    while (missing.open) {
#pragma HLS PIPELINE II=1  // a slice and a beat a cycle
#pragma HLS DEPENDENCE variable=act type=inter dependent=false      // only written
#pragma HLS DEPENDENCE variable=weights type=inter dependent=false  // only written
      check_supply(weights_in, first);
      wait_cycle(weights_in, first, ring, ahead, weights, act, slice, word);
      take(missing, slice);
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
      const unsigned received = ring.received + unsigned(ring.room.total - left(ring.room));
      missing = quota_of(int(position + group_words - received));
    group_weights:
      while (missing.open) {
#pragma HLS PIPELINE II=1  // a slice and a beat a cycle
#pragma HLS DEPENDENCE variable=act type=inter dependent=false      // only written
#pragma HLS DEPENDENCE variable=weights type=inter dependent=false  // only written
        check_supply(weights_in, first);
        wait_cycle(weights_in, first, ring, ahead, weights, act, slice, word);
        take(missing, word);
        ++cycles;
      }
      cycles += run_group(f, g, position, weights_in, first, scores, ring, ahead, weights, act, busy);
      position += group_words;
      if (d[R_RELEASE] != 0) {
        const int room = left(ring.room);
        ring.received += unsigned(ring.room.total - room);
        ring.room = quota_of(room + int(group_words));
      }
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
