// The first layer: a 3x3 convolution over 8-bit pixels, or packing of a binary image.
#ifndef BNN_FIRST_H
#define BNN_FIRST_H

#include "bnn_types.h"

namespace bnn {

typedef ap_int<8> Table[8][256];
typedef ap_uint<8 * MAX_CHANNELS> Pixel;
typedef ap_int<16> Sum;
static_assert(9 * MAX_CHANNELS * 128 < 32768, "A sum of the first layer must fit 16 bits.");

// Copies the table (eight copies, for eight look-ups a cycle) and the channels' beats.
inline void load_first(const Beat* program, int beat, int channels, Table table, Beat kernels[FIRST_CHANNELS]) {
table_beats:
  for (int n = 0; n < 32; ++n) {
    const Beat data = program[beat + n];
    for (int k = 0; k < 8; ++k) {
#pragma HLS PIPELINE II=1  // each copy takes one entry a cycle
      for (int copy = 0; copy < 8; ++copy) {
#pragma HLS UNROLL  // the copies are separate memories
        table[copy][8 * n + k] = ap_int<8>(ap_uint<8>(data >> (8 * k)));
      }
    }
  }
kernel_beats:
  for (int n = 0; n < channels; ++n) {
#pragma HLS PIPELINE II=1  // one beat a cycle is what the bus gives
    kernels[n] = program[beat + 32 + n];
  }
}

// Reads an image and stores table[pixel]; absent channels are 0.
inline void load_image(const Beat* image, int pixels, int channels, const Table table, Pixel buffer[IMAGE_PIXELS]) {
  ap_uint<128> bytes = 0;
  int have = 0;
  int beat = 0;
pixel_loop:
  for (int n = 0; n < pixels; ++n) {
#pragma HLS PIPELINE II=1  // a pixel takes at most one new beat
    if (have < channels) {
      bytes |= ap_uint<128>(image[beat++]) << (8 * have);
      have += 8;
    }
    Pixel pixel = 0;
    for (int c = 0; c < MAX_CHANNELS; ++c) {
#pragma HLS UNROLL  // one copy of the table per channel
      const ap_uint<8> value = ap_uint<8>(bytes >> (8 * c));
      if (c < channels) pixel |= Pixel(ap_uint<8>(table[c][value])) << (8 * c);
    }
    buffer[n] = pixel;
    bytes >>= 8 * channels;
    have -= channels;
  }
}

// One image through the convolution. A window is gathered in nine cycles, then FIRST_PE channels
// a cycle are computed from it.
inline void first_convolution(const Word header[H_WORDS], const Pixel buffer[IMAGE_PIXELS],
                              const Beat kernels[FIRST_CHANNELS], int base, ActMemory act) {
  const int height = header[H_IMAGE_SIZE] & 0xFFFF, width = header[H_IMAGE_SIZE] >> 16;
  const int pad = int(header[H_IMAGE_FLAGS] >> 8) & 1;
  const bool pool = (header[H_IMAGE_FLAGS] >> 9) & 1;
  const int step = pool ? 2 : 1;
  const int rows = header[H_COMPUTED] & 0xFFFF, columns = header[H_COMPUTED] >> 16;
  const int groups = int(header[H_FIRST_CHANNELS]) / FIRST_PE;
  const int row_stride = header[H_OUT_ROW], words = header[H_OUT_WORDS];
  Slice hits[FIRST_CHANNELS / FIRST_PE];  // the pool's OR
  Pixel window[9];
#pragma HLS ARRAY_PARTITION variable=window complete  // all taps are used in one cycle

row_loop:
  for (int y = 0; y < rows; y += step) {
  column_loop:
    for (int x = 0; x < columns; x += step) {
    pool_loop:
      for (int part = 0; part < step * step; ++part) {
        const int top = y + part / 2 - pad, left = x + part % 2 - pad;
      gather:
        for (int tap = 0; tap < 9; ++tap) {
#pragma HLS PIPELINE II=1  // the buffer's read port gives one pixel a cycle
          const int row = top + tap / 3, column = left + tap % 3;
          const bool inside = row >= 0 && row < height && column >= 0 && column < width;
          window[tap] = inside ? buffer[row * width + column] : Pixel(0);
        }
        const int out_y = y / step, out_x = x / step;
        const int lane = out_x & LANE_MASK;
        const int address = base + out_y * row_stride + (out_x >> LANE_BITS) * words;
      channels:
        for (int g = 0; g < groups; ++g) {
#pragma HLS PIPELINE II=1  // FIRST_PE channels a cycle
#pragma HLS DEPENDENCE variable=hits inter false  // a group returns only in the next window
          Slice hit = 0, flip = 0;
          for (int p = 0; p < FIRST_PE; ++p) {
#pragma HLS UNROLL  // one adder tree per channel
            const Beat kernel = kernels[g * FIRST_PE + p];
            Sum sum = 0;
            for (int tap = 0; tap < 9; ++tap) {
#pragma HLS UNROLL  // leaves of the adder tree
              for (int c = 0; c < MAX_CHANNELS; ++c) {
#pragma HLS UNROLL  // leaves of the adder tree
                const ap_int<8> value = ap_int<8>(ap_uint<8>(window[tap] >> (8 * c)));
                if (kernel[tap * 4 + c]) {
                  sum += value;
                } else {
                  sum -= value;
                }
              }
            }
            hit[p] = sum >= Sum(ap_uint<16>(kernel >> 40));
            flip[p] = kernel[56];
          }
          if (part != 0) hit |= hits[g];
          hits[g] = hit;
          if (part == step * step - 1) {
            const int channel = g * FIRST_PE;
            for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // a lane's memory has its own write enable
              if (l == lane) {
                write_bits<FIRST_PE>(act[l], address + (channel >> SIMD_BITS), channel & (SIMD - 1), hit ^ flip);
              }
            }
          }
        }
      }
    }
  }
}

// Packs one image into words of SIMD bits.
inline void pack_image(const Word header[H_WORDS], const Beat* image, const Table table, int number, int base,
                       ActMemory act) {
  const int elements = header[H_ELEMENTS], words = header[H_OUT_WORDS];
  const int beats = int(header[H_IMAGE_BYTES]) / 8;
  const int lane = number & LANE_MASK;
  const int address = base + (number >> LANE_BITS) * int(header[H_OUT_IMAGE]);
  Vector vector = 0;
pack:
  for (int n = 0; n < words * (SIMD / 8); ++n) {
#pragma HLS PIPELINE II=1  // one beat a cycle is what the bus gives
    const Beat data = n < beats ? image[n] : Beat(0);
    ap_uint<8> bits = 0;
    for (int k = 0; k < 8; ++k) {
#pragma HLS UNROLL  // one copy of the table per byte
      bits[k] = 8 * n + k < elements && table[k][ap_uint<8>(data >> (8 * k))] > 0;
    }
    vector = vector >> 8 | Vector(bits) << (SIMD - 8);
    if (n % (SIMD / 8) == SIMD / 8 - 1) {
      for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // a lane's memory has its own write enable
        if (l == lane) write_bits<SIMD>(act[l], address + n / (SIMD / 8), 0, vector);
      }
    }
  }
}

}  // namespace bnn

#endif
