// A layer as the kernels run it: geometry in bytes, weights laid out for one instruction set. Plain data, so that files
// compiled for different instruction sets share no code of the standard library.
#ifndef BNN_STEP_H
#define BNN_STEP_H

#include <cstddef>
#include <cstdint>

namespace bnn {

// The work on one base and one plane.
struct Pass {
  ptrdiff_t weights;  // from the block's weights
  ptrdiff_t plane;    // from the first plane
  int shift;          // of the sums before it, to the left
  int base;
};

enum class Shortcut { NONE, SAME, STRIDED, AVERAGED };

struct Step {
  // What it reads. A window is `kernel_rows` rows of `run` units each: words of 64 channels, or 8-bit pixels of 4
  // bytes.
  int kernel_rows, run, channels;
  ptrdiff_t in_image, in_row, window_row, window_column;  // the last two from window to window

  // What it gives, before the pool and behind it.
  int out_rows, out_columns;
  bool pool;
  int outputs;
  ptrdiff_t out_image, out_plane, out_row, out_pixel;  // of planes, in bytes
  ptrdiff_t value_image, value_row;                    // of values, in elements

  // Passes, in the order in which the sums shift left between two of them, and weights by blocks of outputs.
  const Pass *passes;
  int pass_count;
  int blocks, block_outputs;
  const uint8_t *weights;
  ptrdiff_t block_bytes;
  const int32_t *bias;  // of 8-bit sums: (M, padded outputs)

  // Thresholds (K, padded outputs) and flips (padded outputs / 8), which are 0 for outputs that there are not. Those of
  // sums of bits are on the kernels' own sums: minus the mismatches of all passes.
  const int32_t *limits;
  const uint8_t *flips;
  int planes;
  int padded;

  // The rest is of values and scores.
  bool requantised, average, scores;
  bool value;                     // is kept
  bool value_bits;                // planes are the bits of the value
  int64_t sum_offset;             // F times the sum of the coefficients, 0 of 8-bit sums
  int fan_in;                     // F, 0 of 8-bit sums
  const int32_t *coefficients;    // (passes, padded outputs); null: `scale`
  const int32_t *scale, *offset;  // (padded outputs)
  int shift, low, high;
  Shortcut shortcut;
  int shortcut_channels;
  ptrdiff_t shortcut_image, shortcut_row;  // in elements
  int average_elements;                    // an average: pixels of the value that it reads
};

// The part of a layer's work that one thread does: outputs [block_begin, block_end) in blocks, at the pixels [begin,
// end) of all images' outputs, counted in the order image, row, column.
struct Task {
  const uint8_t *in;  // the first window; of an average the values
  uint8_t *out;
  int16_t *values;
  const int16_t *shortcut;
  int32_t *scores;  // of the first image
  int64_t begin, end;
  int block_begin, block_end;
};

// An instruction set: how it wants weights laid out, and what it runs.
//
// Words of weights of a layer of bits: [block][base][part][row][column][group][lane], where output
// ((part * groups + group) * lanes + lane) of the block is in a lane of 64 bits.
// Bytes of weights of the 8-bit layer, -1, 0 and +1: [block][base][row][column][channel / together][output][channel %
// together].
struct Isa {
  const char *name;
  bool (*runs_here)();
  int parts, groups, lanes;
  int pixel_outputs;  // of a block of the 8-bit layer
  int together;       // 4 or 1
  int pixel_offset;   // added to 8-bit pixels, to make them unsigned: 128 or 0
  int macs_per_ns;    // about, of the sums of bits in one thread: what decides whether work is worth sharing
  void (*bits)(const Step &, const Task &);
  void (*pixels)(const Step &, const Task &);
  double (*peak)(long repeats);  // binary multiply-accumulates done
};

// Which of them there are for this processor and compiler: GCC compiles each file for its set, clang needs to be told.
#if defined(__x86_64__) && defined(__GNUC__) && (!defined(__clang__) || defined(__AVX512VPOPCNTDQ__))
#define BNN_AVX512
#endif
#if defined(__x86_64__) && defined(__GNUC__) && (!defined(__clang__) || defined(__AVX2__))
#define BNN_AVX2
#endif
#if defined(__aarch64__) || (defined(__arm__) && defined(__GNUC__) && (!defined(__clang__) || defined(__ARM_NEON)))
#define BNN_NEON
#endif
extern const Isa isa_avx512, isa_avx2, isa_neon, isa_portable;

// Those that were compiled, fastest first.
extern const Isa *const isas[];
extern const int isa_count;

}  // namespace bnn

#endif
