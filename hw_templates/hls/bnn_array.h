// The array: one group of PE output channels of a convolution or dense layer.
#ifndef BNN_ARRAY_H
#define BNN_ARRAY_H

#include "bnn_types.h"

namespace bnn {

// Number of ones.
inline Acc popcount(Vector bits) {
#pragma HLS INLINE  // part of the array's pipeline
  Acc count = 0;
#ifdef __SYNTHESIS__
  for (int i = 0; i < SIMD; ++i) {
#pragma HLS UNROLL  // one adder tree
    count += bits[i];
  }
#else
  unsigned total = 0;
  for (int i = 0; i < SIMD; i += 64) {
    total += __builtin_popcountll(ap_uint<64>(bits >> i).to_uint64());
  }
  count = total;
#endif
  return count;
}

// What a layer's pass over its images needs beside its descriptor.
struct Pass {
  int images;       // images to work on
  int source;       // base of the source
  int write_first;  // image number of the first image when written by image
  int weights;      // position of the group's header in the weight memory
};

// Runs group `group` of a layer. A cycle multiplies one input word of LANES columns with PE
// weight vectors; finished bits leave one cycle later, or one lane a cycle (serial), while the
// next sum goes on. In a score layer `pass.images` is at most LANES and the scores stay in `result`.
// Returns the cycles in which the array multiplied.
inline int run_group(const Word d[D_WORDS], int group, const Pass& pass, const WeightMemory weights, ActMemory act,
                     ap_int<32> result[LANES][PE]) {
  const Word flags = d[D_FLAGS];
  const bool wide = flags[F_3X3], pool = flags[F_POOL], serial = flags[F_SERIAL], score = flags[F_SCORES];
  const bool dense = flags[F_DENSE], pad_one = flags[F_PAD_ONE];
  const int pad = flags[F_PAD] ? 1 : 0;
  const int taps = wide ? 3 : 1;
  const int tap_words = d[D_TAP_WORDS], rows = d[D_ROWS], blocks = d[D_BLOCKS];
  const int height = d[D_INPUT_SIZE] & 0xFFFF, width = d[D_INPUT_SIZE] >> 16;
  const int src_image = d[D_SRC_IMAGE], src_row = d[D_SRC_ROW];
  const int dst = d[D_DST], dst_image = d[D_DST_IMAGE], dst_row = d[D_DST_ROW], dst_words = d[D_DST_WORDS];
  const int out_columns = d[D_OUT_COLUMNS], last_bits = d[D_LAST_BITS];
  const int images = dense ? (pass.images + LANES - 1) >> LANE_BITS : pass.images;
  const int channel = group * PE;
  const int out_word = channel >> SIMD_BITS, out_bit = channel & (SIMD - 1);
  const Vector ones = ~Vector(0);
  const Vector last_pad = last_bits >= SIMD ? ones : Vector(~(ones << last_bits));

  Acc threshold[PE];
  bool flip[PE];
  ap_int<32> offset[PE];
  ap_int<16> scale[PE];
  Acc acc[PE][LANES];
  ap_uint<PE> upper[LANES / 2];   // the pool's upper row
  ap_uint<PE> out[LANES];         // finished bits
#pragma HLS ARRAY_PARTITION variable=threshold complete  // every PE uses its own each cycle
#pragma HLS ARRAY_PARTITION variable=flip complete       // every PE uses its own each cycle
#pragma HLS ARRAY_PARTITION variable=offset complete     // every PE uses its own each cycle
#pragma HLS ARRAY_PARTITION variable=scale complete      // every PE uses its own each cycle
#pragma HLS ARRAY_PARTITION variable=acc complete dim=0  // all accumulators add each cycle
#pragma HLS ARRAY_PARTITION variable=upper complete      // all lanes pool in the same cycle
#pragma HLS ARRAY_PARTITION variable=out complete        // all lanes finish in the same cycle

  const int second_header = (pass.weights + 1) & (WEIGHT_DEPTH - 1);
header:
  for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // every PE has its own weight memory
    const Vector first = weights[p][pass.weights];
    threshold[p] = Acc(first);
    flip[p] = first[16];
    offset[p] = ap_int<32>(ap_uint<32>(first));
    scale[p] = ap_int<16>(ap_uint<16>(weights[p][second_header]));
  }
  const int first_weight = (pass.weights + (score ? 2 : 1)) & (WEIGHT_DEPTH - 1);

  int i = 0, y = 0, b = 0, dy = 0, ky = 0, kx = 0, c = 0, weight = first_weight;
  int pending = 0;                     // writes left for the finished block
  int next = 0;                        // next lane to write
  int done_i = 0, done_y = 0, done_b = 0;  // the finished block
  int busy = 0;
  bool more = images > 0;
step:
  while (more || pending > 0) {
#pragma HLS PIPELINE II=1  // the array multiplies every cycle
#pragma HLS DEPENDENCE variable=act inter false  // a layer's source and destination do not overlap
    const bool last_word = ky == taps - 1 && kx == taps - 1 && c == tap_words - 1;
    const bool stall = last_word && pending > 1;  // the block before has not left yet
    const bool compute = more && !stall;

    // Writes.
    if (pending > 0) {
      const int valid = pool ? LANES / 2 : LANES;
      const int first_x = done_b * valid;
      const int number = pass.write_first + done_i;
      const int serial_x = first_x + next;
      for (int m = 0; m < LANES; ++m) {
#pragma HLS UNROLL  // every lane writes its own memory
        const int lane = serial ? next : (m - first_x) & LANE_MASK;
        const int x = first_x + lane;
        const bool mine = serial ? m == (number & LANE_MASK) && serial_x < out_columns
                                 : lane < valid && x < out_columns;
        const int address = serial ? dst + (number >> LANE_BITS) * dst_image +
                                         done_y * dst_row + serial_x * dst_words
                                   : dst + done_i * dst_image + done_y * dst_row + (x >> LANE_BITS) * dst_words;
        if (mine) write_bits<PE>(act[m], address + out_word, out_bit, out[lane]);
      }
      ++next;
      --pending;
    }

    // One word of the sum.
    if (compute) {
      const int row = y + dy + ky - pad;
      const int left = b * LANES + kx - pad;
      Vector read[LANES];
#pragma HLS ARRAY_PARTITION variable=read complete  // all lanes read in the same cycle
      for (int m = 0; m < LANES; ++m) {
#pragma HLS UNROLL  // every lane's memory is read once
        const int x = left + ((m - left) & LANE_MASK);
        const bool inside = row >= 0 && row < height && x >= 0 && x < width;
        const int address =
            inside ? pass.source + i * src_image + row * src_row + (x >> LANE_BITS) * tap_words + c : 0;
        Vector word = 0;
        for (int s = 0; s < SLICES; ++s) {
#pragma HLS UNROLL  // the slices of a word
          word |= Vector(act[m][s][address]) << (s * FIRST_PE);
        }
        const Vector padding = !pad_one ? Vector(0) : c == tap_words - 1 ? last_pad : ones;
        read[m] = inside ? word : padding;
      }
      const bool first_word = ky == 0 && kx == 0 && c == 0;
      for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // PE output channels
        const Vector vector = weights[p][weight];
        for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // LANES columns or images
          const Vector match = ~(vector ^ read[(left + l) & LANE_MASK]);
          acc[p][l] = (first_word ? Acc(0) : acc[p][l]) + popcount(match);
        }
      }
      ++busy;

      if (last_word) {
        ap_uint<PE> hit[LANES];
#pragma HLS ARRAY_PARTITION variable=hit complete  // all lanes finish in the same cycle
        for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // LANES columns or images
          for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // PE output channels
            hit[l][p] = acc[p][l] >= threshold[p];
            if (score) result[l][p] = ap_int<32>(scale[p] * ap_int<ACC_BITS + 1>(acc[p][l]) + offset[p]);
          }
        }
        ap_uint<PE> flips = 0;
        for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // PE output channels
          flips[p] = flip[p];
        }
        for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // LANES columns or images
          if (!pool) out[l] = hit[l] ^ flips;
        }
        for (int j = 0; j < LANES / 2; ++j) {
#pragma HLS UNROLL  // pairs of columns
          const ap_uint<PE> pair = hit[2 * j] | hit[2 * j + 1];
          if (pool && dy == 1) out[j] = (upper[j] | pair) ^ flips;
          if (pool && dy == 0) upper[j] = pair;
        }
        if (!pool || dy == 1) {
          pending = score ? 0 : !serial ? 1 : pool ? LANES / 2 : LANES;
          next = 0;
          done_i = i;
          done_y = pool ? y / 2 : y;
          done_b = b;
        }
      }

      // The next word: c, kx, ky, dy, b, y, i from the inside out.
      weight = last_word ? first_weight : (weight + 1) & (WEIGHT_DEPTH - 1);
      if (++c == tap_words) {
        c = 0;
        if (++kx == taps) {
          kx = 0;
          if (++ky == taps) {
            ky = 0;
            if (++dy == (pool ? 2 : 1)) {
              dy = 0;
              if (++b == blocks) {
                b = 0;
                y += pool ? 2 : 1;
                if (y >= rows) {
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
  return busy;
}

// Writes `count` scores from number `first` on. Scores are 32 bits and a beat has two: where only
// one is ours the beat is read and written back.
inline void store_scores(const ap_int<32> values[PE], int first, int count, Beat* scores) {
store:
  for (int beat = first / 2; beat <= (first + count - 1) / 2; ++beat) {
    const int low = 2 * beat - first;
    const bool has_low = low >= 0, has_high = low + 1 < count;
    Beat data = has_low && has_high ? Beat(0) : scores[beat];
    if (has_low) data.range(31, 0) = ap_uint<32>(values[low]);
    if (has_high) data.range(63, 32) = ap_uint<32>(values[low + 1]);
    scores[beat] = data;
  }
}

}  // namespace bnn

#endif
