// The first layer: a 3x3 convolution over 8-bit pixels, packing of a binary image, or planes of pixels. It runs
// ahead of the array and hands it the bits as slices to be stored.
#ifndef BNN_FIRST_H
#define BNN_FIRST_H

#include "bnn_types.h"
#ifdef BNN_FIRST_WIRED
#include "bnn_first_wired.h"
#endif

namespace bnn {

typedef ap_int<8> Table[8][256];
typedef ap_uint<8 * MAX_CHANNELS> Pixel;  // in pack mode 32 bits of the image, or values of four elements
typedef ap_int<16> Sum;
constexpr int FIRST_INPUTS = FIRST_TAPS * MAX_CHANNELS;
static_assert(FIRST_INPUTS * 128 < 32768, "A sum of the first layer must fit 16 bits.");
static_assert(FIRST_INPUTS <= 81, "The adder tree has four levels of three.");
static_assert(FIRST_PE <= 128, "A slice must fit 128 bits: it is put together from words of 32.");
#if defined(BNN_VECTOR) && !defined(BNN_FIRST_WIRED)
#define BNN_FIRST_VALUED  // values are there; only bits are wired in
constexpr bool FIRST_VALUED = true;
#else
constexpr bool FIRST_VALUED = false;
#endif
constexpr int HALF_VALUES = FIRST_PE < 8 ? 2 : 1;                // slices of a value, where it is more than one
constexpr int SLICE_VALUES = FIRST_PE < 8 ? 1 : FIRST_PE / 8;    // values of a slice
constexpr int FACTOR_ROWS = FIRST_VALUED ? FIRST_VALUES / SLICE_VALUES : 1;
typedef ap_uint<F_SCALE.low + F_SCALE.bits> Factor;              // a channel's scale and offset
typedef Factor Factors[SLICE_VALUES][FACTOR_ROWS];

// What `unpack` needs of the header.
struct Image {
  bool pack;
  int channels;  // bytes of a pixel
  int elements;
  int beats;
  int steps;  // pixels, or bytes of the packed image
};

// What `convolve` needs of the header.
struct Window {
  int groups;    // of FIRST_PE channels; 0 without sums
  int planes;    // of pixels; 0: none
  bool pixels;   // planes are written by pixel
  int channels, elements;
  int height, width;
  int pad;
  int step;  // 2 with a pool
  int out_rows, out_columns;
  int row_stride, words;
  // Of values.
  int value_groups;  // the first ones, whose channels give a value; 0: none
  int value_word;    // of a record
  int value_bits, shift;
};

// Copies the table (eight copies, for eight look-ups a cycle), the channels' beats and those of their values.
inline void load_first(BeatStream& beats, int channels, int values, Table table, Beat kernels[FIRST_CHANNELS],
                       Factors factors) {
table_beats:
  for (int n = 0; n < TABLE_BEATS; ++n) {
    const Beat data = beats.read();
  entries:
    for (int k = 0; k < 8; ++k) {
#pragma HLS PIPELINE II=1  // each copy takes one entry a cycle
    copies:
      for (int copy = 0; copy < 8; ++copy) {
#pragma HLS UNROLL  // the copies are separate memories
        table[copy][8 * n + k] = ap_int<8>(ap_uint<8>(data >> (8 * k)));
      }
    }
  }
kernel_beats:
  for (int n = 0; n < channels; ++n) {
#pragma HLS PIPELINE II=1  // one beat a cycle is what the bus gives
    kernels[n] = beats.read();
  }
#ifdef BNN_FIRST_VALUED  // as a loop that never runs is none
factor_beats:
  for (int n = 0; n < values; ++n) {
#pragma HLS PIPELINE II=1  // one beat a cycle is what the bus gives
    factors[n % SLICE_VALUES][n / SLICE_VALUES] = Factor(beats.read());
  }
#else
  (void)values;
  (void)factors;
#endif
}

// Fills the image buffer: table[pixel] per channel, absent channels 0; or in pack mode bits, those
// behind the image 0. A step takes a pixel's bytes, or eight, from the lowest ones of two beats.
inline void unpack(const Image& f, const Table table, BeatStream& beats, Pixel buffer[IMAGE_PIXELS]) {
  const int bytes = f.pack ? 8 : f.channels;  // of a step
  Beat low = beats.read(), high = 0;
  if (f.beats > 1) high = beats.read();
  int left = f.beats - 2;  // beats to read
  bool some = left > 0;
  ap_uint<3> at = 0;       // bytes of `low` that are used up
  int elements = f.elements;
  Pixel packed = 0;        // bytes of bits so far
unpack:
  for (int n = 0; n < f.steps; ++n) {
#pragma HLS PIPELINE II=1  // a step takes at most one new beat
    const ap_uint<64> data = ap_uint<64>((ap_uint<128>(high) << 64 | low) >> (8 * at.to_int()));
    Pixel pixel = 0;
    ap_uint<8> bits = 0;  // of the image in pack mode
  bytes:
    for (int c = 0; c < 8; ++c) {
#pragma HLS UNROLL  // every byte has its copy of the table
      const ap_int<8> value = table[c][ap_uint<8>(data >> (8 * c)).to_uint()];
      if (c < MAX_CHANNELS && c < f.channels) pixel |= Pixel(ap_uint<8>(value)) << (8 * c);
      bits[c] = c < elements && value > 0;
    }
    packed = Pixel(bits) << (8 * (n % 4)) | (n % 4 == 0 ? Pixel(0) : packed);
    buffer[f.pack ? n / 4 : n] = f.pack ? packed : pixel;
    elements -= 8;
    const ap_uint<4> end = ap_uint<4>(at + bytes);
    at = ap_uint<3>(end);
    if (end[3]) {  // `low` is used up
      low = high;
      if (some) {
        high = beats.read();
        some = left != 1;
        --left;
      }
    }
  }
}

// A slice for the array.
inline SliceWrite slice_write(int lane, int address, int slice, Slice value) {
  return SliceWrite(value) | SliceWrite(ap_uint<8>(unsigned(slice))) << FIRST_PE |
         SliceWrite(ap_uint<16>(unsigned(address))) << (FIRST_PE + 8) |
         SliceWrite(ap_uint<4>(unsigned(lane))) << (FIRST_PE + 24);
}

// Sends one packed image, slice by slice.
inline void send_packed(const Window& f, int lane, int base, const Pixel buffer[IMAGE_PIXELS], WriteStream& writes) {
  constexpr int PIECE = FIRST_PE < 32 ? FIRST_PE : 32;  // bits a cycle
  constexpr int PIECES = FIRST_PE / PIECE;              // of a slice
  const int pieces = f.words * (SIMD / PIECE);
  ap_uint<128> slice = 0;
packed:
  for (int n = 0; n < pieces; ++n) {
#pragma HLS PIPELINE II=1  // a read of the buffer a cycle
    const int bit = n * PIECE;
    const ap_uint<PIECE> piece = ap_uint<PIECE>(buffer[bit / 32] >> (bit % 32));
    slice = ap_uint<128>(piece) << (n % PIECES * PIECE) | (n % PIECES == 0 ? ap_uint<128>(0) : slice);
    if (n % PIECES == PIECES - 1) {
      writes.write(slice_write(lane, base + bit / SIMD, bit % SIMD / FIRST_PE, Slice(slice)));
    }
  }
}

// Bits of a plane of the first `present` values. The lowest bits of the table's values in two's complement are those of
// the numbers from 0 on but for the most significant one.
inline ap_uint<MAX_CHANNELS> plane_bits(const Window& f, Pixel pixel, int plane, int present) {
#pragma HLS INLINE  // part of the caller's pipeline
  ap_uint<MAX_CHANNELS> bits = 0;
channels:
  for (int c = 0; c < MAX_CHANNELS; ++c) {
#pragma HLS UNROLL  // wires
    const ap_uint<8> value = ap_uint<8>(pixel >> (8 * c));
    bits[c] = c < present && value[(f.planes - 1 - plane) & 7] != (plane == 0);
  }
  return bits;
}

// Sends an image's planes by pixel: a word of every plane.
inline void send_pixels(const Window& f, int base, const Pixel buffer[IMAGE_PIXELS], WriteStream& writes) {
  const Limit rows = limit_of(f.height), columns = limit_of(f.width), planes = limit_of(f.planes);
  Counter y, x, plane;
  restart(y, rows);
  restart(x, columns);
  restart(plane, planes);
  Index from = 0;
  bool more = true;
pixels:
  while (more) {
#pragma HLS PIPELINE II=1  // a plane of a pixel a cycle
    const Pixel pixel = buffer[from & (IMAGE_PIXELS - 1)];
    const Slice bits = Slice(plane_bits(f, pixel, plane.value, f.channels));
    const int address = base + y.value * f.row_stride + (x.value >> LANE_BITS) * f.words + plane.value;
    writes.write(slice_write(x.value & LANE_MASK, address, 0, bits));
    const bool next = plane.last, next_row = next && x.last;
    from = Index(from + (next ? 1 : 0));
    more = more && !(next_row && y.last);
    step(y, rows, next_row);
    step(x, columns, next);
    step(plane, planes, true);
  }
}

// Sends an image's planes by image, one after the other, four elements a cycle.
inline void send_planes(const Window& f, int lane, int base, const Pixel buffer[IMAGE_PIXELS], WriteStream& writes) {
  constexpr int PIECES = FIRST_PE / MAX_CHANNELS;  // of a slice
  const int words = round_up(f.elements, SIMD), pieces = words * (SIMD / MAX_CHANNELS);
  const LimitOf<int> all = {pieces == 1, pieces - 2};
  const Limit planes = limit_of(f.planes);
  CounterOf<int> piece;
  Counter plane;
  restart(piece, all);
  restart(plane, planes);
  int start = base;  // of the plane
  ap_uint<128> slice = 0;
  bool more = true;
planes:
  while (more) {
#pragma HLS PIPELINE II=1  // a read of the buffer a cycle
    // Without a sign, so that what is divided by constants are wires.
    const unsigned at = unsigned(piece.value), element = at * MAX_CHANNELS, number = at % PIECES;
    const Pixel pixel = buffer[at & (IMAGE_PIXELS - 1)];
    const ap_uint<MAX_CHANNELS> bits = plane_bits(f, pixel, plane.value, f.elements - int(element));
    slice = ap_uint<128>(bits) << (number * MAX_CHANNELS) | (number == 0 ? ap_uint<128>(0) : slice);
    if (number == PIECES - 1) {
      writes.write(slice_write(lane, start + int(element / SIMD), int(element % SIMD / FIRST_PE), Slice(slice)));
    }
    more = more && !(piece.last && plane.last);
    start += piece.last ? words : 0;
    step(plane, planes, piece.last);
    step(piece, all, true);
  }
}

// Whether the core can run the program's first layer: any, or the one that is wired in. The channels' beats start at
// `beat`.
inline bool first_fits(const Beat* program, unsigned beat, int channels, int inputs, int values) {
#ifdef BNN_FIRST_WIRED
  if (channels != WIRED_CHANNELS || inputs != WIRED_INPUTS || values != 0) return false;  // nor are there as many beats
  bool same = true;
wired_beats:
  for (int n = 0; n < WIRED_CHANNELS; ++n) {
#pragma HLS PIPELINE II=1  // one beat a cycle is what the bus gives
    same &= program[beat + unsigned(n)] == WIRED_BEATS[n];
  }
  return same;
#else
  (void)program;
  (void)beat;
  (void)channels;
  (void)inputs;
  (void)values;
  return true;
#endif
}

// The sum of the values, by threes: after level k every 3^(k+1)th is the sum of those up to the next.
inline Sum tree(Sum values[FIRST_INPUTS]) {
#pragma HLS INLINE  // part of the caller's pipeline
levels:
  for (int level = 0; level < 4; ++level) {
#pragma HLS UNROLL  // levels of the tree
    const int apart = level == 0 ? 1 : level == 1 ? 3 : level == 2 ? 9 : 27;
  sums:
    for (int n = 0; n < FIRST_INPUTS / 3; ++n) {
#pragma HLS UNROLL  // adders of three inputs
      const int at = 3 * apart * n;
      if (at + apart < FIRST_INPUTS) values[at] = Sum(values[at] + values[at + apart]);
      if (at + 2 * apart < FIRST_INPUTS) values[at] = Sum(values[at] + values[at + 2 * apart]);
    }
  }
  return values[0];
}

// FIRST_PE channels of a window: their sums, which of them reach their threshold, and which are flipped. A sum of +-t
// is twice that of the t with a weight of +1, less that of all t: so the channels add, and need not subtract.
inline void window_bits(const Pixel taps[FIRST_TAPS], int group, const Beat kernels[FIRST_CHANNELS], Slice& bits,
                        Slice& flip, Sum sums[FIRST_PE]) {
#pragma HLS INLINE  // part of the caller's pipeline
#ifdef BNN_FIRST_WIRED
  bits = Slice(wired_window(taps) >> (group * FIRST_PE));
  (void)sums;
#else
  bits = 0;
  Sum values[FIRST_INPUTS];
#pragma HLS ARRAY_PARTITION variable=values type=complete  // leaves of the adder trees
inputs:
  for (int n = 0; n < FIRST_INPUTS; ++n) {
#pragma HLS UNROLL  // wires
    values[n] = Sum(ap_int<8>(ap_uint<8>(taps[n / MAX_CHANNELS] >> (n % MAX_CHANNELS * 8))));
  }
  Sum all_values[FIRST_INPUTS];
#pragma HLS ARRAY_PARTITION variable=all_values type=complete  // leaves of the adder tree
all_inputs:
  for (int n = 0; n < FIRST_INPUTS; ++n) {
#pragma HLS UNROLL  // wires
    all_values[n] = values[n];
  }
  const Sum all = tree(all_values);
#endif
  flip = 0;
channels:
  for (int p = 0; p < FIRST_PE; ++p) {
#pragma HLS UNROLL  // one adder tree per channel
    const Beat kernel = kernels[group * FIRST_PE + p];
#ifndef BNN_FIRST_WIRED
    Sum plus[FIRST_INPUTS];
#pragma HLS ARRAY_PARTITION variable=plus type=complete  // leaves of the adder tree
  weights:
    for (int n = 0; n < FIRST_INPUTS; ++n) {
#pragma HLS UNROLL  // leaves of the adder tree
      plus[n] = kernel[B_WEIGHTS.low + n] ? values[n] : Sum(0);
    }
    const Sum sum = Sum(2 * tree(plus) - all);
    sums[p] = sum;
    bits[p] = sum >= Sum(ap_uint<B_THRESHOLD.bits>(kernel >> B_THRESHOLD.low));
#endif
    flip[p] = kernel[B_FLIP.low];
  }
}

// The next slice of values, of the channels whose sums are the first ones of `best`, which turn; `piece`: its number in
// the group.
inline Slice value_slice(const Window& f, int group, int piece, const Factors factors, Sum best[FIRST_PE]) {
#pragma HLS INLINE  // part of the caller's pipeline
  const Value low = least_value(f.value_bits), high = greatest_value(f.value_bits);
  const int row = (group * VALUE_BITS + piece) / HALF_VALUES;
  const bool upper = HALF_VALUES == 2 && piece % 2 == 1;
  ap_uint<8 * SLICE_VALUES> bytes = 0;
values:
  for (int n = 0; n < SLICE_VALUES; ++n) {
#pragma HLS UNROLL  // a multiplier each
    const Factor factor = factors[n][row & (FACTOR_ROWS - 1)];
    const ap_int<34> product = best[n] * ap_uint<F_SCALE.bits>(factor >> F_SCALE.low);
    const ap_int<34> shifted = ap_int<34>(product + ap_int<F_OFFSET.bits>(ap_uint<F_OFFSET.bits>(factor))) >> f.shift;
    const Value value = shifted < low ? low : shifted > high ? high : Value(shifted);
    bytes |= ap_uint<8 * SLICE_VALUES>(ap_uint<8>(value)) << (8 * n);
  }
  if (HALF_VALUES == 1 || upper) {
    Sum turned[FIRST_PE];
#pragma HLS ARRAY_PARTITION variable=turned type=complete  // wires
  turned:
    for (int p = 0; p < FIRST_PE; ++p) {
#pragma HLS UNROLL  // wires
      turned[p] = best[(p + SLICE_VALUES) % FIRST_PE];
    }
  best:
    for (int p = 0; p < FIRST_PE; ++p) {
#pragma HLS UNROLL  // registers
      best[p] = turned[p];
    }
  }
  return Slice(upper ? bytes >> 4 : bytes);
}

// Takes the first slice of a word, which turns.
inline void turn_word(ap_uint<1> word[SIMD], Slice& slice) {
#pragma HLS INLINE  // part of the caller's pipeline
  ap_uint<1> turned[SIMD];
#pragma HLS ARRAY_PARTITION variable=turned type=complete  // wires
turned:
  for (int n = 0; n < SIMD; ++n) {
#pragma HLS UNROLL  // wires
    turned[n] = word[(n + FIRST_PE) % SIMD];
    if (n < FIRST_PE) slice[n] = word[n];
  }
word:
  for (int n = 0; n < SIMD; ++n) {
#pragma HLS UNROLL  // registers
    word[n] = turned[n];
  }
}

// A block's cycles: its new pixels are read one after the other, and its channels computed, windows of the pool
// innermost. With values a group gives them behind its windows, and the group that completes a word the word's bits.
struct Slots {
  Counter slot;
  bool read, compute;        // the block has pixels to read; its cycle is a window's
  bool give_values, give_word;  // or one of these
  Counter row, column;       // of the next pixel to read, within the new ones
  Counter part, group;
  Counter group_of_word, group_of_values;
  bool values;               // the group has values
  Counter value, piece;      // slice of the values, of the word
};

// One image through the convolution. A block is one output pixel, with a pool the 2x2 that it joins.
// `patch` holds the pixels under the block's windows; while the block's channels are computed,
// FIRST_PE a cycle, the pixels that the next block needs are read. A row starts with blocks that
// only read. With values the channels are in the order of the values' bytes, and bits wait for their word.
inline void send_convolved(const Window& f, int base, const Pixel buffer[IMAGE_PIXELS],
                           const Beat kernels[FIRST_CHANNELS], const Factors factors, WriteStream& writes) {
  const bool pool = f.step == 2, valued = FIRST_VALUED && f.value_groups > 0;
  const int reads = f.step * (f.step + 2);  // new pixels of a block: columns of the patch in use
  const int lead = pool ? 2 : 3;            // blocks before the first
  const int parts = f.step * f.step;        // windows of a block
  const Limit rows = limit_of(f.out_rows), columns = limit_of(lead + f.out_columns);
  const int gives = valued ? f.value_groups * VALUE_BITS + f.groups : 0;  // slices that take a cycle of their own
  const Limit lead_slots = limit_of(reads), block_slots = limit_of(larger(f.groups * parts + gives, reads));
  const Limit new_rows = limit_of(f.step + 2), new_columns = limit_of(f.step);
  const Limit block_parts = limit_of(parts), groups = limit_of(f.groups);
  const Limit values = limit_of(VALUE_BITS), slices = limit_of(SLICES), value_groups = limit_of(f.value_groups);
  Pixel patch[4][4], fresh[2][4];
#pragma HLS ARRAY_PARTITION variable=patch type=complete dim=0  // all taps are used in one cycle
#pragma HLS ARRAY_PARTITION variable=fresh type=complete dim=0  // joins the patch in one cycle
patch_rows:
  for (int r = 0; r < 4; ++r) {
#pragma HLS UNROLL  // registers
  patch_columns:
    for (int c = 0; c < 4; ++c) {
#pragma HLS UNROLL  // registers
      patch[r][c] = 0;
    }
    fresh[0][r] = 0;
    fresh[1][r] = 0;
  }
  Counter y, x;  // the block: row, and column counted from the first that only reads
  restart(y, rows);
  restart(x, columns);
  Slots at;
  Limit slots = lead_slots;
  restart(at.slot, slots);
  restart(at.row, new_rows);
  restart(at.column, new_columns);
  restart(at.part, block_parts);
  restart(at.group, groups);
  restart(at.group_of_word, slices);
  restart(at.group_of_values, value_groups);
  restart(at.value, values);
  restart(at.piece, slices);
  at.values = valued;
  at.read = true;
  at.compute = false;
  at.give_values = false;
  at.give_word = false;
  Slice hit = 0;       // of the block's windows so far
  Sum best[FIRST_PE];  // their greatest sums
#pragma HLS ARRAY_PARTITION variable=best type=complete  // all are compared in one cycle
  ap_uint<1> word[SIMD];  // bits of the word so far, then those that are left
#pragma HLS ARRAY_PARTITION variable=word type=complete  // registers
  bool more = true;
slots:
  while (more) {
#pragma HLS PIPELINE II=1  // FIRST_PE channels a cycle, and a read of the buffer
    const int block = x.value - lead;  // the block's column, negative if it only reads
    if (at.read) {
      const int image_y = y.value * f.step + at.row.value - f.pad;
      const int image_x = (block + 1) * f.step + 2 + at.column.value - f.pad;
      const bool inside = image_y >= 0 && image_y < f.height && image_x >= 0 && image_x < f.width;
      const Pixel pixel = buffer[inside ? image_y * f.width + image_x : 0];
    fresh_columns:
      for (int c = 0; c < 2; ++c) {
#pragma HLS UNROLL  // registers
      fresh_rows:
        for (int r = 0; r < 4; ++r) {
#pragma HLS UNROLL  // registers
          if (at.column.value == c && at.row.value == r) fresh[c][r] = inside ? pixel : Pixel(0);
        }
      }
    }
    bool gives = false;
    int place = 0, number = 0;  // word of the record, and slice
    Slice given = 0;
    if (at.compute) {
      const bool lower = at.part.value / 2 == 1, right = at.part.value % 2 == 1;
      Pixel taps[FIRST_TAPS];
#pragma HLS ARRAY_PARTITION variable=taps type=complete  // wires
    taps:
      for (int tap = 0; tap < FIRST_TAPS; ++tap) {
#pragma HLS UNROLL  // one of four positions in the patch
        const int r = tap / 3, c = tap % 3;
        const Pixel above = right ? patch[r][c + 1] : patch[r][c];
        const Pixel below = right ? patch[r + 1][c + 1] : patch[r + 1][c];
        taps[tap] = lower ? below : above;
      }
      Slice bits, flip;
      Sum sums[FIRST_PE];
#pragma HLS ARRAY_PARTITION variable=sums type=complete  // wires
      window_bits(taps, at.group.value, kernels, bits, flip, sums);
      hit = at.part.value == 0 ? bits : Slice(hit | bits);
      given = hit ^ flip;
      number = at.group_of_word.value;
      place = at.group.value / SLICES;
      gives = at.part.last && !valued;
      if (FIRST_VALUED) {
      greatest:
        for (int p = 0; p < FIRST_PE; ++p) {
#pragma HLS UNROLL  // a comparison each
          if (at.part.value == 0 || sums[p] > best[p]) best[p] = sums[p];
        }
      word_bits:
        for (int n = 0; n < SIMD; ++n) {
#pragma HLS UNROLL  // registers
          const int channel = n % VALUE_BITS * (SIMD / VALUE_BITS) + n / VALUE_BITS;  // in the order of the values
          if (number == channel / FIRST_PE) word[n] = given[channel % FIRST_PE];
        }
      }
    } else if (FIRST_VALUED && at.give_values) {
      given = value_slice(f, at.group.value, at.value.value, factors, best);
      number = (at.group.value * VALUE_BITS + at.value.value) % SLICES;
      place = f.value_word + (at.group.value * VALUE_BITS + at.value.value) / SLICES;
      gives = true;
    } else if (FIRST_VALUED && at.give_word) {
      turn_word(word, given);
      number = at.piece.value;
      place = at.group.value / SLICES;
      gives = true;
    }
    if (gives) {
      const int address = base + y.value * f.row_stride + (block >> LANE_BITS) * f.words + place;
      writes.write(slice_write(block & LANE_MASK, address, number, given));
    }
    if (at.slot.last) {
    shift_rows:
      for (int r = 0; r < 4; ++r) {
#pragma HLS UNROLL  // registers
        const Pixel second = patch[r][1], third = patch[r][2], fourth = patch[r][3];
        patch[r][0] = pool ? third : second;
        patch[r][1] = pool ? fourth : third;
        patch[r][2] = fresh[0][r];
        patch[r][3] = fresh[1][r];
      }
    }

    // The next cycle.
    const bool next_block = at.slot.last, next_row = next_block && x.last;
    const bool computes = x.value >= Index(lead - 1) && !x.last;  // the next block does
    at.read = next_block || (at.read && !(at.row.last && at.column.last));
    const bool part_end = at.compute && at.part.last, values_end = at.give_values && at.value.last;
    const bool word_end = at.give_word && at.piece.last;
    const bool group_given = values_end || (part_end && !at.values);  // but for its word
    const bool completes = valued && at.group_of_word.last;
    const bool next_group = word_end || (group_given && !completes);
    step(at.value, values, at.give_values);
    step(at.piece, slices, at.give_word);
    step(at.part, block_parts, at.compute);
    at.compute = next_block ? computes : (at.compute && !part_end) || (next_group && !at.group.last);
    at.give_values = at.give_values ? !values_end : part_end && at.values;
    at.give_word = at.give_word ? !word_end : group_given && completes;
    step(at.column, new_columns, at.row.last);
    step(at.row, new_rows, true);
    at.values = next_block ? valued : at.values && !(next_group && at.group_of_values.last);
    step(at.group, groups, next_group);
    step(at.group_of_word, slices, next_group);
    step(at.group_of_values, value_groups, next_group);
    step(at.slot, slots, true);
    if (next_block) {
      slots = computes ? block_slots : lead_slots;
      restart(at.slot, slots);
      restart(at.row, new_rows);
      restart(at.column, new_columns);
      restart(at.part, block_parts);
      restart(at.group, groups);
      restart(at.group_of_word, slices);
      restart(at.group_of_values, value_groups);
    }
    more = more && !(next_row && y.last);
    step(y, rows, next_row);
    step(x, columns, next_block);
  }
}

// Sends the bits of one image to where `control` says: lane in the upper half, address in the lower.
inline void convolve(const Window& f, WordStream& places, const Pixel buffer[IMAGE_PIXELS],
                     const Beat kernels[FIRST_CHANNELS], const Factors factors, WriteStream& writes) {
  const Word place = places.read();
  if (f.groups > 0) {
    send_convolved(f, low16(place), buffer, kernels, factors, writes);
  } else if (f.pixels) {
    send_pixels(f, low16(place), buffer, writes);
  } else if (f.planes > 0) {
    send_planes(f, high16(place), low16(place), buffer, writes);
  } else {
    send_packed(f, high16(place), low16(place), buffer, writes);
  }
}

// All images: while one is convolved, the next one is unpacked into the other buffer.
inline void first_images(int count, const Image& image, const Window& window, const Table table,
                         const Beat kernels[FIRST_CHANNELS], const Factors factors, WordStream& places,
                         BeatStream& beats, WriteStream& writes) {
images:
  for (int i = 0; i < count; ++i) {
#pragma HLS DATAFLOW  // the two functions run at the same time, on two images
    Pixel buffer[IMAGE_PIXELS];
#pragma HLS BIND_STORAGE variable=buffer type=ram_s2p impl=bram  // one read and one write port, twice
    unpack(image, table, beats, buffer);
    convolve(window, places, buffer, kernels, factors, writes);
  }
}

// The process. `config`: the program's header, the number of images and where each image goes.
inline void first_layer(WordStream& config, BeatStream& beats, WriteStream& writes) {
  Word header[H_WORDS];
#pragma HLS ARRAY_PARTITION variable=header type=complete  // the fields are used together
header_words:
  for (int n = 0; n < H_WORDS; ++n) {
#pragma HLS PIPELINE II=1  // one word a cycle
    header[n] = config.read();
  }
  const int count = to_int(config.read());
  const bool pool = get(header, H_POOL) != 0;
  const int channels = low16(header[H_FIRST_CHANNELS]);
  Image image;
  const int planes = get(header, H_FIRST_PLANES);
  const bool pixels = get(header, H_PIXEL_MAP) != 0;
  const bool flat = channels == 0 && !pixels;  // an image is its elements in a row
  image.pack = flat && planes == 0;
  image.channels = flat ? MAX_CHANNELS : get(header, H_CHANNELS);
  image.elements = to_int(header[H_ELEMENTS]);
  image.beats = to_int(header[H_IMAGE_BYTES]) / 8;
  image.steps = image.pack ? low16(header[H_OUT_WORDS]) * (SIMD / 8)
                           : flat ? round_up(image.elements, MAX_CHANNELS) : low16(header[H_PIXELS]);
  Window window;
  window.groups = channels / FIRST_PE;
  window.planes = planes;
  window.pixels = pixels;
  window.channels = image.channels;
  window.elements = image.elements;
  window.height = get(header, H_HEIGHT);
  window.width = get(header, H_WIDTH);
  window.pad = get(header, H_PAD);
  window.step = pool ? 2 : 1;
  window.out_rows = get(header, H_ROWS) >> (pool ? 1 : 0);
  window.out_columns = get(header, H_COLUMNS) >> (pool ? 1 : 0);
  window.row_stride = low16(header[H_OUT_ROW_STRIDE]);
  window.words = low16(header[H_OUT_WORDS]);
  const int values = get(header, H_VALUE_CHANNELS);
  window.value_groups = values / FIRST_PE;
  window.value_word = channels / SIMD;
  window.value_bits = get(header, H_VALUE_BITS);
  window.shift = get(header, H_SHIFT);

  Table table;
#pragma HLS ARRAY_PARTITION variable=table type=complete dim=1    // eight look-ups a cycle
#pragma HLS BIND_STORAGE variable=table type=ram_s2p impl=lutram  // small: keeps the block RAM free
  Beat kernels[FIRST_CHANNELS];
#pragma HLS ARRAY_PARTITION variable=kernels type=cyclic factor=FIRST_PE  // FIRST_PE channels a cycle
#pragma HLS BIND_STORAGE variable=kernels type=ram_s2p impl=lutram        // short ones: keeps the block RAM free
  Factors factors;
#pragma HLS ARRAY_PARTITION variable=factors type=complete dim=1    // a slice's values a cycle
#pragma HLS BIND_STORAGE variable=factors type=ram_s2p impl=lutram  // short ones, as the beats
  load_first(beats, channels, values, table, kernels, factors);
  first_images(count, image, window, table, kernels, factors, config, beats, writes);
}

}  // namespace bnn

#endif
