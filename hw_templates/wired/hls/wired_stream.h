// What stands between the engines of a wired network, as processes on streams: one pixel per cycle each.
#pragma once

#include <ap_int.h>
#include <hls_stream.h>

namespace wired {

// 3x3 windows of one image, row-major: bits [(3*ky + kx)*Bits +: Bits] hold pixel (y + ky - Pad, x + kx - Pad),
// `padding` outside the map.
template <int Bits, int Height, int Width, int Pad>
void window(hls::stream<ap_uint<Bits> > &in, hls::stream<ap_uint<9 * Bits> > &out, ap_uint<Bits> padding) {
  static_assert(Pad == 0 || Pad == 1, "wired::window: Pad must be 0 or 1");
  static_assert(Height + 2 * Pad >= 3 && Width + 2 * Pad >= 3, "wired::window: the map holds no 3x3 window");
  ap_uint<Bits> above[2][Width];
  ap_uint<Bits> taps[3][3];
#pragma HLS array_partition variable = taps complete dim = 0
#pragma HLS array_partition variable = above complete dim = 1
  // position (y, x) is that of the newest pixel, the lower right one of a window
  for (int y = 0; y < Height + Pad; y++) {
    for (int x = 0; x < Width + Pad; x++) {
#pragma HLS pipeline II = 1
      ap_uint<Bits> newest = padding;
      if (y < Height && x < Width) newest = in.read();
      for (int ky = 0; ky < 3; ky++) {
        taps[ky][0] = taps[ky][1];
        taps[ky][1] = taps[ky][2];
      }
      taps[0][2] = x < Width && y >= 2 ? above[0][x] : padding;
      taps[1][2] = x < Width && y >= 1 ? above[1][x] : padding;
      taps[2][2] = newest;
      if (x < Width) {
        above[0][x] = above[1][x];
        above[1][x] = newest;
      }
      if (y >= 2 - Pad && x >= 2 - Pad) {
        ap_uint<9 * Bits> window;
        for (int ky = 0; ky < 3; ky++) {
          for (int kx = 0; kx < 3; kx++) {
            const bool outside = x + kx < 2;
            const int at = (3 * ky + kx) * Bits;
            window.range(at + Bits - 1, at) = outside ? padding : taps[ky][kx];
          }
        }
        out.write(window);
      }
    }
  }
}

// The OR of 2x2 blocks (Pool = 1; an odd last row and column are dropped), then the channels' flips.
template <int Channels, int Height, int Width, int Pool>
void pool(hls::stream<ap_uint<Channels> > &in, hls::stream<ap_uint<Channels> > &out, ap_uint<Channels> flip) {
  static_assert(Pool == 0 || (Height >= 2 && Width >= 2), "wired::pool: the map holds no 2x2 block");
  ap_uint<Channels> row[Width / 2 + 1];
  ap_uint<Channels> left = 0;
  for (int y = 0; y < Height; y++) {
    for (int x = 0; x < Width; x++) {
#pragma HLS pipeline II = 1
      const ap_uint<Channels> bits = in.read();
      if (Pool == 0) {
        out.write(bits ^ flip);
      } else if (x % 2 == 0) {
        left = bits;
      } else {
        const ap_uint<Channels> pair = left | bits;
        if (y % 2 == 0) row[x / 2] = pair;
        else out.write((row[x / 2] | pair) ^ flip);
      }
    }
  }
}

// A map of Pixels pixels as one vector, pixel 0 least significant.
template <int Bits, int Pixels>
void collect(hls::stream<ap_uint<Bits> > &in, hls::stream<ap_uint<Bits * Pixels> > &out) {
  ap_uint<Bits * Pixels> vector = 0;
  for (int i = 0; i < Pixels; i++) {
#pragma HLS pipeline II = 1
    vector.range(Bits * i + Bits - 1, Bits * i) = in.read();
  }
  out.write(vector);
}

}  // namespace wired
