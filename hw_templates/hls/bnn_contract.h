// The contract between planner, cores and host: registers, the words of a program, error codes (docs/ARCHITECTURE.md).
// Generated from bnn/contract.py by python -m hls contract; do not edit.
#ifndef BNN_CONTRACT_H
#define BNN_CONTRACT_H

namespace bnn {

constexpr unsigned PROGRAM_MAGIC = 0x504E4E42;  // first word of a program, "BNNP"
constexpr int PROGRAM_VERSION = 1;  // version of the program's format
constexpr int PROGRAM_VERSION_2 = 2;  // version of a program that uses planes, bases, values or shortcuts
constexpr unsigned CORE_ID = 0x314E4E42;  // ID register of the core, "BNN1"
constexpr int INTERFACE_VERSION = 1;  // version of the registers
constexpr int BEAT_BYTES = 8;  // bytes of a beat of the memory port; addresses and offsets are multiples of it
constexpr int TABLE_BYTES = 256;  // bytes of the pixel table, the first part of the first-layer block
constexpr int MAX_CHANNELS = 4;  // channels of an input image at most
constexpr int FIRST_CHANNELS = 512;  // output channels of the first layer at most
constexpr int FIRST_TAPS = 9;  // taps of the first layer's kernel
constexpr int FIRST_VALUES = 256;  // output channels of the first layer that give a value at most
constexpr int ACC_BITS = 16;  // bits of an accumulator: a fan-in is below 2^ACC_BITS - 1
constexpr int VALUE_BITS = 8;  // bits of a value in memory
constexpr int MAX_HAND_OVERS = 16;  // hand-overs of a sum at most
constexpr int MAX_AVERAGE = 255;  // rows, and columns, of a map that is averaged at most
constexpr int MAX_BATCH = 1024;  // images of a batch at most
// beats of a burst of the RTL core's reads at most, for which a ring has room beside a group
constexpr int BURST_BEATS = 64;
// words of a pixel with values below which the RTL core's first layer writes those of two lanes at once
constexpr int PAIR_WORDS = 32;
// cycles from operands to sums in the RTL core's array up to SIMD = 64; each doubling of it adds one
constexpr int ARRAY_LATENCY = 7;

// Codes of the error register.
enum Error {
  E_NONE = 0,  // no error
  E_MAGIC = 1,  // bad magic or version
  E_GEOMETRY = 2,  // geometry, or another first layer than the one wired in
  E_LAYERS = 3,  // too many layers, or none
  E_RESPONSE = 4,  // AXI error response
  // a value of the header or of a descriptor out of range, sizes or counts of them that disagree, a part of the program
  // that ends beyond its total size, layers that take another number of weight words than their segment has, or an
  // average of a map without rows or columns, or of too many
  E_RANGE = 5,
  E_VECTOR = 6,  // the program needs the vector unit, which the design does not have
};

// Part of a word: `bits` bits from bit `low` of word `word` on.
struct Field {
  int word, low, bits;
};

// Its value in that word, and among a record's words of 32 bits.
inline int extract(unsigned word, const Field& field) {
  return int(word >> field.low & ((1U << field.bits) - 1));
}
template <typename T>
int get(const T* words, const Field& field) {
  return extract(unsigned(words[field.word]), field);
}

// Ones in its place, and a value there.
constexpr unsigned mask(const Field& field) { return ((1U << field.bits) - 1) << field.low; }
constexpr unsigned insert(int value, const Field& field) { return unsigned(value) << field.low & mask(field); }

// The program's first words. Offsets are in bytes from the program's start, multiples of 8.
constexpr int H_WORDS = 32;
constexpr int H_USED = 30;  // words up to the last of these
constexpr int H_MAGIC = 0;  // PROGRAM_MAGIC
constexpr int H_VERSION = 1;  // PROGRAM_VERSION
constexpr int H_GEOMETRY = 2;  // geometry of the design
constexpr int H_SIZE = 3;  // total size in bytes; no part of the program ends beyond it
constexpr int H_LAYERS = 4;  // array layers L
constexpr int H_LAYERS_A = 5;  // layers LA of segment A (run per sub-batch)
constexpr int H_SUB_BATCH = 6;  // sub-batch S (images)
constexpr int H_BATCH = 7;  // batch B (images, a multiple of S; B = S if LA = L)
constexpr int H_KEPT = 8;  // what stays in the weight memory
constexpr int H_DESCRIPTORS = 9;  // offset of the descriptors
constexpr int H_WEIGHTS_A = 10;  // offset of segment A's weights
// its weight-memory words: just what its layers take, the sum of groups x (header words + group_words) less
// weights_back
constexpr int H_WORDS_A = 11;
constexpr int H_WEIGHTS_B = 12;  // offset of segment B's weights; 0 without one
constexpr int H_WORDS_B = 13;  // its weight-memory words
constexpr int H_FIRST = 14;  // offset of the first-layer block
constexpr int H_FIRST_CHANNELS = 15;  // output channels of the first layer rounded up to FIRST_PE (0: pack mode)
constexpr int H_IMAGE_BYTES = 16;  // image bytes in memory: H*W*C rounded up to 8
constexpr int H_CLASSES = 17;  // classes
constexpr int H_FIRST_PE = 18;  // FIRST_PE of the design
constexpr int H_PIXELS = 19;  // pixels per image, H*W
constexpr int H_IMAGE_SIZE = 20;  // size of an image
constexpr int H_IMAGE_MODE = 21;  // channels and what the first layer does
constexpr int H_COMPUTED = 22;  // what the first layer computes, before the pool, even if pool; 0 in pack mode
constexpr int H_OUT_EVEN = 23;  // output base for even sub-batches
constexpr int H_OUT_ODD = 24;  // output base for odd sub-batches
constexpr int H_OUT_IMAGE_STRIDE = 25;  // output image_stride
constexpr int H_OUT_ROW_STRIDE = 26;  // output row_stride (pack mode: 0)
constexpr int H_OUT_WORDS = 27;  // output words per pixel CW (pack mode: words per image)
constexpr int H_ELEMENTS = 28;  // elements per image H*W*C (pack mode)
constexpr int H_FIRST_RESULT = 29;  // what the first layer gives beyond bits
constexpr Field H_PE = {H_GEOMETRY, 0, 8};  // PE
constexpr Field H_LANES = {H_GEOMETRY, 8, 8};  // LANES
constexpr Field H_SIMD = {H_GEOMETRY, 16, 16};  // SIMD
constexpr Field H_RESIDENT = {H_KEPT, 0, 1};  // all weight words, or with ring_base those of segment A
// where the ring of segment B's words begins; 0: they stay too, or none do
constexpr Field H_RING_BASE = {H_KEPT, 16, 16};
constexpr Field H_HEIGHT = {H_IMAGE_SIZE, 0, 16};  // height H
constexpr Field H_WIDTH = {H_IMAGE_SIZE, 16, 16};  // width W
constexpr Field H_CHANNELS = {H_IMAGE_MODE, 0, 8};  // channels C
constexpr Field H_PAD = {H_IMAGE_MODE, 8, 1};  // pad 1
constexpr Field H_POOL = {H_IMAGE_MODE, 9, 1};  // 2x2 pool
// planes of pixels B that are written in place of sums; 0: none
constexpr Field H_FIRST_PLANES = {H_IMAGE_MODE, 12, 4};
constexpr Field H_PIXEL_MAP = {H_IMAGE_MODE, 16, 1};  // they are written by pixel, else by image
constexpr Field H_ROWS = {H_COMPUTED, 0, 16};  // rows
constexpr Field H_COLUMNS = {H_COMPUTED, 16, 16};  // columns
constexpr Field H_VALUE_CHANNELS = {H_FIRST_RESULT, 0, 16};  // channels with a value, a multiple of SIMD; 0: none
// 0: the value is signed, of 8 bits; 1 to 8: unsigned, of so many
constexpr Field H_VALUE_BITS = {H_FIRST_RESULT, 16, 4};
constexpr Field H_SHIFT = {H_FIRST_RESULT, 20, 5};  // bits that it is shifted right: 0, 4, ..., 28

// One array layer.
constexpr int D_WORDS = 32;
constexpr int D_FLAGS = 0;  // what the layer does
constexpr int D_GROUPS = 1;  // groups G
constexpr int D_TAP_WORDS = 2;  // input words per tap CW
constexpr int D_ROWS = 3;  // rows computed (before pool; even if pool)
// columns computed (before pool; even if pool) = valid lanes over all blocks; dense: LANES
constexpr int D_COLUMNS = 4;
constexpr int D_BLOCKS = 5;  // column blocks ceil(columns / LANES)
constexpr int D_INPUT_SIZE = 6;  // size of the input
constexpr int D_SOURCE_EVEN = 7;  // source base for even sub-batches
constexpr int D_SOURCE_ODD = 8;  // source base for odd sub-batches; equal unless from_first
constexpr int D_SOURCE_IMAGE_STRIDE = 9;  // source image_stride
constexpr int D_SOURCE_ROW_STRIDE = 10;  // source row_stride
constexpr int D_DEST_BASE = 11;  // destination base
constexpr int D_DEST_IMAGE_STRIDE = 12;  // destination image_stride
constexpr int D_DEST_ROW_STRIDE = 13;  // destination row_stride
constexpr int D_DEST_WORDS = 14;  // destination words per pixel
constexpr int D_GROUP_WORDS = 15;  // weight words per group without header, k*k*CW
constexpr int D_LAST_BITS = 16;  // valid bits in the last input word of a tap, 1 ... SIMD; of a pixel if flattened
constexpr int D_OUTPUTS = 17;  // output channels (classes for scores)
constexpr int D_OUT_COLUMNS = 18;  // output columns after pool
constexpr int D_PASSES = 19;  // passes of a sum; 0: one
constexpr int D_PASS_WORDS = 20;  // weight words of a pass, taps x CW
constexpr int D_SOURCE_WORDS = 21;  // words per pixel of the source, all planes and the value; 0: CW
constexpr int D_TAPS = 22;  // taps of the kernel; 0: 3x3 or 1x1 by kernel3
constexpr int D_DEST_PLANES = 23;  // where a pixel's planes and value lie among the dest_words
constexpr int D_RESULT = 24;  // what the vector unit gives
constexpr int D_SHORTCUT_EVEN = 25;  // shortcut base for even sub-batches
constexpr int D_SHORTCUT_ODD = 26;  // shortcut base for odd sub-batches; equal unless shortcut_first
constexpr int D_SHORTCUT_IMAGE_STRIDE = 27;  // shortcut image_stride
constexpr int D_SHORTCUT_ROW_STRIDE = 28;  // shortcut row_stride
constexpr int D_SHORTCUT_PLACE = 29;  // where a pixel's value lies
// words of the value that there are, a multiple of 8: behind them the shortcut is 0
constexpr int D_SHORTCUT_VALUES = 30;
constexpr int D_BAND = 31;  // what a band of a layer's rows has beside its own descriptor
constexpr Field D_KERNEL3 = {D_FLAGS, 0, 1};  // 3x3 (else 1x1)
constexpr Field D_PAD = {D_FLAGS, 1, 1};  // pad 1
constexpr Field D_PAD_ONE = {D_FLAGS, 2, 1};  // padding is +1
constexpr Field D_POOL = {D_FLAGS, 3, 1};  // 2x2 pool
constexpr Field D_SERIAL = {D_FLAGS, 4, 1};  // write serially by image
constexpr Field D_SCORES = {D_FLAGS, 5, 1};  // scores: the last layer, no other
constexpr Field D_DENSE = {D_FLAGS, 6, 1};  // lanes are images (dense)
constexpr Field D_FROM_FIRST = {D_FLAGS, 7, 1};  // source is the first layer's double buffer
constexpr Field D_SEGMENT_END = {D_FLAGS, 8, 1};  // last layer of its segment
// source was written by image for the whole batch: every layer of segment B
constexpr Field D_BATCH_SOURCE = {D_FLAGS, 9, 1};
constexpr Field D_VECTOR = {D_FLAGS, 10, 1};  // sums leave through the vector unit
constexpr Field D_BY_IMAGE = {D_FLAGS, 11, 1};  // lanes are images of a map that lies by image
constexpr Field D_STRIDE2 = {D_FLAGS, 12, 1};  // stride 2
constexpr Field D_PAD2 = {D_FLAGS, 13, 1};  // pad 2 (with pad off)
// padding is +1 in the first plane, -1 in the others (with pad_one off)
constexpr Field D_PAD_FIRST = {D_FLAGS, 14, 1};
constexpr Field D_AVERAGE = {D_FLAGS, 15, 1};  // no sums of bits: values are summed over their map
constexpr Field D_VALUE = {D_FLAGS, 16, 1};  // the value is written
constexpr Field D_BIT_PLANES = {D_FLAGS, 17, 1};  // planes are the bits of the value, the most significant first
constexpr Field D_SHORTCUT = {D_FLAGS, 18, 1};  // a shortcut is added
// the shortcut is averaged over 2x2, of twice the height and width (with stride2)
constexpr Field D_SHORTCUT_AVERAGE = {D_FLAGS, 19, 1};
// the shortcut has the output's height and width, in a layer with stride2
constexpr Field D_SHORTCUT_SAME = {D_FLAGS, 20, 1};
// the shortcut, or the value to average, is of the first layer's double buffer
constexpr Field D_SHORTCUT_FIRST = {D_FLAGS, 21, 1};
constexpr Field D_RELEASE_FIRST = {D_FLAGS, 22, 1};  // last layer that reads the first layer's double buffer
constexpr Field D_EARLY = {D_FLAGS, 23, 1};  // a band of rows that may end while the first layer is at work
constexpr Field D_HEIGHT = {D_INPUT_SIZE, 0, 16};  // input height
constexpr Field D_WIDTH = {D_INPUT_SIZE, 16, 16};  // input width
constexpr Field D_MORE_BASES = {D_PASSES, 0, 4};  // bases M less 1
constexpr Field D_MORE_PLANES = {D_PASSES, 4, 4};  // planes N less 1
constexpr Field D_PLANES_OUTER = {D_PASSES, 8, 1};  // the outer loop is that over planes, else that over bases
// when sums are handed over: 0 after all passes, 1 after each outer one, 2 after each pass
constexpr Field D_HAND = {D_PASSES, 9, 2};
constexpr Field D_TAP_ROWS = {D_TAPS, 0, 16};  // rows
constexpr Field D_TAP_COLUMNS = {D_TAPS, 16, 16};  // columns
constexpr Field D_PLANE_WORDS = {D_DEST_PLANES, 0, 16};  // words per plane: plane k lies at k x these
constexpr Field D_VALUE_WORD = {D_DEST_PLANES, 16, 16};  // first word of the value
constexpr Field D_THRESHOLDS = {D_RESULT, 0, 2};  // planes by thresholds K
constexpr Field D_VALUE_BITS = {D_RESULT, 4, 4};  // 0: the value is signed, of 8 bits; 1 to 8: unsigned, of so many
constexpr Field D_SHIFT = {D_RESULT, 8, 5};  // bits that it is shifted right: 0, 4, ..., 28
constexpr Field D_SHORTCUT_WORDS = {D_SHORTCUT_PLACE, 0, 16};  // words per pixel, all planes and the value
constexpr Field D_SHORTCUT_WORD = {D_SHORTCUT_PLACE, 16, 16};  // first word of the value
// row of the first layer's map at which its source begins (with from_first)
constexpr Field D_SOURCE_ROW = {D_BAND, 0, 16};
constexpr Field D_WEIGHTS_BACK = {D_BAND, 16, 16};  // weight words by which the ring goes back behind it

// What the header word of a group has for every PE.
constexpr int T_WORDS = 1;
constexpr Field T_THRESHOLD = {0, 0, 16};  // T, unsigned; absent channels 65535
constexpr Field T_FLIP = {0, 16, 1};  // flip: the bit is inverted after the pool

// What the two header words of a group of the last layer have for every PE.
constexpr int S_WORDS = 2;
constexpr int S_OFFSET = 0;  // offset, signed
constexpr Field S_SCALE = {1, 0, 16};  // scale, signed

// What the header word of a hand-over has for every PE, in the order of the hand-overs.
constexpr int C_WORDS = 1;
constexpr Field C_COEFFICIENT = {0, 0, 25};  // coefficient, signed; absent channels 0

// What the two header words of a plane by thresholds, or of a value without any, have for every PE.
constexpr int V_WORDS = 2;
constexpr int V_OFFSET = 0;  // offset, signed
constexpr Field V_LIMIT = {1, 0, 16};  // threshold on the value, signed; absent channels 256
constexpr Field V_FLIP = {1, 16, 1};  // flip: the bit is inverted after the pool

// An output channel in the first-layer block, behind the pixel table.
constexpr int B_WORDS = 1;
constexpr Field B_WEIGHTS = {0, 0, 36};  // weights, bit tap*4 + c with tap = 3*ky + kx; unused bits 0
constexpr Field B_THRESHOLD = {0, 40, 16};  // T, signed; absent channels 32767
constexpr Field B_FLIP = {0, 56, 1};  // flip: the bit is inverted after the pool

// What makes a value of an output channel's sums, behind all channels of the first-layer block.
constexpr int F_WORDS = 1;
constexpr Field F_OFFSET = {0, 0, 32};  // offset, signed; absent channels 0
constexpr Field F_SCALE = {0, 32, 16};  // scale, unsigned; absent channels 0

// Offsets of the registers.
constexpr int REG_CONTROL = 0x00;  // control signals
constexpr int REG_GLOBAL_ENABLE = 0x04;  // global interrupt enable
constexpr int REG_ENABLE = 0x08;  // interrupt enable
constexpr int REG_STATUS = 0x0C;  // interrupt status, toggle on write
constexpr int REG_PROGRAM = 0x10;  // address of the program
constexpr int REG_PROGRAM_HIGH = 0x14;  // address of the program
constexpr int REG_IMAGES = 0x1C;  // address of the images
constexpr int REG_IMAGES_HIGH = 0x20;  // address of the images
constexpr int REG_SCORES = 0x28;  // address of the scores
constexpr int REG_SCORES_HIGH = 0x2C;  // address of the scores
constexpr int REG_COUNT = 0x34;  // images of a run
constexpr int REG_ID = 0x40;  // CORE_ID
constexpr int REG_VERSION = 0x50;  // INTERFACE_VERSION
constexpr int REG_GEOMETRY = 0x60;  // geometry of the design, as in the program
constexpr int REG_WEIGHTS = 0x70;  // size of the weight memory, FIRST_PE
constexpr int REG_ACTIVATIONS = 0x80;  // sizes of the activation memory and of the image buffer
constexpr int REG_MAX_LAYERS = 0x90;  // MAX_LAYERS: array layers of a program
constexpr int REG_CYCLES = 0xA0;  // cycles of the last run
constexpr int REG_BUSY = 0xB0;  // cycles in which the array multiplied
constexpr int REG_ERROR = 0xC0;  // error code of the last run
constexpr int REG_FEATURES = 0xD0;  // what the design has
constexpr Field REG_START = {REG_CONTROL / 4, 0, 1};  // ap_start
constexpr Field REG_DONE = {REG_CONTROL / 4, 1, 1};  // ap_done (clear on read)
constexpr Field REG_IDLE = {REG_CONTROL / 4, 2, 1};  // ap_idle
constexpr Field REG_READY = {REG_CONTROL / 4, 3, 1};  // ap_ready (clear on read)
constexpr Field REG_RESTART = {REG_CONTROL / 4, 7, 1};  // auto_restart
constexpr Field REG_INTERRUPTS = {REG_GLOBAL_ENABLE / 4, 0, 1};  // whether status bits raise the interrupt
constexpr Field REG_ENABLE_DONE = {REG_ENABLE / 4, 0, 1};  // done
constexpr Field REG_ENABLE_READY = {REG_ENABLE / 4, 1, 1};  // ready
constexpr Field REG_STATUS_DONE = {REG_STATUS / 4, 0, 1};  // done
constexpr Field REG_STATUS_READY = {REG_STATUS / 4, 1, 1};  // ready
constexpr Field REG_IMAGE_COUNT = {REG_COUNT / 4, 0, 31};  // image count
constexpr Field REG_KEEP = {REG_COUNT / 4, 31, 1};  // keep: the program of the last run is still the one to run
constexpr Field REG_PE = {REG_GEOMETRY / 4, 0, 8};  // PE
constexpr Field REG_LANES = {REG_GEOMETRY / 4, 8, 8};  // LANES
constexpr Field REG_SIMD = {REG_GEOMETRY / 4, 16, 16};  // SIMD
constexpr Field REG_WEIGHT_DEPTH = {REG_WEIGHTS / 4, 0, 16};  // WEIGHT_DEPTH
constexpr Field REG_FIRST_PE = {REG_WEIGHTS / 4, 16, 16};  // FIRST_PE
constexpr Field REG_ACT_DEPTH = {REG_ACTIVATIONS / 4, 0, 16};  // ACT_DEPTH
constexpr Field REG_IMAGE_PIXELS = {REG_ACTIVATIONS / 4, 16, 16};  // IMAGE_PIXELS
constexpr Field REG_VECTOR = {REG_FEATURES / 4, 0, 1};  // the vector unit

}  // namespace bnn

#endif
