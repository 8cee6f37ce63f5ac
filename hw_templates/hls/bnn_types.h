// Types and memories that the engines share.
#ifndef BNN_TYPES_H
#define BNN_TYPES_H

#include <ap_int.h>

#include "bnn_design.h"

namespace bnn {

constexpr bool is_power_of_two(int value) { return value > 0 && (value & (value - 1)) == 0; }
constexpr int log2_of(int value) { return value <= 1 ? 0 : 1 + log2_of(value / 2); }

static_assert(is_power_of_two(SIMD) && SIMD >= 32 && SIMD <= 256, "SIMD must be a power of two from 32 to 256.");
static_assert(is_power_of_two(PE) && PE >= 4 && PE <= SIMD && PE <= 128,
              "PE must be a power of two from 4 to SIMD, at most 128: the program's geometry has 8 bits for it.");
static_assert(is_power_of_two(LANES) && LANES >= 2 && LANES <= 16, "LANES must be a power of two from 2 to 16.");
static_assert(is_power_of_two(FIRST_PE) && FIRST_PE >= 4 && FIRST_PE <= PE,
              "FIRST_PE must be a power of two from 4 to PE.");
static_assert(is_power_of_two(WEIGHT_DEPTH) && WEIGHT_DEPTH <= 32768,
              "WEIGHT_DEPTH must be a power of two, so that the ring wraps by dropping bits, and fit its register.");
static_assert(is_power_of_two(ACT_DEPTH) && ACT_DEPTH <= 32768,
              "ACT_DEPTH must be a power of two and fit its register.");
static_assert(is_power_of_two(IMAGE_PIXELS) && IMAGE_PIXELS <= 32768,
              "IMAGE_PIXELS must be a power of two and fit its register.");
static_assert(is_power_of_two(MAX_LAYERS) && MAX_LAYERS <= 256, "MAX_LAYERS must be a power of two up to 256.");
static_assert(MAX_CHANNELS == 4, "MAX_CHANNELS must be 4: a beat of the first layer has 4 weight bits per tap.");
static_assert(ACC_BITS == 16, "ACC_BITS must be 16: a threshold has 16 bits.");
static_assert(FIRST_CHANNELS % FIRST_PE == 0, "FIRST_CHANNELS must be a multiple of FIRST_PE.");

// A word of activations is stored in slices of FIRST_PE bits, the smallest piece that an engine
// writes, so that a write of some bits needs no read.
constexpr int SLICES = SIMD / FIRST_PE;
constexpr int LANE_BITS = log2_of(LANES);
constexpr int LANE_MASK = LANES - 1;
constexpr int SIMD_BITS = log2_of(SIMD);

typedef ap_uint<64> Beat;
typedef ap_uint<32> Word;
typedef ap_uint<SIMD> Vector;
typedef ap_uint<FIRST_PE> Slice;
typedef ap_uint<ACC_BITS> Acc;

typedef Slice ActMemory[LANES][SLICES][ACT_DEPTH];
typedef Vector WeightMemory[PE][WEIGHT_DEPTH];

// Words of the program's header.
enum Header {
  H_MAGIC, H_VERSION, H_GEOMETRY, H_SIZE, H_LAYERS, H_LAYERS_A, H_SUB_BATCH, H_BATCH, H_RESIDENT,
  H_DESCRIPTORS, H_WEIGHTS_A, H_WORDS_A, H_WEIGHTS_B, H_WORDS_B, H_FIRST, H_FIRST_CHANNELS,
  H_IMAGE_BYTES, H_CLASSES, H_FIRST_PE, H_PIXELS, H_IMAGE_SIZE, H_IMAGE_FLAGS, H_COMPUTED,
  H_OUT_EVEN, H_OUT_ODD, H_OUT_IMAGE, H_OUT_ROW, H_OUT_WORDS, H_ELEMENTS, H_WORDS = 32
};

// Words of a descriptor.
enum Descriptor {
  D_FLAGS, D_GROUPS, D_TAP_WORDS, D_ROWS, D_COLUMNS, D_BLOCKS, D_INPUT_SIZE, D_SRC_EVEN, D_SRC_ODD,
  D_SRC_IMAGE, D_SRC_ROW, D_DST, D_DST_IMAGE, D_DST_ROW, D_DST_WORDS, D_GROUP_WORDS, D_LAST_BITS,
  D_OUTPUTS, D_OUT_COLUMNS, D_WORDS = 32
};

// Bits of a descriptor's flags.
enum Flag {
  F_3X3, F_PAD, F_PAD_ONE, F_POOL, F_SERIAL, F_SCORES, F_DENSE, F_FROM_FIRST, F_SEGMENT_END, F_BATCH_SOURCE
};

constexpr unsigned MAGIC = 0x504E4E42;
constexpr unsigned VERSION = 1;
constexpr unsigned GEOMETRY = PE | LANES << 8 | SIMD << 16;

// Writes one PE's or one first-layer group's bits of an activation word: bits [bit +: WIDTH].
// The write that starts a word clears its other bits.
template <int WIDTH>
void write_bits(Slice memory[SLICES][ACT_DEPTH], int address, int bit, ap_uint<WIDTH> value) {
#pragma HLS INLINE  // part of the engine's pipeline
  const int first = bit / FIRST_PE;
  for (int s = 0; s < SLICES; ++s) {
#pragma HLS UNROLL  // every slice is its own memory
    const int from = s - first;
    const bool mine = from >= 0 && from < WIDTH / FIRST_PE;
    if (mine || bit == 0) {
      memory[s][address] = mine ? Slice(value >> (from * FIRST_PE)) : Slice(0);
    }
  }
}

}  // namespace bnn

#endif
