// Types that the processes share, and the constraints on a design.
#ifndef BNN_TYPES_H
#define BNN_TYPES_H

#include <ap_int.h>
#include <hls_stream.h>

#include "bnn_contract.h"
#include "bnn_design.h"
#include "bnn_loop.h"

namespace bnn {

constexpr bool is_power_of_two(int value) { return value > 0 && (value & (value - 1)) == 0; }
constexpr int log2_of(int value) { return value <= 1 ? 0 : 1 + log2_of(value / 2); }

static_assert(is_power_of_two(SIMD) && SIMD >= 32 && SIMD <= 256, "SIMD must be a power of two from 32 to 256.");
static_assert(is_power_of_two(PE) && PE >= 4 && PE <= SIMD && PE <= 128,
              "PE must be a power of two from 4 to SIMD, at most 128: the program's geometry has 8 bits for it.");
static_assert(is_power_of_two(LANES) && LANES >= 2 && LANES <= 16, "LANES must be a power of two from 2 to 16.");
static_assert(is_power_of_two(FIRST_PE) && FIRST_PE >= 4 && FIRST_PE <= PE,
              "FIRST_PE must be a power of two from 4 to PE.");
static_assert(is_power_of_two(WEIGHT_DEPTH) && WEIGHT_DEPTH >= 16 && WEIGHT_DEPTH <= 32768,
              "WEIGHT_DEPTH must be a power of two from 16, so that the ring wraps by dropping bits, to 32768.");
static_assert(is_power_of_two(ACT_DEPTH) && ACT_DEPTH >= 16 && ACT_DEPTH <= 32768,
              "ACT_DEPTH must be a power of two from 16 to 32768: an address has 16 bits.");
static_assert(is_power_of_two(IMAGE_PIXELS) && IMAGE_PIXELS >= 16 && IMAGE_PIXELS <= 32768,
              "IMAGE_PIXELS must be a power of two from 16 to 32768: its register has 16 bits.");
static_assert(is_power_of_two(MAX_LAYERS) && MAX_LAYERS <= 256, "MAX_LAYERS must be a power of two up to 256.");
static_assert(is_power_of_two(MAX_BATCH) && MAX_BATCH >= 2, "MAX_BATCH must be a power of two from 2.");
static_assert(ACC_BITS == T_THRESHOLD.bits, "An accumulator must have the bits of a threshold.");
static_assert(FIRST_CHANNELS % FIRST_PE == 0, "FIRST_CHANNELS must be a multiple of FIRST_PE.");

// A word of activations is stored in slices of FIRST_PE bits, the smallest piece that an engine
// writes, so that a write of some bits needs no read.
constexpr int SLICES = SIMD / FIRST_PE;
constexpr int LANE_BITS = log2_of(LANES);
constexpr int LANE_MASK = LANES - 1;
constexpr int SIMD_BITS = log2_of(SIMD);
constexpr int WORD_BEATS = PE * SIMD / 64;  // beats of a weight word
static_assert(WORD_BEATS >= 2, "A weight word must have at least 128 bits.");
constexpr int BURST_WORDS = (BURST_BEATS + WORD_BEATS - 1) / WORD_BEATS;  // weight words for which a ring has room

typedef ap_uint<64> Beat;
typedef ap_uint<32> Word;
typedef ap_uint<SIMD> Vector;
typedef ap_uint<FIRST_PE> Slice;
typedef ap_int<ACC_BITS + 1> Acc;  // matches less a threshold
typedef ap_int<32> Score;
// One slice of a word on its way into the activation memory: lane, address, number of the slice,
// its bits, from the most significant bit down.
typedef ap_uint<4 + 16 + 8 + FIRST_PE> SliceWrite;

typedef Slice ActMemory[LANES][SLICES][ACT_DEPTH];
typedef Vector WeightMemory[PE][WEIGHT_DEPTH];

typedef hls::stream<Word> WordStream;
typedef hls::stream<Beat> BeatStream;
typedef hls::stream<SliceWrite> WriteStream;
typedef hls::stream<Score> ScoreStream;

// A command to the array: a descriptor, and what `control` adds to it, with the number of words.
enum CommandWord {
  R_FINISH = D_BAND,  // 1: no layer, the run is over; in place of what only `control` makes use of
  R_LAYER,            // number of the layer
  R_START,            // number of the first image in the run
  R_IMAGES,           // images to work on
  R_SOURCE,           // base of the source
  R_SHORTCUT,         // base of the shortcut
  R_WRITE_FIRST,      // number of the first image where the destination is written by image
  R_POSITION,         // number of the layer's first weight word, counted from the start of the run
  R_RELEASE,          // 1: a group's words make room in the ring when the group is done
  R_RING,             // where the ring begins that the layer's words are in; of the first command, segment B's ring
  R_KEPT,             // words that stay in front of that, in the first command
  R_FIRST_NEED,       // slices of the first layer that must be stored before the layer starts
  R_FIRST_LIMIT,      // slices of the first layer that may be stored from now on
  COMMAND_WORDS
};
static_assert(COMMAND_WORDS % 2 == 0, "A command goes to the array two words at a time.");

constexpr unsigned GEOMETRY = insert(PE, H_PE) | insert(LANES, H_LANES) | insert(SIMD, H_SIMD);

constexpr int HEADER_BEATS = H_WORDS * 4 / BEAT_BYTES;
constexpr int DESCRIPTOR_BEATS = D_WORDS * 4 / BEAT_BYTES;
constexpr int TABLE_BEATS = TABLE_BYTES / BEAT_BYTES;  // beats of the first-layer block before its channels

// The low 16 bits of a word: every size and address of the program fits them, and multipliers of
// 16 bits are one DSP each.
inline Index index(Word word) { return Index(word.to_uint()); }
inline int low16(Word word) { return int(word.to_uint() & 0xFFFFU); }
inline int high16(Word word) { return int(word.to_uint() >> 16); }
inline int to_int(Word word) { return int(word.to_uint()); }

// Passes of a layer's sums, and how often they are handed over.
struct Passes {
  int outer, inner, hands;
};

inline Passes passes_of(const Word d[D_WORDS]) {
#pragma HLS INLINE  // a product of four bits
  const int bases = get(d, D_MORE_BASES) + 1, planes = get(d, D_MORE_PLANES) + 1;
  const bool planes_outer = get(d, D_PLANES_OUTER) != 0;
  Passes passes;
  passes.outer = planes_outer ? planes : bases;
  passes.inner = planes_outer ? bases : planes;
  passes.hands = get(d, D_HAND) == 0 ? 1 : get(d, D_HAND) == 1 ? passes.outer : bases * planes;
  return passes;
}

// Taps of a layer's kernel.
struct Taps {
  int rows, columns;
};

inline Taps taps_of(const Word d[D_WORDS]) {
#pragma HLS INLINE  // a choice
  const bool own = d[D_TAPS] != 0;
  const int edge = get(d, D_KERNEL3) ? 3 : 1;
  Taps taps;
  taps.rows = own ? get(d, D_TAP_ROWS) : edge;
  taps.columns = own ? get(d, D_TAP_COLUMNS) : edge;
  return taps;
}

// Header words of a group.
inline int header_words(const Word d[D_WORDS]) {
#pragma HLS INLINE  // a choice of three numbers
  const int planes = get(d, D_THRESHOLDS);
  if (get(d, D_VECTOR)) return passes_of(d).hands * C_WORDS + (planes == 0 ? 1 : planes) * V_WORDS;
  return get(d, D_SCORES) ? S_WORDS : T_WORDS;
}

typedef ap_int<VALUE_BITS + 1> Value;  // of either kind

// The range of values by their bits in header and descriptors: unsigned of so many, signed of VALUE_BITS for 0.
inline Value least_value(int bits) {
#pragma HLS INLINE  // a choice
  return bits == 0 ? Value(-(1 << (VALUE_BITS - 1))) : Value(0);
}

inline Value greatest_value(int bits) {
#pragma HLS INLINE  // a choice
  return bits == 0 ? Value((1 << (VALUE_BITS - 1)) - 1) : Value((1 << bits) - 1);
}

inline int smaller(int a, int b) { return a < b ? a : b; }
inline int larger(int a, int b) { return a < b ? b : a; }
inline int round_up(int value, int unit) { return (value + unit - 1) / unit; }

// Takes an element if there is one now. C simulation runs the processes one after the other, so
// that there always is one; BNN_CSIM_STALL withholds some of them, as a slow producer would.
template <typename T>
bool take(hls::stream<T>& stream, T& value) {
#pragma HLS INLINE  // part of the caller's pipeline
#if defined(BNN_CSIM_STALL) && !defined(__SYNTHESIS__)
  static unsigned state = 1;
  state = state * 1664525U + 1013904223U;
  if (state >> 24 < BNN_CSIM_STALL) return false;
#endif
  return stream.read_nb(value);
}

}  // namespace bnn

#endif
