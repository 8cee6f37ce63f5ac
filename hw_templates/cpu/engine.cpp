#include "engine.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <numeric>

namespace bnn {
namespace {

constexpr size_t ALIGNMENT = 64;
constexpr size_t CACHED = 1 << 18;  // bytes of the largest maps of the images that are worked on together
constexpr size_t MOST_TOGETHER = 32;
constexpr int64_t WORTH_SHARING_NS = 1000000;
constexpr int64_t MAX_MEMORY = int64_t(1) << 30;  // of one image

int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

bool weight_bit(const Layer &layer, int base, int output, int64_t input) {
  const int64_t at = (int64_t(base) * layer.outputs + output) * layer.fan_in + input;
  return layer.weights[at / 8] >> at % 8 & 1;
}

int32_t capped(int64_t value) { return int32_t(std::min<int64_t>(std::max<int64_t>(value, INT32_MIN), INT32_MAX)); }

int processors() { return int(std::min(std::max(std::thread::hardware_concurrency(), 1u), 64u)); }

// The bit that stands in the padding of a plane.
bool pad_bit(const Layer &layer, int plane) { return layer.pad_value > 0 || (layer.pad_value == 0 && plane == 0); }

bool same_padding(const Layer &a, const Layer &b) {
  for (int n = 0; n < a.planes_in; n++)
    if (pad_bit(a, n) != pad_bit(b, n)) return false;
  return true;
}

}  // namespace

Memory::Memory(size_t bytes) : size_(bytes) {
  if (!bytes) return;
  owner_.reset(new uint8_t[bytes + ALIGNMENT]());
  data_ = owner_.get() + (ALIGNMENT - reinterpret_cast<uintptr_t>(owner_.get()) % ALIGNMENT);
}

void Map::lay_out(int rows, int columns, int count, ptrdiff_t pixel_bytes) {
  height = rows;
  width = columns;
  planes = count;
  pixel = pixel_bytes;
  row = (columns + 2 * border) * pixel;
  plane = (rows + 2 * border) * row;
  image = planes * plane;
}

Engine::Engine(Network network, const Isa &isa, int threads)
    : network_(std::move(network)),
      isa_(isa),
      stages_(network_.layers.size()),
      careful_(threads == 0),
      team_(threads ? threads : processors()) {
  lay_out();
  for (Layer &layer : network_.layers) {  // laid out by now, and the packed model goes
    layer.weights = nullptr;
    layer.thresholds = layer.scale = layer.offset = layer.coefficients = std::vector<int32_t>();
  }
  spaces_.resize(size_t(team_.members()));
}

void Engine::lay_out_borders() {
  std::vector<int> reader(stages_.size() + 1, -1);  // the first that pads what a layer, or the image, gives
  for (size_t index = 0; index < stages_.size(); index++) {
    const Layer &layer = network_.layers[index];
    if (layer.kind != CONV || !layer.pad) continue;
    Map &map = map_of(layer.source);
    map.border = std::max(map.border, layer.pad);
    int &first = reader[size_t(layer.source + 1)];
    if (first < 0) first = int(index);
    if (same_padding(layer, network_.layers[size_t(first)])) continue;
    for (size_t other = size_t(first); other <= index; other++)
      if (network_.layers[other].source == layer.source && network_.layers[other].pad) stages_[other].pads_anew = true;
  }
}

void Engine::lay_out() {
  lay_out_borders();
  const Layer &first = network_.layers.front();
  if (first.kind == CONV)
    image_.lay_out(first.in.height, first.in.width, first.planes_in, first.eight_bit ? 4 : 8);
  else  // its bits one behind the other
    image_.lay_out(1, 1, first.planes_in, round_up(first.fan_in, 64) / 8);
  for (size_t index = 0; index < stages_.size(); index++) {
    const Layer &layer = network_.layers[index];
    Stage &stage = stages_[index];
    Step &step = stage.step;
    const Map &in = map_of(layer.source);
    if (layer.kind == AVERAGE) {
      step.average = true;
      step.average_elements = layer.in.height * layer.in.width;
      step.in_image = ptrdiff_t(step.average_elements) * layer.outputs;
    } else {
      const bool conv = layer.kind == CONV;
      const ptrdiff_t unit = layer.eight_bit ? 4 : 8;
      step.kernel_rows = conv ? layer.kernel : in.height;
      step.run = int((conv ? layer.kernel : in.width) * (in.pixel / unit));
      if (!conv && !in.border) {  // one run through all rows
        step.run *= step.kernel_rows;
        step.kernel_rows = 1;
      }
      step.channels = layer.in.channels;
      step.in_image = in.image;
      step.in_row = in.row;
      step.window_row = layer.stride * in.row;
      step.window_column = layer.stride * in.pixel;
      stage.first_window = (in.border - layer.pad) * (in.row + in.pixel);
    }
    step.out_rows = layer.out.height;
    step.out_columns = layer.out.width;
    step.pool = layer.pool;
    step.outputs = layer.outputs;
    step.block_outputs = layer.eight_bit ? isa_.pixel_outputs : isa_.parts * isa_.groups * isa_.lanes;
    step.blocks = int(round_up(layer.outputs, step.block_outputs) / step.block_outputs);
    step.padded = step.blocks * step.block_outputs;
    step.planes = layer.planes;
    // a block writes whole bytes, some of them beyond the last output
    const ptrdiff_t pixel = round_up(round_up(layer.outputs, 64), step.block_outputs) / 8;
    stage.map.lay_out(layer.out.height, layer.out.width, layer.planes, pixel);
    step.out_image = stage.map.image;
    step.out_plane = stage.map.plane;
    step.out_row = stage.map.row;
    step.out_pixel = stage.map.pixel;
    step.value = layer.requantised && !layer.last;
    step.value_row = ptrdiff_t(layer.out.width) * layer.outputs;
    step.value_image = layer.out.height * step.value_row;
    if (step.value) stage.value_elements = size_t(step.value_image);
    if (layer.kind != AVERAGE) lay_out_weights(layer, stage);
    image_ns_ += int64_t(layer.rows) * layer.columns * layer.outputs * layer.fan_in * layer.bases * layer.planes_in /
                 isa_.macs_per_ns;
    lay_out_result(layer, stage);
  }
  int64_t largest = image_.image, all = image_.image;
  for (const Stage &stage : stages_) {
    const int64_t bytes = stage.map.image + int64_t(2 * stage.value_elements);
    largest = std::max(largest, bytes);
    all += bytes;
  }
  if (all > MAX_MEMORY) throw Refused("model: the maps of one image take more than a GiB");
  together_ = std::min(MOST_TOGETHER, std::max<size_t>(1, CACHED / size_t(largest)));
}

void Engine::lay_out_weights(const Layer &layer, Stage &stage) {
  Step &step = stage.step;
  const Map &in = map_of(layer.source);
  const bool conv = layer.kind == CONV;
  const int rows = conv ? layer.kernel : layer.source < 0 ? 1 : layer.in.height;
  const int columns = conv ? layer.kernel : layer.source < 0 ? 1 : layer.in.width;
  const int channels = layer.fan_in / (rows * columns);
  ptrdiff_t base_bytes;
  if (layer.eight_bit) {
    const int together = isa_.together, units = int(round_up(channels, together));
    base_bytes = ptrdiff_t(rows) * columns * units * step.block_outputs;
    stage.weights = Memory(size_t(base_bytes) * layer.bases * step.blocks);
    stage.bias.assign(size_t(layer.bases) * step.padded, 0);
    for (int m = 0; m < layer.bases; m++)
      for (int o = 0; o < layer.outputs; o++)
        for (int i = 0; i < layer.fan_in; i++) {
          const int tap = i / channels, c = i % channels, sign = weight_bit(layer, m, o, i) ? 1 : -1;
          const ptrdiff_t block = (o / step.block_outputs * ptrdiff_t(layer.bases) + m) * base_bytes;
          const ptrdiff_t at = (tap * units + c / together * together) * ptrdiff_t(step.block_outputs) +
                               o % step.block_outputs * together + c % together;
          stage.weights.data()[block + at] = uint8_t(int8_t(sign));
          stage.bias[size_t(m) * step.padded + o] -= sign * isa_.pixel_offset;
        }
    step.bias = stage.bias.data();
  } else {
    const ptrdiff_t words = in.pixel / 8, part_words = ptrdiff_t(rows) * columns * words;  // of one output
    base_bytes = part_words * step.block_outputs * 8;
    stage.weights = Memory(size_t(base_bytes) * layer.bases * step.blocks);
    uint64_t *to = reinterpret_cast<uint64_t *>(stage.weights.data());
    const int part_outputs = isa_.groups * isa_.lanes;
    for (int o = 0; o < layer.outputs; o++)
      for (int m = 0; m < layer.bases; m++) {
        const int inside = o % step.block_outputs;
        const ptrdiff_t start = (o / step.block_outputs * ptrdiff_t(layer.bases) + m) * base_bytes / 8 +
                                inside / part_outputs * part_words * part_outputs + inside % part_outputs;
        for (int tap = 0; tap < rows * columns; tap++)
          for (int c = 0; c < channels; c++)
            if (weight_bit(layer, m, o, int64_t(tap) * channels + c))
              to[start + (tap * words + c / 64) * part_outputs] |= uint64_t(1) << c % 64;
      }
  }
  step.weights = stage.weights.data();
  step.block_bytes = base_bytes * layer.bases;

  // the passes, the greatest coefficient first
  std::vector<int> exponents;
  for (int m = 0; m < layer.bases; m++)
    for (int n = 0; n < layer.planes_in; n++) {
      stage.passes.push_back({m * base_bytes, n * in.plane, 0, m});
      exponents.push_back(layer.base_shifts[m] + (layer.eight_bit ? 0 : layer.plane_shifts[n]));
    }
  std::vector<size_t> order(stage.passes.size());
  std::iota(order.begin(), order.end(), size_t(0));
  if (layer.coefficients.empty())
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return exponents[a] > exponents[b]; });
  std::vector<Pass> ordered;
  for (size_t i = 0; i < order.size(); i++) {
    ordered.push_back(stage.passes[order[i]]);
    if (i) ordered.back().shift = exponents[order[i - 1]] - exponents[order[i]];
  }
  stage.passes = ordered;
  step.passes = stage.passes.data();
  step.pass_count = int(stage.passes.size());
  if (layer.eight_bit) return;
  step.fan_in = layer.fan_in;
  for (int exponent : exponents) step.sum_offset += int64_t(layer.fan_in) << exponent;
}

void Engine::lay_out_result(const Layer &layer, Stage &stage) {
  Step &step = stage.step;
  const size_t padded = size_t(step.padded), outputs = size_t(layer.outputs);
  step.requantised = layer.requantised;
  step.scores = layer.last;
  step.value_bits = layer.requantised && !layer.limits;
  step.low = layer.bits ? 0 : -128;
  step.high = layer.bits ? (1 << layer.bits) - 1 : 127;
  step.shift = layer.last ? 0 : layer.shift;
  stage.flips.assign(padded / 8, 0);
  stage.limits.assign(size_t(layer.planes) * padded, INT32_MAX);  // what is beyond the last output is never 1
  const bool own_sums = !layer.requantised && !layer.eight_bit && layer.kind != AVERAGE;
  for (size_t o = 0; o < outputs; o++) {
    for (size_t k = 0; k < size_t(layer.planes); k++) {
      int32_t &limit = stage.limits[k * padded + o];
      if (step.value_bits)
        limit = 1;
      else
        limit = capped(layer.thresholds[k * outputs + o] - (own_sums ? step.sum_offset : 0));
    }
    if (layer.limits && layer.flip[o]) stage.flips[o / 8] = uint8_t(stage.flips[o / 8] | 1 << o % 8);
  }
  step.limits = stage.limits.data();
  step.flips = stage.flips.data();
  if (!layer.requantised) return;
  stage.scale.assign(padded, 0);
  stage.offset.assign(padded, 0);
  for (size_t o = 0; o < outputs; o++) {
    stage.scale[o] = layer.scale.empty() ? 1 : layer.scale[o];
    stage.offset[o] = layer.offset[o];
  }
  if (!layer.coefficients.empty()) {
    const size_t passes = stage.passes.size();  // in the order (M, N), as the coefficients are
    stage.coefficients.assign(passes * padded, 0);
    for (size_t o = 0; o < outputs; o++)
      for (size_t i = 0; i < passes; i++) stage.coefficients[i * padded + o] = layer.coefficients[o * passes + i];
    step.coefficients = stage.coefficients.data();
  }
  step.scale = stage.scale.data();
  step.offset = stage.offset.data();
  if (!layer.adds()) return;
  const Shape &from = network_.layers[size_t(layer.shortcut)].out;
  const bool same = from.height == layer.out.height && from.width == layer.out.width;
  step.shortcut = same ? Shortcut::SAME : layer.average_shortcut ? Shortcut::AVERAGED : Shortcut::STRIDED;
  step.shortcut_channels = from.channels;
  step.shortcut_row = ptrdiff_t(from.width) * from.channels;
  step.shortcut_image = from.height * step.shortcut_row;
}

size_t Engine::image_bytes() const {
  const Shape &image = network_.image;
  return size_t(image.height) * size_t(image.width) * size_t(image.channels);
}

size_t Engine::memory() {
  std::lock_guard<std::mutex> lock(mutex_);
  size_t bytes = 0;
  for (const Stage &stage : stages_)
    bytes += stage.weights.size() + stage.flips.size() +
             4 * (stage.bias.size() + stage.limits.size() + stage.coefficients.size() + stage.scale.size() +
                  stage.offset.size());
  for (const Workspace &space : spaces_) {
    bytes += space.pixels.size();
    for (const Memory &map : space.planes) bytes += map.size();
    for (const Memory &map : space.values) bytes += map.size();
  }
  return bytes;
}

// Maps of at least so many images, their padding in place.
void Engine::reserve(Workspace &space, size_t images) {
  if (space.images >= images) return;
  space = Workspace();
  space.pixels = Memory(images * size_t(image_.image));
  for (const Stage &stage : stages_) {
    space.planes.emplace_back(images * size_t(stage.map.image));
    space.values.emplace_back(images * stage.value_elements * sizeof(int16_t));
  }
  for (const Layer &layer : network_.layers)
    if (layer.kind == CONV && layer.pad)
      pad(layer, map_of(layer.source),
          layer.source < 0 ? space.pixels.data() : space.planes[size_t(layer.source)].data(), images);
  space.images = images;
}

// Writes what stands around the planes that a layer reads.
void Engine::pad(const Layer &layer, const Map &map, uint8_t *planes, size_t images) const {
  std::vector<uint8_t> outside(size_t(map.pixel), 0);
  for (size_t image = 0; image < images; image++)
    for (int n = 0; n < map.planes; n++) {
      if (layer.eight_bit)
        std::fill(outside.begin(), outside.end(), uint8_t(isa_.pixel_offset));
      else
        for (int c = 0; c < layer.in.channels; c++) {
          const uint8_t bit = uint8_t(1 << c % 8), byte = outside[size_t(c / 8)];
          outside[size_t(c / 8)] = uint8_t(pad_bit(layer, n) ? byte | bit : byte & ~bit);
        }
      uint8_t *plane = planes + ptrdiff_t(image) * map.image + n * map.plane;
      const int rows = map.height + 2 * map.border, columns = map.width + 2 * map.border;
      for (int row = 0; row < rows; row++) {
        const bool inside = map.border <= row && row < map.border + map.height;
        for (int column = 0; column < columns; column++) {
          if (inside && column == map.border) column += map.width;
          std::memcpy(plane + row * map.row + column * map.pixel, outside.data(), outside.size());
        }
      }
    }
}

// Brings the part's images into the form in which the first layer reads them.
void Engine::read_pixels(const Share &share, uint8_t *pixels) const {
  const Layer &first = network_.layers.front();
  const size_t channels = first.kind == CONV ? size_t(first.in.channels) : size_t(first.fan_in);
  const size_t rows = size_t(image_.height), columns = size_t(image_.width), all = share.count * rows;
  uint8_t table[TABLE_BYTES];  // what the planes are bits of: an 8-bit pixel, a code of input_bits, or a bit
  for (int i = 0; i < TABLE_BYTES; i++) {
    const int value = network_.table[i];
    table[i] = first.eight_bit    ? uint8_t(value + isa_.pixel_offset)
               : first.input_bits ? uint8_t(value + (1 << (first.input_bits - 1)))
                                  : uint8_t(value > 0);
  }
  for (size_t at = all * size_t(share.part) / size_t(share.parts);
       at < all * size_t(share.part + 1) / size_t(share.parts); at++) {
    const uint8_t *from = share.images + at * columns * channels;
    uint8_t *to = pixels + ptrdiff_t(at / rows) * image_.image + image_.inside() + ptrdiff_t(at % rows) * image_.row;
    if (first.eight_bit) {
      for (size_t x = 0; x < columns; x++, to += 4, from += channels)
        for (size_t c = 0; c < channels; c++) to[c] = table[from[c]];
      continue;
    }
    for (int n = 0; n < image_.planes; n++) {
      const int place = image_.planes - 1 - n;
      for (size_t x = 0; x < columns; x++) {
        uint8_t *plane = to + n * image_.plane + ptrdiff_t(x) * image_.pixel;
        const uint8_t *row = from + x * channels;
        for (size_t c = 0; c < channels; c += 8) {
          unsigned byte = 0;
          for (size_t i = 0; i < 8 && c + i < channels; i++) byte |= unsigned(table[row[c + i]] >> place & 1) << i;
          plane[c / 8] = uint8_t(byte);
        }
      }
    }
  }
}

void Engine::run_stage(size_t index, const Share &share, Workspace &space) {
  const Layer &layer = network_.layers[index];
  Stage &stage = stages_[index];
  const Map &in = map_of(layer.source);
  uint8_t *from = layer.source < 0        ? space.pixels.data()
                  : layer.kind == AVERAGE ? space.values[size_t(layer.source)].data()
                                          : space.planes[size_t(layer.source)].data();
  if (stage.pads_anew) {
    if (!share.part) pad(layer, in, from, share.count);
    if (share.parts > 1) team_.barrier();
  }
  Task task{};
  task.in = from + stage.first_window;
  if (layer.planes) task.out = space.planes[index].data() + stage.map.inside();
  task.values = reinterpret_cast<int16_t *>(space.values[index].data());
  if (layer.adds()) task.shortcut = reinterpret_cast<const int16_t *>(space.values[size_t(layer.shortcut)].data());
  task.scores = share.scores;
  task.end = int64_t(share.count) * layer.out.height * layer.out.width;
  task.block_end = stage.step.blocks;
  if (task.end >= 8 * share.parts) {
    const int64_t pixels = task.end;
    task.begin = pixels * share.part / share.parts;
    task.end = pixels * (share.part + 1) / share.parts;
  } else {
    task.block_begin = task.block_end * share.part / share.parts;
    task.block_end = task.block_end * (share.part + 1) / share.parts;
  }
  (layer.eight_bit ? isa_.pixels : isa_.bits)(stage.step, task);
}

void Engine::run_all(const Share &share, Workspace &space) {
  read_pixels(share, space.pixels.data());
  for (size_t index = 0; index < stages_.size(); index++) {
    if (share.parts > 1) team_.barrier();
    run_stage(index, share, space);
  }
}

void Engine::infer(const uint8_t *images, size_t count, int32_t *scores) {
  std::lock_guard<std::mutex> lock(mutex_);
  const size_t members = size_t(team_.members()), image = image_bytes();
  if (!count) return;
  if (count < 2 * members) {  // all work on every layer of the same images, or one does
    const bool alone = careful_ && int64_t(count) * image_ns_ < WORTH_SHARING_NS;
    const size_t chunk = std::min(count, together_);
    reserve(spaces_.front(), chunk);
    const auto work = [&](int member) {
      for (size_t start = 0; start < count; start += chunk) {
        if (start && !alone) team_.barrier();  // of a network of one layer others may still read the pixels
        run_all({images + start * image, std::min(chunk, count - start), scores + start * classes(), member,
                 alone ? 1 : int(members)},
                spaces_.front());
      }
    };
    if (alone)
      work(0);
    else
      team_.run(work);
    return;
  }
  const size_t least = (count + together_ - 1) / together_, chunks = (least + members - 1) / members * members;
  const size_t chunk = (count + chunks - 1) / chunks;  // as many for each, and of one size
  for (Workspace &space : spaces_) reserve(space, chunk);
  std::atomic<size_t> next{0};
  team_.run([&](int member) {
    for (size_t start; (start = chunk * next.fetch_add(1)) < count;)
      run_all({images + start * image, std::min(chunk, count - start), scores + start * classes(), 0, 1},
              spaces_[size_t(member)]);
  });
}

size_t Engine::trace_bytes() const {
  size_t bytes = 0;
  for (const Layer &layer : network_.layers) {
    const size_t elements = size_t(layer.out.height) * size_t(layer.out.width) * size_t(layer.outputs);
    bytes += layer.last ? 4 * elements : elements * size_t(layer.planes + 2 * layer.requantised);
  }
  return bytes;
}

// A layer's output for the image in the workspace; gives where the next one's goes.
uint8_t *Engine::unpack(size_t index, const Workspace &space, const int32_t *scores, uint8_t *to) const {
  const Layer &layer = network_.layers[index];
  const Map &map = stages_[index].map;
  if (layer.last) {
    std::memcpy(to, scores, 4 * size_t(layer.outputs));
    return to + 4 * size_t(layer.outputs);
  }
  for (int k = 0; k < map.planes; k++)
    for (int row = 0; row < map.height; row++)
      for (int column = 0; column < map.width; column++) {
        const uint8_t *pixel =
            space.planes[index].data() + map.inside() + k * map.plane + row * map.row + column * map.pixel;
        for (int o = 0; o < layer.outputs; o++) *to++ = pixel[o / 8] >> o % 8 & 1;
      }
  const size_t bytes = stages_[index].value_elements * sizeof(int16_t);
  if (bytes) std::memcpy(to, space.values[index].data(), bytes);
  return to + bytes;
}

void Engine::trace(const uint8_t *images, size_t count, uint8_t *found) {
  std::lock_guard<std::mutex> lock(mutex_);
  Workspace &space = spaces_.front();
  reserve(space, 1);
  std::vector<int32_t> scores(classes());
  for (size_t image = 0; image < count; image++) {
    const Share share = {images + image * image_bytes(), 1, scores.data(), 0, 1};
    read_pixels(share, space.pixels.data());
    for (size_t index = 0; index < stages_.size(); index++) {
      run_stage(index, share, space);
      found = unpack(index, space, scores.data(), found);
    }
  }
}

std::string isa_names() {
  std::string names;
  for (int i = 0; i < isa_count; i++)
    if (isas[i]->runs_here()) names += (names.empty() ? "" : " ") + std::string(isas[i]->name);
  return names;
}

const Isa &find_isa(const char *name) {
  for (int i = 0; i < isa_count; i++)
    if (isas[i]->runs_here() && (!name || !std::strcmp(name, isas[i]->name))) return *isas[i];
  throw Refused("instruction set '" + std::string(name ? name : "") + "' does not run here, expected one of " +
                isa_names());
}

}  // namespace bnn
