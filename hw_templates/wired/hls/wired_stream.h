// What stands between the engines of a wired network, as processes on streams: one word of pixels per cycle each.
#pragma once

#include <ap_int.h>
#include <hls_stream.h>

namespace wired {

// 3x3 windows of one image that comes in words of Pixels pixels, Width per row: Pixels of them side by side, where bits
// [((Pixels + 2)*ky + k)*Bits +: Bits] hold pixel (y + ky - Pad, x + k - Pad), `padding` outside the map. Without padding
// those of a word end with its pixels, and the Skip words of a row that complete none give nothing.
template <int Bits, int Pixels, int Height, int Width, int Skip, int Pad>
void window(hls::stream<ap_uint<Pixels * Bits> > &in, hls::stream<ap_uint<3 * (Pixels + 2) * Bits> > &out,
    ap_uint<Pixels * Bits> padding) {
  static_assert(Pad == 0 || Pad == 1, "wired::window: Pad must be 0 or 1");
  static_assert(Height + 2 * Pad >= 3 && Pixels * Width + 2 * Pad >= 3, "wired::window: the map holds no 3x3 window");
  // of the pixels of three words, oldest first, the place of the first one that a window needs
  const int First = Pad == 1 ? Pixels - 1 : 2 * Pixels - 2;
  ap_uint<Pixels * Bits> above[2][Width];
  ap_uint<Pixels * Bits> taps[3][3];
#pragma HLS array_partition variable = taps complete dim = 0
#pragma HLS array_partition variable = above complete dim = 1
  // position (y, x) is that of the newest word, which has the lower right pixel of a window
  for (int y = 0; y < Height + Pad; y++) {
    for (int x = 0; x < Width + Pad; x++) {
#pragma HLS pipeline II = 1
      ap_uint<Pixels * Bits> newest = padding;
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
      if (y >= 2 - Pad && x >= (Pad == 1 ? 1 : Skip)) {
        ap_uint<3 * (Pixels + 2) * Bits> window;
        for (int ky = 0; ky < 3; ky++) {
          for (int k = 0; k < Pixels + 2; k++) {
            const int kx = (First + k) / Pixels;
            const ap_uint<Pixels * Bits> word = x + kx < 2 ? padding : taps[ky][kx];
            const int at = ((Pixels + 2) * ky + k) * Bits, from = (First + k) % Pixels * Bits;
            window.range(at + Bits - 1, at) = word.range(from + Bits - 1, from);
          }
        }
        out.write(window);
      }
    }
  }
}

// Words of Parts parts as these, Height rows of Taken parts; the first Skip parts of a row's first word are of no map.
template <int Bits, int Parts, int Height, int Taken, int Skip>
void narrow(hls::stream<ap_uint<Parts * Bits> > &in, hls::stream<ap_uint<Bits> > &out) {
  static_assert(Skip < Parts && (Taken + Skip) % Parts == 0, "wired::narrow: a row must end with a word");
  ap_uint<Parts * Bits> word = 0;
  int part = Skip, x = 0;
  for (int i = 0; i < Height * Taken; i++) {
#pragma HLS pipeline II = 1
    if (x == 0 || part == 0) word = in.read();
    out.write(word.range(part * Bits + Bits - 1, part * Bits));
    x = x == Taken - 1 ? 0 : x + 1;
    part = part < Parts - 1 ? part + 1 : x == 0 ? Skip : 0;
  }
}

// The OR of 2x2 blocks (Pool = 1; an odd last row and, of words of one pixel, column are dropped), then the channels'
// flips. Width words make a row; of words of more pixels the blocks lie within them.
template <int Channels, int Pixels, int OutPixels, int Height, int Width, int Pool>
void pool(hls::stream<ap_uint<Pixels * Channels> > &in, hls::stream<ap_uint<OutPixels * Channels> > &out,
    ap_uint<Channels> flip) {
  static_assert(Pool == 0 || (Height >= 2 && Pixels * Width >= 2), "wired::pool: the map holds no 2x2 block");
  static_assert(OutPixels == (Pool == 0 || Pixels == 1 ? Pixels : Pixels / 2), "wired::pool: OutPixels is wrong");
  const int Step = Pixels == 1 ? 2 : 1;  // words that make pairs
  ap_uint<OutPixels * Channels> row[Width / Step + 1];
  ap_uint<OutPixels * Channels> flips = 0;
  for (int i = 0; i < OutPixels; i++) {
#pragma HLS UNROLL  // constants
    flips.range(i * Channels + Channels - 1, i * Channels) = flip;
  }
  ap_uint<Channels> left = 0;
  for (int y = 0; y < Height; y++) {
    for (int x = 0; x < Width; x++) {
#pragma HLS pipeline II = 1
      const ap_uint<Pixels * Channels> bits = in.read();
      ap_uint<OutPixels * Channels> pair = bits;  // words of one pixel, or without a pool
      if (Pool == 1 && Pixels > 1) {
        for (int i = 0; i < OutPixels; i++) {
          const int at = 2 * i * Channels;
          pair.range(i * Channels + Channels - 1, i * Channels) =
              bits.range(at + Channels - 1, at) | bits.range(at + 2 * Channels - 1, at + Channels);
        }
      }
      if (Pool == 0) {
        out.write(pair ^ flips);
      } else if (x % Step < Step - 1) {
        left = pair;
      } else {
        if (Pixels == 1) pair |= left;
        if (y % 2 == 0) row[x / Step] = pair;
        else out.write((row[x / Step] | pair) ^ flips);
      }
    }
  }
}

// A map of Words words as one vector, word 0 least significant.
template <int Bits, int Words>
void collect(hls::stream<ap_uint<Bits> > &in, hls::stream<ap_uint<Bits * Words> > &out) {
  ap_uint<Bits * Words> vector = 0;
  for (int i = 0; i < Words; i++) {
#pragma HLS pipeline II = 1
    vector.range(Bits * i + Bits - 1, Bits * i) = in.read();
  }
  out.write(vector);
}

}  // namespace wired
