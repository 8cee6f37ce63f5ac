// The first layer: a 3x3 convolution over 8-bit pixels, or packing of a binary image. It runs ahead
// of the array and hands it the bits as slices to be stored.
#ifndef BNN_FIRST_H
#define BNN_FIRST_H

#include "bnn_types.h"
#ifdef BNN_FIRST_WIRED
#include "bnn_first_wired.h"
#endif

namespace bnn {

typedef ap_int<8> Table[8][256];
typedef ap_uint<8 * MAX_CHANNELS> Pixel;  // in pack mode 32 bits of the image
typedef ap_int<16> Sum;
static_assert(9 * MAX_CHANNELS * 128 < 32768, "A sum of the first layer must fit 16 bits.");
static_assert(FIRST_PE <= 128, "A slice must fit 128 bits: it is put together from words of 32.");

// What `unpack` needs of the header.
struct Image {
  bool pack;
  int channels;
  int pixels;
  int elements;
  int beats;
  int packed;  // words of 32 bits in pack mode
};

// What `convolve` needs of the header.
struct Window {
  int groups;  // of FIRST_PE channels; 0 in pack mode
  int height, width;
  int pad;
  int step;  // 2 with a pool
  int out_rows, out_columns;
  int row_stride, words;
};

// Copies the table (eight copies, for eight look-ups a cycle) and the channels' beats.
inline void load_first(BeatStream& beats, int channels, Table table, Beat kernels[FIRST_CHANNELS]) {
table_beats:
  for (int n = 0; n < TABLE_BEATS; ++n) {
    const Beat data = beats.read();
  entries:
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
    kernels[n] = beats.read();
  }
}

// Fills the image buffer: table[pixel] per channel, absent channels 0; or in pack mode bits, those
// behind the image 0.
inline void unpack(const Image& f, const Table table, BeatStream& beats, Pixel buffer[IMAGE_PIXELS]) {
  ap_uint<96> bytes = 0;  // up to three bytes from before and a beat
  Pixel packed = 0;        // bytes of bits so far
  int have = 0;
  int read = 0;
  const int steps = f.pack ? 4 * f.packed : f.pixels;
unpack:
  for (int n = 0; n < steps; ++n) {
#pragma HLS PIPELINE II=1  // a pixel takes at most one new beat
    if (read < f.beats && (f.pack || have < f.channels)) {
      bytes |= ap_uint<96>(beats.read()) << (f.pack ? 0 : 8 * have);
      have += 8;
      ++read;
    }
    Pixel pixel = 0;
    ap_uint<8> bits = 0;  // of the image in pack mode
    for (int c = 0; c < 8; ++c) {
#pragma HLS UNROLL  // every byte has its copy of the table
      const ap_int<8> value = table[c][ap_uint<8>(bytes >> (8 * c)).to_uint()];
      if (c < MAX_CHANNELS && c < f.channels) pixel |= Pixel(ap_uint<8>(value)) << (8 * c);
      bits[c] = 8 * n + c < f.elements && value > 0;
    }
    packed = Pixel(bits) << (8 * (n % 4)) | (n % 4 == 0 ? Pixel(0) : packed);
    buffer[f.pack ? n / 4 : n] = f.pack ? packed : pixel;
    bytes = f.pack ? ap_uint<96>(0) : ap_uint<96>(bytes >> (8 * f.channels));
    have -= f.channels;
  }
beats_left:
  for (; read < f.beats; ++read) {
#pragma HLS PIPELINE II=1  // padding of the image to whole beats
    beats.read();
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
  ap_uint<128> slice = 0;
packed:
  for (int n = 0; n < f.words * (SIMD / PIECE); ++n) {
#pragma HLS PIPELINE II=1  // a read of the buffer a cycle
    const int bit = n * PIECE;
    const ap_uint<PIECE> piece = ap_uint<PIECE>(buffer[bit / 32] >> (bit % 32));
    slice = ap_uint<128>(piece) << (n % PIECES * PIECE) | (n % PIECES == 0 ? ap_uint<128>(0) : slice);
    if (n % PIECES == PIECES - 1) {
      writes.write(slice_write(lane, base + bit / SIMD, bit % SIMD / FIRST_PE, Slice(slice)));
    }
  }
}

// Whether the core can run the program's first layer: any, or the one that is wired in. The channels' beats start at
// `beat`.
inline bool first_fits(const Beat* program, unsigned beat, int channels, int inputs) {
#ifdef BNN_FIRST_WIRED
  bool same = channels == WIRED_CHANNELS && inputs == WIRED_INPUTS;
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
  return true;
#endif
}

// FIRST_PE channels of a window: whose sums reach their threshold, and which are flipped.
inline void window_bits(const Pixel taps[9], int group, const Beat kernels[FIRST_CHANNELS], Slice& bits, Slice& flip) {
#pragma HLS INLINE  // part of the caller's pipeline
#ifdef BNN_FIRST_WIRED
  bits = Slice(wired_window(taps) >> (group * FIRST_PE));
#else
  bits = 0;
#endif
  flip = 0;
  for (int p = 0; p < FIRST_PE; ++p) {
#pragma HLS UNROLL  // one adder tree per channel
    const Beat kernel = kernels[group * FIRST_PE + p];
#ifndef BNN_FIRST_WIRED
    Sum sum = 0;
    for (int tap = 0; tap < 9; ++tap) {
#pragma HLS UNROLL  // leaves of the adder tree
      for (int c = 0; c < MAX_CHANNELS; ++c) {
#pragma HLS UNROLL  // leaves of the adder tree
        const ap_int<8> value = ap_int<8>(ap_uint<8>(taps[tap] >> (8 * c)));
        if (kernel[B_WEIGHTS.low + tap * MAX_CHANNELS + c]) {
          sum += value;
        } else {
          sum -= value;
        }
      }
    }
    bits[p] = sum >= Sum(ap_uint<16>(kernel >> B_THRESHOLD.low));
#endif
    flip[p] = kernel[B_FLIP.low];
  }
}

// One image through the convolution. A block is one output pixel, with a pool the 2x2 that it joins.
// `patch` holds the pixels under the block's windows; while the block's channels are computed,
// FIRST_PE a cycle, the pixels that the next block needs are read. A row starts with blocks that
// only read.
inline void send_convolved(const Window& f, int base, const Pixel buffer[IMAGE_PIXELS],
                           const Beat kernels[FIRST_CHANNELS], WriteStream& writes) {
  const int side = f.step + 2;          // rows of the patch in use
  const int reads = f.step * side;      // new pixels of a block
  const int lead = f.step == 2 ? 2 : 3;  // blocks before the first
  const int parts = f.step * f.step;    // windows of a block
  const int slots = larger(f.groups * parts, reads);
  const int total = f.out_rows * (lead * reads + f.out_columns * slots);
  Pixel patch[4][4], fresh[2][4];
#pragma HLS ARRAY_PARTITION variable=patch type=complete dim=0  // all taps are used in one cycle
#pragma HLS ARRAY_PARTITION variable=fresh type=complete dim=0  // joins the patch in one cycle
  for (int r = 0; r < 4; ++r) {
#pragma HLS UNROLL  // registers
    for (int c = 0; c < 4; ++c) {
#pragma HLS UNROLL  // registers
      patch[r][c] = 0;
    }
    fresh[0][r] = 0;
    fresh[1][r] = 0;
  }
  int y = 0, x = -lead;                  // the block
  int slot = 0;                          // cycle of the block
  int row = 0, column = 0;               // of the next pixel to read, within the new ones
  int group = 0, part = 0;
  Slice hit = 0;  // of the block's windows so far
slots:
  for (int n = 0; n < total; ++n) {
#pragma HLS PIPELINE II=1  // FIRST_PE channels a cycle, and a read of the buffer
    if (slot < reads) {
      const int image_y = y * f.step + row - f.pad, image_x = (x + 1) * f.step + 2 + column - f.pad;
      const bool inside = image_y >= 0 && image_y < f.height && image_x >= 0 && image_x < f.width;
      fresh[column][row] = inside ? buffer[image_y * f.width + image_x] : Pixel(0);
      if (++row == side) {
        row = 0;
        ++column;
      }
    }
    if (x >= 0 && group < f.groups) {
      const int dy = part / 2, dx = part % 2;
      Pixel taps[9];
#pragma HLS ARRAY_PARTITION variable=taps type=complete  // wires
      for (int tap = 0; tap < 9; ++tap) {
#pragma HLS UNROLL  // one of four positions in the patch
        taps[tap] = patch[dy + tap / 3][dx + tap % 3];
      }
      Slice bits, flip;
      window_bits(taps, group, kernels, bits, flip);
      hit = part == 0 ? bits : Slice(hit | bits);
      if (++part == parts) {
        const int channel = group * FIRST_PE;
        const int address = base + y * f.row_stride + (x >> LANE_BITS) * f.words + (channel >> SIMD_BITS);
        writes.write(slice_write(x & LANE_MASK, address, (channel & (SIMD - 1)) / FIRST_PE, hit ^ flip));
        part = 0;
        ++group;
      }
    }
    if (++slot == (x < 0 ? reads : slots)) {
      for (int r = 0; r < 4; ++r) {
#pragma HLS UNROLL  // registers
        if (f.step == 2) {
          patch[r][0] = patch[r][2];
          patch[r][1] = patch[r][3];
          patch[r][2] = fresh[0][r];
          patch[r][3] = fresh[1][r];
        } else {
          patch[r][0] = patch[r][1];
          patch[r][1] = patch[r][2];
          patch[r][2] = fresh[0][r];
        }
      }
      slot = 0;
      row = 0;
      column = 0;
      group = 0;
      if (++x == f.out_columns) {
        x = -lead;
        ++y;
      }
    }
  }
}

// Sends the bits of one image to where `control` says: lane in the upper half, address in the lower.
inline void convolve(const Window& f, WordStream& places, const Pixel buffer[IMAGE_PIXELS],
                     const Beat kernels[FIRST_CHANNELS], WriteStream& writes) {
  const Word place = places.read();
  if (f.groups > 0) {
    send_convolved(f, low16(place), buffer, kernels, writes);
  } else {
    send_packed(f, high16(place), low16(place), buffer, writes);
  }
}

// All images: while one is convolved, the next one is unpacked into the other buffer.
inline void first_images(int count, const Image& image, const Window& window, const Table table,
                         const Beat kernels[FIRST_CHANNELS], WordStream& places, BeatStream& beats,
                         WriteStream& writes) {
images:
  for (int i = 0; i < count; ++i) {
#pragma HLS DATAFLOW  // the two functions run at the same time, on two images
    Pixel buffer[IMAGE_PIXELS];
#pragma HLS BIND_STORAGE variable=buffer type=ram_s2p impl=bram  // one read and one write port, twice
    unpack(image, table, beats, buffer);
    convolve(window, places, buffer, kernels, writes);
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
  image.pack = channels == 0;
  image.channels = get(header, H_CHANNELS);
  image.pixels = low16(header[H_PIXELS]);
  image.elements = to_int(header[H_ELEMENTS]);
  image.beats = to_int(header[H_IMAGE_BYTES]) / 8;
  image.packed = low16(header[H_OUT_WORDS]) * (SIMD / 32);
  Window window;
  window.groups = channels / FIRST_PE;
  window.height = get(header, H_HEIGHT);
  window.width = get(header, H_WIDTH);
  window.pad = get(header, H_PAD);
  window.step = pool ? 2 : 1;
  window.out_rows = get(header, H_ROWS) >> (pool ? 1 : 0);
  window.out_columns = get(header, H_COLUMNS) >> (pool ? 1 : 0);
  window.row_stride = low16(header[H_OUT_ROW_STRIDE]);
  window.words = low16(header[H_OUT_WORDS]);

  Table table;
#pragma HLS ARRAY_PARTITION variable=table type=complete dim=1    // eight look-ups a cycle
#pragma HLS BIND_STORAGE variable=table type=ram_s2p impl=lutram  // small: keeps the block RAM free
  Beat kernels[FIRST_CHANNELS];
#pragma HLS ARRAY_PARTITION variable=kernels type=cyclic factor=FIRST_PE  // FIRST_PE channels a cycle
  load_first(beats, channels, table, kernels);
  first_images(count, image, window, table, kernels, config, beats, writes);
}

}  // namespace bnn

#endif
