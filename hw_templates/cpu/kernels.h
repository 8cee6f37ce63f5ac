// The loops over blocks of outputs and pixels, and what becomes of the sums. Each instruction set's file includes this
// once, behind the definition of `Set`, so all of it is compiled for that set alone; nothing here may come from the
// standard library.
//
// `Set` has
//   Ints                      a vector of INTS int32
//   load, store, max          of Ints
//   at_least(a, limits)       bits of a >= limits[0 ... INTS), the first output's in bit 0
//   Bits, Pixels              the two kinds of sums, each with OUTPUTS of a block and
//     sums<P>(step, block, in, weights, first, last, found)
//                             the sums of passes [first, last) for P windows that start at in[0 ... P)
#ifndef BNN_KERNELS_H
#define BNN_KERNELS_H

#include "step.h"

namespace bnn {
namespace {

constexpr int PIXELS = 4;  // windows side by side, which share every weight that is loaded

// Where an output pixel is.
struct Place {
  ptrdiff_t image;
  int row, column;
};

inline Place place_of(const Step &step, int64_t pixel) {
  const int64_t of_image = int64_t(step.out_rows) * step.out_columns;
  return {ptrdiff_t(pixel / of_image), int(pixel % of_image / step.out_columns), int(pixel % step.out_columns)};
}

inline void advance(const Step &step, Place &place) {
  if (++place.column < step.out_columns) return;
  place.column = 0;
  if (++place.row < step.out_rows) return;
  place.row = 0;
  place.image++;
}

inline const uint8_t *window(const Step &step, const Task &task, const Place &place, int down = 0, int right = 0) {
  const int scale = step.pool ? 2 : 1;
  return task.in + place.image * step.in_image + (scale * place.row + down) * step.window_row +
         (scale * place.column + right) * step.window_column;
}

// The next 1 to PIXELS windows, all of one output where there is a pool. `count` of them are different; the others
// repeat the last, so that there is one kernel for any number.
struct Batch {
  const uint8_t *in[PIXELS];
  Place places[PIXELS];
  int count;    // windows
  int outputs;  // output pixels
};

inline void next_batch(const Step &step, const Task &task, Place &place, int64_t left, Batch &batch) {
  if (step.pool) {
    batch.places[0] = place;
    for (int i = 0; i < PIXELS; i++) batch.in[i] = window(step, task, place, i / 2, i % 2);
    batch.count = PIXELS;
    batch.outputs = 1;
    advance(step, place);
    return;
  }
  batch.count = batch.outputs = left < PIXELS ? int(left) : PIXELS;
  for (int i = 0; i < PIXELS; i++) {
    const int from = i < batch.count ? i : batch.count - 1;
    if (i == from) {
      batch.places[i] = place;
      batch.in[i] = window(step, task, place);
      advance(step, place);
    } else {
      batch.in[i] = batch.in[from];
    }
  }
}

inline uint8_t *planes_at(const Step &step, const Task &task, const Place &place) {
  return task.out + place.image * step.out_image + place.row * step.out_row + place.column * step.out_pixel;
}

// Writes one bit of each output of a block: sums[o] >= limits[o], flipped.
template <int OUTPUTS>
inline void write_bits(const typename Set::Ints *sums, const int32_t *limits, const uint8_t *flips, uint8_t *out) {
  static_assert(OUTPUTS <= 64, "the bits of a block fit a word");
  uint64_t bits = 0, flip = 0;
  for (int v = 0; v < OUTPUTS / Set::INTS; v++)
    bits |= uint64_t(Set::at_least(sums[v], limits + v * Set::INTS)) << v * Set::INTS;
  __builtin_memcpy(&flip, flips, OUTPUTS / 8);
  bits ^= flip;
  __builtin_memcpy(out, &bits, OUTPUTS / 8);
}

// A layer whose planes come from thresholds on its sums: from the first XOR to the bits in registers.
template <class Sums>
void run_thresholds(const Step &step, const Task &task) {
  constexpr int VECTORS = Sums::OUTPUTS / Set::INTS;
  for (int block = task.block_begin; block < task.block_end; block++) {
    const uint8_t *weights = step.weights + block * step.block_bytes;
    const int first = block * Sums::OUTPUTS;
    Place place = place_of(step, task.begin);
    Batch batch;
    for (int64_t pixel = task.begin; pixel < task.end; pixel += batch.outputs) {
      next_batch(step, task, place, task.end - pixel, batch);
      typename Set::Ints sums[PIXELS][VECTORS];
      if (batch.count == 1)
        Sums::template sums<1>(step, block, batch.in, weights, 0, step.pass_count, sums);
      else
        Sums::template sums<PIXELS>(step, block, batch.in, weights, 0, step.pass_count, sums);
      if (step.pool)
        for (int v = 0; v < VECTORS; v++)
          sums[0][v] = Set::max(Set::max(sums[0][v], sums[1][v]), Set::max(sums[2][v], sums[3][v]));
      for (int i = 0; i < batch.outputs; i++) {
        uint8_t *out = planes_at(step, task, batch.places[i]) + first / 8;
        for (int k = 0; k < step.planes; k++)
          write_bits<Sums::OUTPUTS>(sums[i], step.limits + ptrdiff_t(k) * step.padded + first, step.flips + first / 8,
                                    out + k * step.out_plane);
      }
    }
  }
}

// The sums of a block, wide, with the coefficients.
template <class Sums, int P>
inline void wide_sums(const Step &step, int block, const uint8_t *const *in, int64_t (*wide)[Sums::OUTPUTS]) {
  constexpr int OUTPUTS = Sums::OUTPUTS;
  const uint8_t *weights = step.weights + block * step.block_bytes;
  typename Set::Ints sums[PIXELS][OUTPUTS / Set::INTS];
  int32_t found[OUTPUTS];
  const int each = step.coefficients ? 1 : step.pass_count;
  for (int pass = 0; pass < step.pass_count; pass += each) {
    Sums::template sums<P>(step, block, in, weights, pass, pass + each, sums);
    for (int i = 0; i < P; i++) {
      for (int v = 0; v < OUTPUTS / Set::INTS; v++) Set::store(found + v * Set::INTS, sums[i][v]);
      if (!step.coefficients) {
        for (int o = 0; o < OUTPUTS; o++) wide[i][o] = step.sum_offset + found[o];
      } else {
        const int32_t *own = step.coefficients + ptrdiff_t(pass) * step.padded + block * OUTPUTS;
        for (int o = 0; o < OUTPUTS; o++)
          wide[i][o] = (pass ? wide[i][o] : 0) + int64_t(own[o]) * (step.fan_in + found[o]);
      }
    }
  }
}

// Adds the shortcut at one pixel to outputs [first, first + count).
inline void add_shortcut(const Step &step, const Task &task, const Place &place, int first, int count, int64_t *wide) {
  const int left = step.shortcut_channels - first;
  if (count > left) count = left;
  const ptrdiff_t column = step.shortcut_channels, row = step.shortcut_row;
  const int16_t *from = task.shortcut + place.image * step.shortcut_image + first;
  const int scale = step.shortcut == Shortcut::SAME ? 1 : 2;
  from += scale * place.row * row + scale * place.column * column;
  if (step.shortcut == Shortcut::AVERAGED)
    for (int o = 0; o < count; o++)
      wide[o] += (from[o] + from[o + column] + from[o + row] + from[o + row + column] + 2) >> 2;
  else
    for (int o = 0; o < count; o++) wide[o] += from[o];
}

// Values of a block at one pixel before the pool, of its sums.
template <int OUTPUTS>
inline void to_values(const Step &step, const Task &task, const Place &place, int first, int64_t *wide,
                      int32_t *values) {
  if (!step.requantised) {
    for (int o = 0; o < OUTPUTS; o++) values[o] = int32_t(wide[o]);
    return;
  }
  const int32_t *scale = step.scale + first, *offset = step.offset + first;
  for (int o = 0; o < OUTPUTS; o++) wide[o] = (wide[o] * scale[o] + offset[o]) >> step.shift;
  if (step.shortcut != Shortcut::NONE) add_shortcut(step, task, place, first, OUTPUTS, wide);
  for (int o = 0; o < OUTPUTS; o++) {
    const int64_t capped = wide[o] > step.high ? step.high : wide[o];
    values[o] = int32_t(capped < step.low ? step.low : capped);
  }
}

// Writes the value and the planes of a block at one pixel.
template <int OUTPUTS>
inline void write_values(const Step &step, const Task &task, const Place &place, int first, const int32_t *values) {
  if (step.value) {
    int16_t *to = task.values + place.image * step.value_image + place.row * step.value_row +
                  place.column * ptrdiff_t(step.outputs) + first;
    const int count = step.outputs - first < OUTPUTS ? step.outputs - first : OUTPUTS;
    for (int o = 0; o < count; o++) to[o] = int16_t(values[o]);
  }
  if (!step.planes) return;
  typename Set::Ints sums[OUTPUTS / Set::INTS];
  uint8_t *out = planes_at(step, task, place) + first / 8;
  for (int k = 0; k < step.planes; k++) {
    int32_t plane[OUTPUTS];
    const int place_of_bit = step.value_bits ? step.planes - 1 - k : 0;
    for (int o = 0; o < OUTPUTS; o++) plane[o] = step.value_bits ? values[o] >> place_of_bit & 1 : values[o];
    for (int v = 0; v < OUTPUTS / Set::INTS; v++) sums[v] = Set::load(plane + v * Set::INTS);
    write_bits<OUTPUTS>(sums, step.limits + ptrdiff_t(k) * step.padded + first, step.flips + first / 8,
                        out + k * step.out_plane);
  }
}

template <int OUTPUTS>
inline void write_scores(const Step &step, const Task &task, const Place &place, int first, const int64_t *wide) {
  int32_t *to = task.scores + place.image * step.outputs;
  for (int o = 0; o < OUTPUTS && first + o < step.outputs; o++)
    to[first + o] = int32_t(uint32_t(wide[o] * step.scale[first + o] + step.offset[first + o]));
}

// A layer with a value, or the one with the scores.
template <class Sums>
void run_values(const Step &step, const Task &task) {
  constexpr int OUTPUTS = Sums::OUTPUTS;
  int64_t wide[PIXELS][OUTPUTS];
  int32_t values[PIXELS][OUTPUTS];
  for (int block = task.block_begin; block < task.block_end; block++) {
    const int first = block * OUTPUTS;
    Place place = place_of(step, task.begin);
    Batch batch;
    for (int64_t pixel = task.begin; pixel < task.end; pixel += batch.outputs) {
      next_batch(step, task, place, task.end - pixel, batch);
      if (batch.count == 1)
        wide_sums<Sums, 1>(step, block, batch.in, wide);
      else
        wide_sums<Sums, PIXELS>(step, block, batch.in, wide);
      for (int i = 0; i < batch.count; i++) {
        const Place &at = batch.places[step.pool ? 0 : i];
        if (step.scores)
          write_scores<OUTPUTS>(step, task, at, first, wide[i]);
        else
          to_values<OUTPUTS>(step, task, at, first, wide[i], values[i]);
      }
      if (step.scores) continue;
      if (step.pool)
        for (int i = 1; i < PIXELS; i++)
          for (int o = 0; o < OUTPUTS; o++) values[0][o] = values[0][o] > values[i][o] ? values[0][o] : values[i][o];
      for (int i = 0; i < batch.outputs; i++) write_values<OUTPUTS>(step, task, batch.places[i], first, values[i]);
    }
  }
}

// An average of a value over its map.
template <class Sums>
void run_average(const Step &step, const Task &task) {
  constexpr int OUTPUTS = Sums::OUTPUTS;
  for (int64_t image = task.begin; image < task.end; image++) {
    const int16_t *from = reinterpret_cast<const int16_t *>(task.in) + ptrdiff_t(image) * step.in_image;
    for (int block = task.block_begin; block < task.block_end; block++) {
      const int first = block * OUTPUTS;
      const int count = step.outputs - first < OUTPUTS ? step.outputs - first : OUTPUTS;
      int64_t wide[OUTPUTS] = {};
      int32_t values[OUTPUTS];
      for (int pixel = 0; pixel < step.average_elements; pixel++)
        for (int o = 0; o < count; o++) wide[o] += from[ptrdiff_t(pixel) * step.outputs + first + o];
      const Place place = {ptrdiff_t(image), 0, 0};
      to_values<OUTPUTS>(step, task, place, first, wide, values);
      write_values<OUTPUTS>(step, task, place, first, values);
    }
  }
}

template <class Sums>
void run(const Step &step, const Task &task) {
  if (step.average)
    run_average<Sums>(step, task);
  else if (step.requantised)
    run_values<Sums>(step, task);
  else
    run_thresholds<Sums>(step, task);
}

}  // namespace
}  // namespace bnn

#endif
