#include "network.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace bnn {
namespace {

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void expect(bool good, const char *format, ...) {
  if (good) return;
  char text[200];
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  throw Refused(text);
}

// The bytes, with every access checked.
class Bytes {
 public:
  Bytes(const void *data, size_t size) : data_(static_cast<const uint8_t *>(data)), size_(size) {}

  const uint8_t *at(int64_t offset, int64_t bytes, int layer, const char *what) const {
    expect(offset >= 0 && offset % 4 == 0 && bytes >= 0 && bytes <= int64_t(size_) && offset <= int64_t(size_) - bytes,
           "layer %d: %s of %lld bytes at %lld are not within the %lld of the model", layer, what, (long long)bytes,
           (long long)offset, (long long)size_);
    return data_ + offset;
  }

  std::vector<int32_t> words(int64_t offset, int64_t count, int layer, const char *what, int64_t low = INT32_MIN,
                             int64_t high = INT32_MAX) const {
    const uint8_t *from = at(offset, 4 * count, layer, what);
    std::vector<int32_t> values(size_t(count), 0);
    if (count) std::memcpy(values.data(), from, size_t(4 * count));
    for (int32_t value : values)
      expect(low <= value && value <= high, "layer %d: %s hold %d, expected %lld to %lld", layer, what, value,
             (long long)low, (long long)high);
    return values;
  }

 private:
  const uint8_t *data_;
  size_t size_;
};

void check_exponents(int index, const char *what, const int32_t *exponents, int count) {
  for (int i = 0; i < MAX_PLANES; i++) {
    const int64_t next = i + 1 < count ? exponents[i + 1] : 0;
    bool good = i >= count ? exponents[i] == 0
                           : exponents[i] >= 0 && exponents[i] < MAX_PLANES &&
                                 (exponents[i] == next || exponents[i] == next + 1) && (i + 1 < count || !exponents[i]);
    expect(good, "layer %d: %s %d is %d, expected 0 or 1 above the next, the last 0", index, what, i, exponents[i]);
  }
}

bool is_flag(int32_t value) { return value == 0 || value == 1; }

// Whether the planes of pixels that the table gives are within `bits`, or for 0 bits are -1 and +1.
bool table_fits(const int8_t *table, int bits) {
  return std::all_of(table, table + TABLE_BYTES, [bits](int value) {
    return bits ? -(1 << (bits - 1)) <= value && value < 1 << (bits - 1) : value == 1 || value == -1;
  });
}

void check_weights(const Network &network, Layer &layer, int index, bool flat) {
  const Shape &in = layer.in;
  expect(layer.kind == CONV || layer.kind == DENSE || layer.kind == AVERAGE, "layer %d: kind is %d", index, layer.kind);
  expect(1 <= layer.bases && layer.bases <= MAX_BASES, "layer %d: %d bases, expected 1 to %d", index, layer.bases,
         MAX_BASES);
  expect(1 <= layer.outputs && layer.outputs <= MAX_OUTPUTS, "layer %d: %d outputs, expected 1 to %d", index,
         layer.outputs, MAX_OUTPUTS);
  expect(is_flag(layer.pool) && is_flag(layer.requantised) && is_flag(layer.average_shortcut) && !layer.zero,
         "layer %d: a flag is neither 0 nor 1", index);
  int64_t fan_in = 0;
  if (layer.kind == CONV) {
    expect(!flat, "layer %d: is a convolution behind a dense layer or an average", index);
    expect(layer.kernel == 1 || layer.kernel == 3 || layer.kernel == 5, "layer %d: kernel is %d, expected 1, 3 or 5",
           index, layer.kernel);
    expect(0 <= layer.pad && layer.pad <= layer.kernel / 2, "layer %d: pad is %d, expected 0 to %d", index, layer.pad,
           layer.kernel / 2);
    expect(1 <= layer.stride && layer.stride <= 2 && (layer.stride == 1 || !layer.pool),
           "layer %d: stride is %d, expected 1, or 2 without a pool", index, layer.stride);
    bool middle = layer.eight_bit || layer.planes_in > 1;
    expect(!layer.pad ||
               (layer.pad_value == 0 ? middle : !layer.eight_bit && (layer.pad_value == 1 || layer.pad_value == -1)),
           "layer %d: pad_value is %d", index, layer.pad_value);
    fan_in = int64_t(layer.kernel) * layer.kernel * in.channels;
    layer.rows = (in.height + 2 * layer.pad - layer.kernel) / layer.stride + 1;
    layer.columns = (in.width + 2 * layer.pad - layer.kernel) / layer.stride + 1;
    bool fits = in.height + 2 * layer.pad >= layer.kernel && in.width + 2 * layer.pad >= layer.kernel;
    layer.out = {layer.rows / (1 + layer.pool), layer.columns / (1 + layer.pool), layer.outputs};
    expect(fits && layer.out.height > 0 && layer.out.width > 0, "layer %d: input %dx%d is too small", index, in.height,
           in.width);
  } else {
    expect(layer.kernel == 1 && layer.stride == 1 && !layer.pad && !layer.pool,
           "layer %d: has a kernel, stride, pad or pool, expected none but of a convolution", index);
    layer.rows = layer.columns = 1;
    layer.out = {1, 1, layer.outputs};
    if (layer.kind == DENSE) fan_in = int64_t(in.height) * in.width * in.channels;
    expect(layer.kind == DENSE || (layer.outputs == in.channels && layer.bases == 1),
           "layer %d: %d outputs of an average, expected %d", index, layer.outputs, in.channels);
  }
  expect(fan_in <= MAX_FAN_IN, "layer %d: fan-in is %lld, expected at most %d", index, (long long)fan_in, MAX_FAN_IN);
  layer.fan_in = int(fan_in);
  expect(layer.kind != DENSE || index || layer.input_bits || table_fits(network.table, 0),
         "layer %d: a first dense layer needs a -1 and +1 table, or input_bits", index);
}

void check_shortcut(const Network &network, const Layer &layer, int index) {
  if (!layer.adds()) {
    expect(layer.shortcut == -1 && !layer.average_shortcut, "layer %d: shortcut is %d", index, layer.shortcut);
    return;
  }
  expect(layer.shortcut < index && index - layer.shortcut <= MAX_SPAN,
         "layer %d: adds layer %d, expected one of the %d before", index, layer.shortcut, MAX_SPAN);
  const Layer &from = network.layers[size_t(layer.shortcut)];
  expect(layer.requantised && !layer.last && !layer.pool && layer.kind != AVERAGE,
         "layer %d: has a shortcut, expected a value without a pool", index);
  expect(from.requantised && from.bits < MAX_PLANES, "layer %d: adds layer %d, expected one with a value", index,
         layer.shortcut);
  bool same = from.out.height == layer.out.height && from.out.width == layer.out.width;
  bool halved = (from.out.height + 1) / 2 == layer.out.height && (from.out.width + 1) / 2 == layer.out.width;
  bool even = from.out.height % 2 == 0 && from.out.width % 2 == 0;
  expect((same || halved) && from.out.channels <= layer.outputs && (!layer.average_shortcut || (!same && even)),
         "layer %d: adds a value of %dx%dx%d, expected %dx%d or twice that, and at most %d channels", index,
         from.out.height, from.out.width, from.out.channels, layer.out.height, layer.out.width, layer.outputs);
}

// The greatest magnitude of the sums, where it has no coefficients of its own; `table` makes pixels of bytes.
int64_t greatest_sum(const Layer &layer, const int8_t *table) {
  if (layer.kind == AVERAGE) return int64_t(layer.in.height) * layer.in.width * 128;
  int64_t bases = 0, planes = 0;
  for (int m = 0; m < layer.bases; m++) bases += 1 << layer.base_shifts[m];
  for (int n = 0; n < layer.planes_in; n++) planes += 1 << layer.plane_shifts[n];
  int pixel = 0;
  for (int n = 0; n < TABLE_BYTES; n++) pixel = std::max(pixel, std::abs(int(table[n])));
  return layer.fan_in * bases * (layer.eight_bit ? pixel : planes);
}

void check_sums(const Layer &layer, int index, const int8_t *table) {
  check_exponents(index, "base_shifts", layer.base_shifts, layer.bases);
  check_exponents(index, "plane_shifts", layer.plane_shifts, layer.planes_in);
  int own = layer.coefficient_planes;
  if (own) {
    bool none = !std::count_if(layer.base_shifts, layer.base_shifts + MAX_BASES, [](int x) { return x != 0; }) &&
                !std::count_if(layer.plane_shifts, layer.plane_shifts + MAX_PLANES, [](int x) { return x != 0; });
    expect(own == layer.planes_in && layer.requantised && layer.kind != AVERAGE && none,
           "layer %d: has coefficients of %d planes, expected %d, an offset, and no exponents", index, own,
           layer.planes_in);
    return;
  }
  bool wide = layer.requantised;
  int64_t most = wide ? MAX_SUM : layer.eight_bit || layer.kind == AVERAGE ? 32766 : MAX_FAN_IN;
  int64_t greatest = greatest_sum(layer, table);
  expect(greatest <= most, "layer %d: sums reach %lld, expected at most %lld", index, (long long)greatest,
         (long long)most);
}

void check_result(const Layer &layer, int index) {
  expect(0 <= layer.bits && layer.bits <= MAX_PLANES, "layer %d: bits is %d, expected 0 to %d", index, layer.bits,
         MAX_PLANES);
  expect(0 <= layer.limits && layer.limits <= MAX_THRESHOLDS, "layer %d: %d thresholds per output, expected at most %d",
         index, layer.limits, MAX_THRESHOLDS);
  if (layer.last)
    expect(layer.kind == DENSE && layer.requantised && !layer.limits && !layer.bits && layer.shift >= 0,
           "layer %d: is the last, expected a dense layer with an offset and without thresholds and bits", index);
  else
    expect(layer.requantised ? layer.shift >= 0 && layer.shift <= MAX_SHIFT && layer.shift % 4 == 0
                             : layer.limits && !layer.bits,
           "layer %d: gives neither bits nor a value with a shift of 0, 4, ... %d", index, MAX_SHIFT);
}

void read_arrays(const Bytes &bytes, Layer &layer, int index) {
  const int64_t outputs = layer.outputs;
  layer.weights = bytes.at(layer.weights_at, (layer.bases * outputs * layer.fan_in + 7) / 8, index, "weights");
  if (layer.limits) {
    bool wide = layer.eight_bit || layer.kind == AVERAGE;
    int64_t low = wide ? INT16_MIN : 0, high = wide ? INT16_MAX : MAX_FAN_IN + 1;
    if (layer.requantised) low = layer.bits ? 0 : -128, high = layer.bits ? 1 << layer.bits : 128;
    layer.thresholds = bytes.words(layer.thresholds_at, layer.limits * outputs, index, "thresholds", low, high);
    const uint8_t *flip = bytes.at(layer.flip_at, (outputs + 7) / 8, index, "flip");
    for (int64_t o = 0; o < outputs; o++) layer.flip.push_back(flip[o / 8] >> o % 8 & 1);
  }
  if (!layer.requantised) return;
  layer.offset = bytes.words(layer.offset_at, outputs, index, "offset");
  if (layer.coefficient_planes)
    layer.coefficients = bytes.words(layer.coefficients_at, outputs * layer.bases * layer.coefficient_planes, index,
                                     "coefficients", INT16_MIN, INT16_MAX);
  else
    layer.scale = bytes.words(layer.scale_at, outputs, index, "scale", INT16_MIN, INT16_MAX);
}

}  // namespace

Network read_network(const void *data, size_t size) {
  const uint16_t one = 1;
  expect(*reinterpret_cast<const uint8_t *>(&one) == 1, "this machine is big-endian, expected a little-endian one");
  Bytes bytes(data, size);
  expect(data && size >= 4 * HEADER_WORDS + TABLE_BYTES, "model: %lld bytes are too few for a packed model",
         (long long)size);
  int32_t header[HEADER_WORDS];
  std::memcpy(header, data, sizeof header);
  expect(header[0] == MAGIC, "model: starts with %08x, expected %08x of a packed model", unsigned(header[0]),
         unsigned(MAGIC));
  expect(header[1] == VERSION, "model: packed format %d, expected %d", header[1], VERSION);
  expect(size <= INT32_MAX && header[2] == int32_t(size), "model: says it has %d bytes, has %lld", header[2],
         (long long)size);
  const int count = header[3];
  expect(1 <= count && count <= MAX_LAYERS, "model: %d layers, expected 1 to %d", count, MAX_LAYERS);

  Network network;
  network.image = {header[4], header[5], header[6]};
  std::memcpy(network.table, static_cast<const uint8_t *>(data) + 4 * HEADER_WORDS, TABLE_BYTES);
  expect(1 <= header[4] && header[4] <= MAX_EDGE && 1 <= header[5] && header[5] <= MAX_EDGE && 1 <= header[6] &&
             header[6] <= MAX_FAN_IN,
         "model: the image is %dx%dx%d, expected edges of 1 to %d", header[4], header[5], header[6], MAX_EDGE);
  const uint8_t *records =
      bytes.at(4 * HEADER_WORDS + TABLE_BYTES, int64_t(count) * int64_t(sizeof(Record)), 0, "records");

  int64_t weights = 0;
  bool flat = false;
  std::vector<bool> is_read(size_t(count), false);
  for (int index = 0; index < count; index++) {
    Layer layer{};
    std::memcpy(static_cast<Record *>(&layer), records + size_t(index) * sizeof(Record), sizeof(Record));
    layer.last = index == count - 1;
    if (index == 0) {
      expect(layer.source == -1 && layer.kind != AVERAGE, "layer 0: reads layer %d, expected the image", layer.source);
      expect(layer.input_bits == 0 || (2 <= layer.input_bits && layer.input_bits <= MAX_PLANES &&
                                       table_fits(network.table, layer.input_bits)),
             "layer 0: input_bits is %d, expected 0 or 2 to %d, and a table within it", layer.input_bits, MAX_PLANES);
      layer.eight_bit = layer.kind == CONV && !layer.input_bits;
      layer.in = network.image;
      layer.planes_in = layer.input_bits ? layer.input_bits : 1;
      expect(layer.kind == DENSE || layer.in.channels <= MAX_CHANNELS,
             "model: %d channels of the image, expected 1 to %d", layer.in.channels, MAX_CHANNELS);
    } else {
      expect(0 <= layer.source && layer.source < index && layer.input_bits == 0,
             "layer %d: reads layer %d, expected one before it", index, layer.source);
      const Layer &source = network.layers[size_t(layer.source)];
      bool average = layer.kind == AVERAGE;
      expect(average ? source.requantised && source.bits < MAX_PLANES : source.planes > 0,
             "layer %d: reads layer %d, which has no %s", index, layer.source, average ? "value" : "planes");
      layer.in = source.out;
      layer.planes_in = average ? 1 : source.planes;
    }
    check_weights(network, layer, index, flat);
    flat = flat || layer.kind != CONV;
    weights += int64_t(layer.bases) * layer.outputs * layer.fan_in;
    expect(weights <= MAX_WEIGHTS, "layer %d: the weights so far are %lld, expected at most %lld", index,
           (long long)weights, (long long)MAX_WEIGHTS);
    expect(is_flag(layer.requantised) && 0 <= layer.coefficient_planes && layer.coefficient_planes <= MAX_PLANES,
           "layer %d: coefficients of %d planes", index, layer.coefficient_planes);
    check_result(layer, index);
    check_sums(layer, index, network.table);
    check_shortcut(network, layer, index);
    read_arrays(bytes, layer, index);
    layer.planes = layer.limits ? layer.limits : layer.bits;
    int64_t elements = int64_t(layer.out.height) * layer.out.width * layer.outputs * (layer.planes + 1);
    expect(elements <= MAX_ELEMENTS, "layer %d: gives %lld bits, expected at most %lld", index, (long long)elements,
           (long long)MAX_ELEMENTS);
    for (int used : {layer.source, layer.shortcut})
      if (used >= 0) is_read[size_t(used)] = true;
    network.layers.push_back(std::move(layer));
  }
  for (int index = 0; index + 1 < count; index++)
    expect(is_read[size_t(index)], "layer %d: is read by no layer", index);
  return network;
}

}  // namespace bnn
