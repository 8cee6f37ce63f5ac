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
#include "bnn_layer.h"
#include "bnn_loop.h"
#include "bnn_types.h"
#include "bnn_vector.h"

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

// The weight memory as a ring, of all of it or of its end behind words that stay.
struct Ring {
  Quota room;         // words that may be stored
  unsigned received;  // words stored since the start of the run, less those of `room`
  Quota staying;      // words that stay, before it
  Index base;         // where it begins, of 2^n words
  Index address;      // of the next word
  int beat;           // beats of it that are there
  Vector vector;      // of one PE, where it takes several beats
};

// The first layer's slices.
struct Ahead {
  Quota room;       // slices that may be stored
  unsigned limit;   // the last one of these, counted from the start of the run
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
  take(ring.staying, last);
  ring.address = last ? ring_address(ring.address + 1, ring.staying.open ? Index(0) : ring.base) : ring.address;
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
inline void write_lanes(const bool on[LANES], int address, const Bits bits[LANES], int slice, int slices,
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
                       Bits bits[LANES], int& slice) {
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
  Bits bits[LANES];
#pragma HLS ARRAY_PARTITION variable=on type=complete    // wires
#pragma HLS ARRAY_PARTITION variable=bits type=complete  // wires
  int address, place;
  slice = take_ahead(first, ahead, true, on, address, bits, place);
  write_lanes(on, address, bits, place, 1, act);
  word = receive_weights(weights_in, ring, weights);
}

// The limits of a group's counters.
inline Limits limits_of(const Layer& f, int channels) {
#pragma HLS INLINE  // once a group
  const int images = f.image_lanes ? round_up(f.images, LANES) : f.images;
  const int lanes = f.score ? LANES : !f.serial ? 1 : f.halved ? LANES / 2 : LANES;
  const int rest = f.score ? f.images - (images - 1) * LANES : lanes;
  const int pieces = f.score ? channels : f.planes + (f.value ? VALUE_WORDS : 0);
  const int parts = !f.pool ? 1 : f.by_image ? 4 : 2;  // of a pool
  const int rounds = f.thresholds == 0 ? 1 : int(f.thresholds);
  const int reads = VECTOR ? shortcut_reads(f) : 0;
  int words = f.pass_words;  // of a turn
  if (!f.hand_inner) words *= f.inner;
  if (!f.hand_inner && !f.hand_outer) words *= f.outer;
  if (!f.vector) words *= parts;
  const int turn = larger(words, f.vector ? rounds * PE + lanes * pieces : lanes * pieces);
  const int short_turn = f.vector ? larger(words, PE) : turn;
  Limits limits;
  limits.image = limit_of(images);
  limits.row = limit_of(f.pool ? f.rows / 2 : f.rows);
  limits.block = limit_of(f.blocks);
  limits.part = limit_of(parts);
  limits.outer = limit_of(f.outer);
  limits.inner = limit_of(f.inner);
  limits.ky = limit_of(f.average ? f.height : f.tap_rows);
  limits.kx = limit_of(f.average ? f.width : f.tap_columns);
  limits.word = limit_of(f.tap_words);
  limits.words = limit_of(f.pass_words);
  limits.turn = limit_of(turn + reads);
  limits.short_turn = limit_of(short_turn + reads);
  limits.reads = Index(turn);
  limits.short_reads = Index(short_turn);
  limits.rounds = limit_of(rounds);
  limits.lanes = limit_of(lanes);
  limits.rest = limit_of(rest);
  limits.pieces = limit_of(pieces);
  return limits;
}

// Where the array reads: the address of the first lane's block, and what is beyond the map.
struct Source {
  int line;
  int shift;              // of the first lane's column from the block's first
  bool inside, all_inside;  // of the rows, and of the columns where all lanes read the same pixel
};

inline Source source_of(const Layer& f, const Position& at) {
#pragma HLS INLINE  // part of the caller's pipeline
  const int dy = f.by_image ? at.part.value >> 1 : int(at.part.value), dx = f.by_image ? at.part.value & 1 : 0;
  const int y = f.pool ? 2 * at.row.value + dy : int(at.row.value);
  const int x = f.pool ? 2 * at.block.value + dx : int(at.block.value);  // where a block is a pixel
  const int row = (f.stride2 ? 2 * y : y) + at.ky.value - f.pad;
  const int column = (f.stride2 ? 2 * x : x) + at.kx.value - f.pad;
  const int plane = f.planes_outer ? at.outer.value : at.inner.value;
  const int block = f.image_lanes ? column : int(at.block.value);
  const bool dense = f.image_lanes && !f.by_image;
  Source source;
  source.line = f.source + at.image.value * f.src_image + row * f.src_row + block * f.source_words +
                plane * f.tap_words + at.word.value;
  source.shift = f.image_lanes ? 0 : at.kx.value - f.pad;
  source.inside = dense || (row >= 0 && row < f.height);
  source.all_inside = dense || (column >= 0 && column < f.width);
  return source;
}

// Reads the array's operands: a word of LANES columns in their order, and a vector of every PE. Where `reads`, the
// memory reads the word of a shortcut in their place.
inline void fetch(const Layer& f, const Position& at, bool reads, int shortcut, int weight, const ActMemory act,
                  const WeightMemory weights, Vector read[LANES], Vector columns[LANES], Vector vectors[PE]) {
#pragma HLS INLINE  // part of the caller's pipeline
  const Vector ones = ~Vector(0);
  const Vector last_pad = f.last_bits >= SIMD ? ones : Vector(~(ones << f.last_bits));
  const Source source = source_of(f, at);
  const bool first_plane = (f.planes_outer ? at.outer.value : at.inner.value) == 0;
  const bool pad_one = f.pad_ones || (f.pad_first && first_plane);
memories:
  for (int m = 0; m < LANES; ++m) {
#pragma HLS UNROLL  // every lane's memory is read once
    const int next = m < source.shift ? 1 : m - source.shift >= LANES ? -1 : 0;  // its column's block, from this one
    const int x = (at.block.value + next) * LANES + m;
    const bool inside = source.inside && (f.image_lanes ? source.all_inside : x >= 0 && x < f.width);
    const int from = source.line + (next > 0 ? int(f.source_words) : next < 0 ? -int(f.source_words) : 0);
    const int address = reads ? wrapped(shortcut) : inside ? wrapped(from) : 0;
    Vector word = 0;
  slices:
    for (int s = 0; s < SLICES; ++s) {
#pragma HLS UNROLL  // the slices of a word
      word.range(s * FIRST_PE + FIRST_PE - 1, s * FIRST_PE) = act[m][s][address];
    }
    const Vector padding = !pad_one ? Vector(0) : at.word.last ? last_pad : ones;
    read[m] = reads || inside ? word : padding;
  }
lanes:
  for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // a choice of seven
    columns[l] = read[(l + source.shift) & LANE_MASK];
  }
pes:
  for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // every PE's memory is read once
    vectors[p] = weights[p][ring_address(weight, f.ring)];
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

// The finished block's words, for `write_lanes`. The address is that of the layer's first output word.
inline void write_block(const Layer& f, const Leaving& block, const Bits ready[LANES], bool on[LANES], int& address,
                        Bits bits[LANES]) {
#pragma HLS INLINE  // part of the caller's pipeline
  const int first_x = block.block * (f.halved ? LANES / 2 : LANES);
  const int serial_x = first_x + block.lane.value;
  const int number = f.write_first + block.image;
  const int image = f.serial ? number >> LANE_BITS : (f.write_first >> LANE_BITS) + block.image;
  const int column = f.serial ? serial_x : f.image_lanes ? int(block.block) : first_x >> LANE_BITS;
  address = f.dst + image * f.dst_image + block.row * f.dst_row + column * f.dst_words;
lanes:
  for (int m = 0; m < LANES; ++m) {
#pragma HLS UNROLL  // every lane writes its own memory
    const int halved = m % (LANES / 2);
    const bool half = (m >= LANES / 2) == (block.block % 2 == 1);  // of the lanes that a halved block goes to
    const int x = first_x + (f.halved ? halved : m);
    on[m] = f.serial ? m == (number & LANE_MASK) && serial_x < f.out_columns
                     : f.image_lanes || ((!f.halved || half) && x < f.out_columns);
    bits[m] = f.serial ? ready[block.lane.value & LANE_MASK] : f.halved ? ready[halved] : ready[m];
  }
}

// Runs group `group` of a layer, whose words start at `position` of the ring. A cycle multiplies one
// input word of LANES columns with PE weight vectors; finished bits leave in the next cycle, or one
// lane (serial) or one score a cycle while the next sum goes on. A block takes at least as many cycles
// as it takes to leave, so that the array never has to look whether the block before has left. In the vector
// unit sums are handed over at the end of a turn, and leave in the next one.
// Returns the cycles it took.
inline unsigned run_group(const Layer& f, int group, unsigned position, BeatStream& weights_in, WriteStream& first,
                          ScoreStream& scores, Ring& ring, Ahead& ahead, WeightMemory weights, ActMemory act,
                          unsigned& busy) {
  const int channel = group * PE;
  const int channels = smaller(f.outputs - channel, PE);
  const int out_word = channel >> SIMD_BITS, out_slice = (channel & (SIMD - 1)) / FIRST_PE;
  const int value_word = out_word * VALUE_WORDS;
  const Index header = ring_address(int(position & unsigned(WEIGHT_DEPTH - 1)), f.ring);
  const Index second_header = ring_address(header + 1, f.ring);
  const int headers = f.vector ? f.hands + V_WORDS * larger(1, f.thresholds) : f.score ? S_WORDS : T_WORDS;
  const int first_weight = header + headers;

  Acc start[PE];           // of an accumulator: minus the threshold, so that the sum's sign is the bit
  ap_uint<PE> flip = 0;
  Score offset[PE];
  ap_int<S_SCALE.bits> scale[PE];
  Acc acc[PE][LANES];
  Acc held[PE][LANES];     // finished sums, of scores or of the vector unit
  Bits upper[LANES / 2];   // the pool's upper row
  Bits out[MAX_PLANES][LANES];  // finished bits
#pragma HLS ARRAY_PARTITION variable=start type=complete       // every PE uses its own each cycle
#pragma HLS ARRAY_PARTITION variable=offset type=complete      // loaded for all PEs at once
#pragma HLS ARRAY_PARTITION variable=scale type=complete       // loaded for all PEs at once
#pragma HLS ARRAY_PARTITION variable=acc type=complete dim=0   // all accumulators add each cycle
#pragma HLS ARRAY_PARTITION variable=held type=complete dim=0  // all sums finish in the same cycle
#pragma HLS ARRAY_PARTITION variable=upper type=complete       // all lanes pool in the same cycle
#pragma HLS ARRAY_PARTITION variable=out type=complete dim=0   // all lanes finish in the same cycle
  // Of the vector unit.
  Coefficients coefficients;
  Offsets offsets;
  Thresholds thresholds;
  Sums sums;
  ap_int<10> partial[LANES][VALUES];
  Values added[LANES];             // of the channels that are handed over
  ap_uint<8> values[LANES][PE];    // finished ones
#pragma HLS ARRAY_PARTITION variable=coefficients type=complete dim=1      // loaded for all PEs at once
#pragma HLS ARRAY_PARTITION variable=offsets type=complete dim=1           // loaded for all PEs at once
#pragma HLS ARRAY_PARTITION variable=thresholds type=complete dim=1        // loaded for all PEs at once
#pragma HLS ARRAY_PARTITION variable=sums type=complete dim=1              // a channel of all lanes a cycle
#pragma HLS ARRAY_PARTITION variable=partial type=complete dim=0           // a word of all lanes a cycle
#pragma HLS ARRAY_PARTITION variable=added type=complete                   // all lanes in the same cycle
#pragma HLS ARRAY_PARTITION variable=values type=complete dim=0            // all lanes in the same cycle
#pragma HLS BIND_STORAGE variable=coefficients type=ram_s2p impl=lutram    // short ones: keeps the block RAM free
#pragma HLS BIND_STORAGE variable=offsets type=ram_s2p impl=lutram         // short ones: keeps the block RAM free
#pragma HLS BIND_STORAGE variable=thresholds type=ram_s2p impl=lutram      // short ones: keeps the block RAM free
#pragma HLS BIND_STORAGE variable=sums type=ram_s2p impl=lutram            // short ones: keeps the block RAM free
  if (f.vector) load_header(f, headers, header, weights, coefficients, offsets, thresholds);

pes:
  for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // every PE has its own weight memory
    const Vector word = weights[p][header];
    start[p] = f.score || f.vector ? Acc(0) : Acc(-Acc(ap_uint<T_THRESHOLD.bits>(word)));
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
    upper[l / 2] = 0;
    added[l] = 0;
  values:
    for (int n = 0; n < PE; ++n) {
#pragma HLS UNROLL  // registers
      values[l][n] = 0;
    }
  planes:
    for (int k = 0; k < MAX_PLANES; ++k) {
#pragma HLS UNROLL  // registers
      out[k][l] = 0;
    }
  partials:
    for (int n = 0; n < VALUES; ++n) {
#pragma HLS UNROLL  // registers
      partial[l][n] = 0;
    }
  }

  const Limits limits = limits_of(f, channels);
  const Limit one_round = limit_of(1), channels_of_group = limit_of(PE);
  Position at;
  Limit turns = limits.short_turn;  // of the turn
  Index reads_from = limits.short_reads;
  restart(at.image, limits.image);
  restart(at.row, limits.row);
  restart(at.block, limits.block);
  restart(at.part, limits.part);
  restart(at.outer, limits.outer);
  restart(at.inner, limits.inner);
  restart(at.ky, limits.ky);
  restart(at.kx, limits.kx);
  restart(at.word, limits.word);
  restart(at.words, limits.words);
  restart(at.turn, turns);
  Leaving leaving;
  leaving.on = false;
  leaving.evaluating = false;
  leaving.added = false;
  leaving.finished = false;
  leaving.first_part = false;
  leaving.writes = false;
  leaving.hand = 0;
  leaving.image = 0;
  leaving.row = 0;
  leaving.block = 0;
  leaving.rounds = limits.rounds;
  leaving.lanes = limits.lanes;
  restart(leaving.round, leaving.rounds);
  restart(leaving.channel, channels_of_group);
  restart(leaving.lane, leaving.lanes);
  restart(leaving.piece, limits.pieces);
  bool more = f.images > 0;  // blocks
  bool words = true;         // the turn has words left
  bool fresh = true;         // the next word is the first of a sum
  bool complete = false;     // the turn's words were the last of their sums
  bool first_hand = true;    // the turn's sums are not handed over yet
  Index hand = 0;
  unsigned cycles = 0;
step:
  while (more || leaving.on) {
#pragma HLS PIPELINE II=1  // the array multiplies every cycle
#pragma HLS DEPENDENCE variable=act type=inter dependent=false      // the maps read and written do not overlap
#pragma HLS DEPENDENCE variable=weights type=inter dependent=false  // words that arrive now are read in a later call
#pragma HLS DEPENDENCE variable=sums type=inter direction=RAW distance=4 dependent=true  // again after PE cycles
    const bool compute = more && words && !f.average;
    // The word is the last of a pass, of the inner passes, of a sum, of a block, and of what is handed over.
    const bool last_inner = at.words.last && at.inner.last, last_sum = last_inner && at.outer.last;
    const bool last_word = last_sum && at.part.last;
    const bool last_hand = f.hand_inner ? at.words.last : f.hand_outer ? last_inner : last_sum;
    const bool end_sum = compute && last_sum, finish = compute && last_word;
    const bool end_turn = more && at.turn.last;
    const bool last_pixel = at.ky.last && at.kx.last;
    const bool all_words = f.average ? last_pixel : complete || end_sum;  // of the turn's sums
    const bool hands = f.vector ? end_turn : finish;
    ++cycles;
    if (compute) ++busy;

    const int reads_at = at.turn.value - reads_from;
    const bool reads = VECTOR && more && (f.shortcut || f.average) && reads_at >= 0;
    const ShortcutRead shortcut = shortcut_read(f, reads_at);
    const int added_word = value_word + shortcut.word;
    const int base = f.planes_outer ? at.inner.value : at.outer.value;
    const int weight = first_weight + base * f.pass_words + at.words.value;
    Vector read[LANES], columns[LANES], vectors[PE];
#pragma HLS ARRAY_PARTITION variable=read type=complete     // all lanes read in the same cycle
#pragma HLS ARRAY_PARTITION variable=columns type=complete  // all lanes are used in the same cycle
#pragma HLS ARRAY_PARTITION variable=vectors type=complete  // all PEs are used in the same cycle
    if (compute || reads) {
      fetch(f, at, reads, shortcut_address(f, at, shortcut) + added_word, weight, act, weights, read, columns, vectors);
    }

    // What is handed over: finished words go to memory, else the first layer's.
    bool on[LANES];
    Bits bits[LANES];
#pragma HLS ARRAY_PARTITION variable=on type=complete    // wires
#pragma HLS ARRAY_PARTITION variable=bits type=complete  // wires
    int address, slice;
    const bool evaluates = leaving.on && leaving.evaluating;
    const bool emits = leaving.on && !leaving.evaluating;
    const bool writes = emits && !f.score;
    const int piece = leaving.piece.value, lane = leaving.lane.value & LANE_MASK;
    take_ahead(first, ahead, !writes, on, address, bits, slice);
    if (writes) {
      Bits ready[LANES];
#pragma HLS ARRAY_PARTITION variable=ready type=complete  // wires
      record_bits(f, piece, values, out, ready);
      write_block(f, leaving, ready, on, address, bits);
      const bool value = VECTOR && piece >= f.planes;
      address += value ? f.value_word + value_word + (piece - f.planes) : piece * f.plane_words + out_word;
      slice = out_slice;
    }
    Acc row[LANES];  // a channel's sums
#pragma HLS ARRAY_PARTITION variable=row type=complete  // wires
    const int of = evaluates ? channel_of(leaving.channel.value) : piece & (PE - 1);
  row:
    for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // lanes side by side
      row[l] = held[of][l];
    }
    if (VECTOR && f.vector) {
      const Channel c = channel_at(of, leaving, coefficients, offsets, thresholds);
      Wide before[LANES], total[LANES];
#pragma HLS ARRAY_PARTITION variable=before type=complete  // wires
#pragma HLS ARRAY_PARTITION variable=total type=complete   // wires
    load_sums:
      for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // lanes side by side
        before[l] = sums[l][of];
      }
      if (evaluates) {
        evaluate(f, leaving, c, row, before, total, added, values, out);
      store_sums:
        for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // lanes side by side
          sums[l][of] = total[l];
        }
      }
      if (emits && f.score) scores.write(Score(before[lane] + c.offset));
    } else if (emits && f.score) {
      scores.write(Score(scale[of] * row[lane] + offset[of]));
    }
    if (VECTOR && reads) {
      take_shortcut(f, at, shortcut, channel & (SIMD - 1), added_word >= f.added_values, read, partial, added);
    }
    write_lanes(on, address, bits, slice, writes ? GROUP_SLICES : 1, act);
    receive_weights(weights_in, ring, weights);

    // One word of the sums, and what becomes of finished ones.
    if (compute) {
      Count counts[PE][LANES];
#pragma HLS ARRAY_PARTITION variable=counts type=complete dim=0  // wires
      count_all(vectors, columns, counts);
    add_lanes:
      for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // LANES columns or images
      add_pes:
        for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // PE output channels
          acc[p][l] = Acc((fresh ? start[p] : acc[p][l]) + counts[p][l]);
        }
      }
    }
  sums_lanes:
    for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // LANES columns or images
    sums_pes:
      for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // PE output channels
        if (hands) held[p][l] = acc[p][l];
      }
    }
    if (end_sum && !f.vector) {
      Bits hit[LANES];
#pragma HLS ARRAY_PARTITION variable=hit type=complete  // wires
    hit_lanes:
      for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // wires
      hit_pes:
        for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // signs
          hit[l][p] = !acc[p][l][ACC_BITS];
        }
      }
    pairs:
      for (int j = 0; j < LANES / 2; ++j) {
#pragma HLS UNROLL  // pairs of columns
        const Bits pair = hit[2 * j] | hit[2 * j + 1];
        if (f.pool && at.part.last) {
          out[0][j] = (upper[j] | pair) ^ flip;
        } else if (f.pool) {
          upper[j] = pair;
        }
      }
    bits:
      for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // LANES columns or images
        if (!f.pool) out[0][l] = hit[l] ^ flip;
      }
    }

    // What leaves in the next cycle.
    const bool evaluated = leaving.evaluating && leaving.channel.last && leaving.round.last;
    const bool left = leaving.evaluating ? evaluated && !leaving.writes : leaving.piece.last && leaving.lane.last;
    step(leaving.round, leaving.rounds, leaving.evaluating && leaving.channel.last);
    step(leaving.channel, channels_of_group, evaluates);
    step(leaving.lane, leaving.lanes, emits && leaving.piece.last);
    step(leaving.piece, limits.pieces, emits);
    leaving.evaluating = leaving.evaluating && !evaluated;
    leaving.on = hands || (leaving.on && !left);
    if (hands) {
      leaving.evaluating = f.vector;
      leaving.added = !first_hand;
      leaving.finished = all_words;
      leaving.first_part = at.part.value == 0;
      leaving.writes = all_words && at.part.last;
      leaving.hand = hand;
      leaving.image = at.image.value;
      leaving.row = at.row.value;
      leaving.block = at.block.value;
      leaving.rounds = all_words ? limits.rounds : one_round;
      leaving.lanes = at.image.last ? limits.rest : limits.lanes;
      restart(leaving.round, leaving.rounds);
      restart(leaving.lane, leaving.lanes);
    }

    // The next word.
    const bool end_part = f.vector ? end_turn && all_words : end_sum;
    const bool end_block = end_turn && (!f.vector || (all_words && at.part.last));
    const bool end_row = end_block && at.block.last, end_image = end_row && at.row.last;
    const bool end_word = f.average ? end_turn : compute && at.word.last;
    fresh = compute ? last_hand : fresh;
    words = end_turn || (words && !(f.vector ? last_hand : last_word));
    complete = !end_turn && all_words;
    more = more && !(end_image && at.image.last);
    step(at.image, limits.image, end_image);
    step(at.row, limits.row, end_row);
    step(at.block, limits.block, end_block);
    step(at.part, limits.part, end_part);
    step(at.outer, limits.outer, compute && last_inner);
    step(at.inner, limits.inner, compute && at.words.last);
    step(at.ky, limits.ky, end_word && at.kx.last);
    step(at.kx, limits.kx, end_word);
    step(at.word, limits.word, compute);
    step(at.words, limits.words, compute);
    step(at.turn, turns, true);  // turns that differ have more than one cycle
    if (end_turn) {
      first_hand = all_words;
      hand = all_words || f.average ? Index(0) : Index(hand + 1);
      turns = all_words ? limits.turn : limits.short_turn;
      reads_from = all_words ? limits.reads : limits.short_reads;
    }
  }
  return cycles;
}

// The process. `busy_out`: cycles in which the array multiplied. `cycles_out`: cycles in which it
// multiplied, wrote or waited for data; the few in between, to fill a pipeline, are not in it.
inline void array(BeatStream& commands, BeatStream& weights_in, WriteStream& first, ScoreStream& scores,
                  unsigned* busy_out, unsigned* cycles_out) {
  static ActMemory act;
#pragma HLS ARRAY_PARTITION variable=act type=complete dim=1  // every lane has its own port
#pragma HLS ARRAY_PARTITION variable=act type=complete dim=2  // every slice has its own write enable
#pragma HLS BIND_STORAGE variable=act type=ram_s2p impl=bram  // one read and one write port
  static WeightMemory weights;
#pragma HLS ARRAY_PARTITION variable=weights type=complete dim=1  // every PE reads each cycle
#pragma HLS BIND_STORAGE variable=weights type=ram_s2p impl=bram  // one read and one write port

  Ring ring = {quota_of(0), 0, quota_of(0), 0, 0, 0, 0};
  Ahead ahead = {quota_of(0), 0};
  unsigned busy = 0, cycles = 0;
  bool finished = false, first_command = true;
layers:
  while (!finished) {
    Word d[COMMAND_WORDS];
#pragma HLS ARRAY_PARTITION variable=d type=complete  // the fields are used together in every cycle
    int fields = 0;
    bool slice, word;  // came in a cycle
  command:
    while (fields < COMMAND_WORDS) {
#pragma HLS PIPELINE II=1  // two words a cycle
#pragma HLS DEPENDENCE variable=act type=inter dependent=false      // only written
#pragma HLS DEPENDENCE variable=weights type=inter dependent=false  // only written
      // Data is taken here too: `control` may be waiting for the first layer, which waits for the array.
      Beat two;
      if (take(commands, two)) {
        d[fields] = Word(two);
        d[fields + 1] = Word(two >> 32);
        fields += 2;
      }
      wait_cycle(weights_in, first, ring, ahead, weights, act, slice, word);
      ++cycles;
    }
    const Layer f = decode(d);
    const int groups = f.groups;  // 0 in a command that only sets the limit or ends the run
    const unsigned group_words = unsigned(low16(d[D_GROUP_WORDS]) + header_words(d));
    unsigned position = d[R_POSITION].to_uint();
    finished = d[R_FINISH] != 0;
    if (first_command) {
      ring.base = index(d[R_RING]);
      ring.staying = quota_of(index(d[R_KEPT]));
      ring.room = quota_of(ring.staying.total + WEIGHT_DEPTH - ring.base);
      first_command = false;
    }
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
    if (trace_hook != nullptr && !finished && groups > 0 && d[R_LAYER] == 0) {
      const int blocks = f.image_lanes ? round_up(f.images, LANES) : f.images;
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
      const bool by_image = f.image_lanes || f.serial;
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
