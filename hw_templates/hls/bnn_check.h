// What a program must be before it is run: codes of the error register.
#ifndef BNN_CHECK_H
#define BNN_CHECK_H

#include "bnn_types.h"

namespace bnn {

constexpr int MAX_PASSES = 8;  // bases of a layer, and planes

// 1 to 65535, which the core's counters hold.
inline bool is_size(Word word) { return word != 0 && word.to_uint() <= 0xFFFFU; }

// Whether a part of the program ends within its `size` bytes.
inline bool is_inside(Word offset, unsigned long long beats, Word size) {
  return offset.to_uint() / 8 + beats <= size.to_uint() / 8;
}

// Rows or columns that the first layer computes of a size of the image.
inline int computed(const Word h[H_WORDS], int size) {
#pragma HLS INLINE  // one addition
  const int sums = size - (get(h, H_PAD) ? 0 : 2);
  return get(h, H_POOL) ? sums & ~1 : sums;
}

// Of a first layer that gives values.
inline bool wrong_values(const Word h[H_WORDS]) {
#pragma HLS INLINE  // comparisons only
  const unsigned channels = h[H_FIRST_CHANNELS].to_uint(), values = unsigned(get(h, H_VALUE_CHANNELS));
  bool wrong = values % SIMD != 0 || channels % SIMD != 0 || values > unsigned(FIRST_VALUES) || values > channels;
  wrong |= get(h, H_VALUE_BITS) > VALUE_BITS || get(h, H_SHIFT) % 4 != 0;
  wrong |= h[H_OUT_WORDS] != channels / SIMD + values / SIMD * VALUE_BITS;
  return wrong;
}

inline Error check_header(const Word h[H_WORDS]) {
#pragma HLS INLINE  // comparisons only
  if (h[H_MAGIC] != PROGRAM_MAGIC) return E_MAGIC;
  if (h[H_VERSION] != unsigned(PROGRAM_VERSION) && h[H_VERSION] != unsigned(PROGRAM_VERSION_2)) return E_MAGIC;
  if (h[H_GEOMETRY] != GEOMETRY || h[H_FIRST_PE] != unsigned(FIRST_PE)) return E_GEOMETRY;
  if (h[H_LAYERS] == 0 || h[H_LAYERS] > unsigned(MAX_LAYERS)) return E_LAYERS;
  const unsigned values = unsigned(get(h, H_VALUE_CHANNELS));
  if (values != 0 && !VECTOR) return E_VECTOR;
  const unsigned words_a = h[H_WORDS_A].to_uint(), words_b = h[H_WORDS_B].to_uint();
  const unsigned channels = unsigned(get(h, H_CHANNELS));
  const bool two_segments = h[H_LAYERS_A] != h[H_LAYERS];
  const int ring_base = get(h, H_RING_BASE);
  const bool first = h[H_FIRST_CHANNELS] != 0, map = get(h, H_PIXEL_MAP) != 0;
  const int planes = get(h, H_FIRST_PLANES), packed_words = round_up(to_int(h[H_ELEMENTS]), SIMD);
  bool wrong = h[H_LAYERS_A] == 0 || h[H_LAYERS_A] > h[H_LAYERS];
  wrong |= h[H_SUB_BATCH] == 0 || h[H_BATCH] > unsigned(MAX_BATCH) || h[H_BATCH] < h[H_SUB_BATCH];
  wrong |= (h[H_KEPT].to_uint() & ~(mask(H_RESIDENT) | mask(H_RING_BASE))) != 0;
  wrong |= get(h, H_RESIDENT) && ring_base == 0 && words_a + words_b > unsigned(WEIGHT_DEPTH);
  // The ring of segment B's words takes the memory's last 2^n, behind those that stay.
  wrong |= ring_base != 0 && (!get(h, H_RESIDENT) || h[H_VERSION] != unsigned(PROGRAM_VERSION_2) || words_b == 0 ||
                              words_a > unsigned(ring_base) || !is_power_of_two(WEIGHT_DEPTH - ring_base));
  wrong |= words_a == 0 || two_segments != (words_b != 0);
  wrong |= h[H_FIRST_CHANNELS] > unsigned(FIRST_CHANNELS) || h[H_FIRST_CHANNELS].to_uint() % FIRST_PE != 0;
  wrong |= h[H_PIXELS] == 0 || h[H_PIXELS] > unsigned(IMAGE_PIXELS);
  wrong |= h[H_PIXELS] != unsigned(get(h, H_HEIGHT)) * unsigned(get(h, H_WIDTH));
  wrong |= h[H_ELEMENTS] != h[H_PIXELS].to_uint() * channels;
  wrong |= h[H_IMAGE_BYTES] == 0 || h[H_IMAGE_BYTES] != Word((h[H_ELEMENTS] + 7) / 8 * 8);
  wrong |= channels == 0 || channels > unsigned(MAX_CHANNELS);
  wrong |= planes > MAX_PASSES || (first && planes > 0) || (map && planes == 0);
  wrong |= map && (get(h, H_ROWS) != get(h, H_HEIGHT) || get(h, H_COLUMNS) != get(h, H_WIDTH));
  wrong |= first && (get(h, H_ROWS) == 0 || get(h, H_ROWS) != computed(h, get(h, H_HEIGHT)));
  wrong |= first && (get(h, H_COLUMNS) == 0 || get(h, H_COLUMNS) != computed(h, get(h, H_WIDTH)));
  wrong |= values != 0 && wrong_values(h);
  wrong |= h[H_OUT_WORDS].to_uint() % ACT_DEPTH == 0;
  wrong |= !first && h[H_OUT_WORDS] != unsigned(map ? planes : larger(planes, 1) * packed_words);
  wrong |= (h[H_DESCRIPTORS].to_uint() | h[H_WEIGHTS_A].to_uint() | h[H_WEIGHTS_B].to_uint() |
            h[H_FIRST].to_uint()) % 8 != 0;
  const Word size = h[H_SIZE];
  wrong |= !is_inside(0, HEADER_BEATS, size);
  wrong |= !is_inside(h[H_DESCRIPTORS], h[H_LAYERS].to_uint() * unsigned(DESCRIPTOR_BEATS), size);
  wrong |= !is_inside(h[H_FIRST], (unsigned long long)(TABLE_BEATS) + h[H_FIRST_CHANNELS].to_uint() + values,
                      size);
  wrong |= !is_inside(h[H_WEIGHTS_A], (unsigned long long)(words_a) * WORD_BEATS, size);
  wrong |= !is_inside(h[H_WEIGHTS_B], (unsigned long long)(words_b) * WORD_BEATS, size);
  wrong |= h[H_CLASSES] > 0xFFFFU;  // the last layer's, so not none
  // The image buffer holds a packed image in words of 32 bits.
  wrong |= !first && !map && packed_words > IMAGE_PIXELS / (SIMD / 32);
  return wrong ? E_RANGE : E_NONE;
}

// What the vector unit does, and that it does nothing without its flag.
inline bool wrong_vector(const Word d[D_WORDS]) {
#pragma HLS INLINE  // comparisons only
  const bool pool = get(d, D_POOL) != 0, scores = get(d, D_SCORES) != 0, average = get(d, D_AVERAGE) != 0;
  const bool shortcut = get(d, D_SHORTCUT) != 0, stride2 = get(d, D_STRIDE2) != 0;
  const bool value = get(d, D_VALUE) != 0, bit_planes = get(d, D_BIT_PLANES) != 0;
  const int thresholds = get(d, D_THRESHOLDS), hand = get(d, D_HAND);
  if (get(d, D_VECTOR) == 0) {
    return hand != 0 || get(d, D_BY_IMAGE) || stride2 || average || value || bit_planes || shortcut || d[D_RESULT] != 0;
  }
  bool wrong =
      hand > 2 || passes_of(d).hands > MAX_HAND_OVERS || get(d, D_SHIFT) % 4 != 0 || get(d, D_VALUE_BITS) > VALUE_BITS;
  wrong |= thresholds > 0 && bit_planes;
  wrong |= (thresholds > 0 || bit_planes || value) == scores;
  wrong |= (pool && (stride2 || shortcut)) || (scores && shortcut);
  const bool one_pass = get(d, D_MORE_BASES) == 0 && get(d, D_MORE_PLANES) == 0 && hand == 0;
  wrong |= average && (!get(d, D_DENSE) || pool || shortcut || !one_pass);
  return wrong;
}

// The words of a group and of a pass, by the kernel; of an average, which has none, the pixels.
inline bool wrong_words(const Word d[D_WORDS]) {
#pragma HLS INLINE  // products of 16 bits
  if (get(d, D_AVERAGE)) {
    const int height = get(d, D_HEIGHT), width = get(d, D_WIDTH);
    const bool pixels = height >= 1 && height <= MAX_AVERAGE && width >= 1 && width <= MAX_AVERAGE;
    return d[D_TAP_WORDS] != 0 || d[D_GROUP_WORDS] != 0 || !pixels;
  }
  const Taps kernel = taps_of(d);
  const unsigned taps = unsigned(kernel.rows) * unsigned(kernel.columns);
  const unsigned words = (taps & 0xFFFFU) * unsigned(low16(d[D_TAP_WORDS]));
  const unsigned bases = unsigned(get(d, D_MORE_BASES)) + 1;
  bool wrong = !is_size(d[D_TAP_WORDS]) || !is_size(d[D_GROUP_WORDS]) || taps > 0xFFFFU || words > 0xFFFFU;
  wrong |= d[D_GROUP_WORDS] != (words & 0xFFFFU) * bases;
  wrong |= d[D_PASS_WORDS] != words && !(d[D_PASS_WORDS] == 0 && bases == 1);
  return wrong;
}

// Layer `number` of the program. What a descriptor says in two ways must agree, and the last layer,
// no other, gives the scores.
inline Error check_layer(const Word h[H_WORDS], const Word d[D_WORDS], int number) {
#pragma HLS INLINE  // comparisons only
  if (get(d, D_VECTOR) && !VECTOR) return E_VECTOR;
  const bool score = get(d, D_SCORES) != 0, pool = get(d, D_POOL) != 0, dense = get(d, D_DENSE) != 0;
  const int columns = low16(d[D_COLUMNS]);
  const int blocks = !get(d, D_BY_IMAGE) ? round_up(columns, LANES) : pool ? columns / 2 : columns;
  bool wrong = wrong_vector(d) || wrong_words(d);
  wrong |= get(d, D_MORE_BASES) >= MAX_PASSES || get(d, D_MORE_PLANES) >= MAX_PASSES;
  wrong |= !is_size(d[D_GROUPS]) || !is_size(d[D_BLOCKS]) || !is_size(d[D_OUTPUTS]) || !is_size(d[D_COLUMNS]);
  wrong |= !is_size(d[D_ROWS]) || (pool && d[D_ROWS].to_uint() % 2 != 0) || d[D_OUT_COLUMNS] == 0;
  wrong |= low16(d[D_GROUP_WORDS]) + header_words(d) > WEIGHT_DEPTH;
  wrong |= low16(d[D_GROUPS]) != round_up(low16(d[D_OUTPUTS]), PE);
  wrong |= low16(d[D_BLOCKS]) != blocks;
  wrong |= dense && (d[D_ROWS] != 1 || d[D_BLOCKS] != 1);
  wrong |= score != (number + 1 == low16(h[H_LAYERS]));
  wrong |= score && (!dense || d[D_OUTPUTS] != h[H_CLASSES]);
  // Bands: of one image, by pixel and without the vector unit; weights again where all of them stay.
  const bool version_2 = h[H_VERSION] == unsigned(PROGRAM_VERSION_2);
  const bool last = number + 1 == low16(h[H_LAYERS_A]) || number + 1 == low16(h[H_LAYERS]);
  const bool banded = version_2 && h[H_SUB_BATCH] == 1 && !get(d, D_VECTOR) && !dense && !get(d, D_RELEASE_FIRST);
  wrong |= get(d, D_EARLY) && !banded;
  const int ring_base = number < low16(h[H_LAYERS_A]) ? 0 : get(h, H_RING_BASE);
  wrong |= get(d, D_WEIGHTS_BACK) != 0 && (!version_2 || !get(h, H_RESIDENT) || ring_base != 0 || last);
  wrong |= ring_base != 0 && low16(d[D_GROUP_WORDS]) + header_words(d) >= WEIGHT_DEPTH - ring_base - BURST_WORDS;
  return wrong ? E_RANGE : E_NONE;
}

// What the layers before one leave: the weight words that they take of its segment, and whether the first layer's
// buffer is free again.
struct Before {
  unsigned long long words;
  bool released;
};

// Words of the weight memory that a checked layer takes.
inline unsigned layer_words(const Word d[D_WORDS]) {
#pragma HLS INLINE  // one product
  return unsigned(low16(d[D_GROUPS])) * unsigned(low16(d[D_GROUP_WORDS]) + header_words(d));
}

// Whether checked layer `number` does not go with those before it, and goes on behind it, or back by words that come
// again. In version 2 one layer of segment A frees the first layer's buffer, the last that reads it.
inline bool wrong_order(const Word h[H_WORDS], const Word d[D_WORDS], int number, Before& before) {
#pragma HLS INLINE  // sums and comparisons
  const int layers_a = low16(h[H_LAYERS_A]);
  const bool in_a = number < layers_a, last_a = number + 1 == layers_a;
  const bool last = last_a || number + 1 == low16(h[H_LAYERS]);
  const unsigned segment = in_a ? h[H_WORDS_A].to_uint() : h[H_WORDS_B].to_uint();
  const unsigned back = unsigned(get(d, D_WEIGHTS_BACK));
  const unsigned long long end = (number == layers_a ? 0ULL : before.words) + layer_words(d);
  bool wrong = end > segment || (last && end != segment) || back > end;
  const bool release = get(d, D_RELEASE_FIRST) != 0;
  const bool uses = release || get(d, D_FROM_FIRST) || get(d, D_SHORTCUT_FIRST);
  if (h[H_VERSION] == unsigned(PROGRAM_VERSION_2)) {
    wrong |= (uses && before.released) || (last_a && !before.released && !release);
  }
  before.words = end - back;
  before.released |= release;
  return wrong;
}

}  // namespace bnn

#endif
