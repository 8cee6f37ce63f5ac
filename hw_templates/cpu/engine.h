// A network laid out for one instruction set, and the memory in which it runs.
#ifndef BNN_ENGINE_CORE_H
#define BNN_ENGINE_CORE_H

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "network.h"
#include "step.h"
#include "team.h"

namespace bnn {

// Zeroed memory aligned to the widest vector.
class Memory {
 public:
  explicit Memory(size_t bytes = 0);
  uint8_t *data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::unique_ptr<uint8_t[]> owner_;
  uint8_t *data_ = nullptr;
  size_t size_ = 0;
};

// Where the planes of a layer's output, or the pixels that the first layer reads, lie in the memory of one image:
// rows of `pixel` bytes a column, with a border around every plane for the padding of those that read it.
struct Map {
  int height = 0, width = 0, planes = 0, border = 0;
  ptrdiff_t pixel = 0, row = 0, plane = 0, image = 0;

  void lay_out(int rows, int columns, int count, ptrdiff_t pixel_bytes);
  ptrdiff_t inside() const { return border * row + border * pixel; }  // of the first pixel
};

// What one layer needs: the step with all that it points to.
struct Stage {
  Step step{};
  std::vector<Pass> passes;
  Memory weights;
  std::vector<int32_t> bias, limits, coefficients, scale, offset;
  std::vector<uint8_t> flips;
  Map map;
  size_t value_elements = 0;  // of an image
  ptrdiff_t first_window = 0;
  bool pads_anew = false;  // others that read its source pad with other bits
};

// The maps of some images.
struct Workspace {
  size_t images = 0;
  Memory pixels;
  std::vector<Memory> planes, values;
};

class Engine {
 public:
  Engine(Network network, const Isa &isa, int threads);  // 0: of all processors, with care

  void infer(const uint8_t *images, size_t count, int32_t *scores);
  void trace(const uint8_t *images, size_t count, uint8_t *found);
  size_t image_bytes() const;
  size_t classes() const { return size_t(network_.layers.back().outputs); }
  size_t trace_bytes() const;
  size_t memory();
  const char *isa_name() const { return isa_.name; }

 private:
  // Some images of a batch, and who works on them: member `part` of `parts`, which meet at barriers if there are
  // several.
  struct Share {
    const uint8_t *images;
    size_t count;
    int32_t *scores;
    int part, parts;
  };

  void lay_out();
  void lay_out_borders();
  void lay_out_weights(const Layer &layer, Stage &stage);
  void lay_out_result(const Layer &layer, Stage &stage);
  size_t bytes_of_image() const;
  void reserve(Workspace &space, size_t images);
  void pad(const Layer &layer, const Map &map, uint8_t *planes, size_t images) const;
  void read_pixels(const Share &share, uint8_t *pixels) const;
  void run_stage(size_t index, const Share &share, Workspace &space);
  void run_all(const Share &share, Workspace &space);
  uint8_t *unpack(size_t index, const Workspace &space, const int32_t *scores, uint8_t *to) const;
  Map &map_of(int layer) { return layer < 0 ? image_ : stages_[size_t(layer)].map; }

  Network network_;
  const Isa &isa_;
  Map image_;
  std::vector<Stage> stages_;
  size_t together_ = 1;   // images whose maps are in the memory at once
  int64_t image_ns_ = 0;  // about, in one thread
  const bool careful_;    // share only what is worth it
  Team team_;
  std::vector<Workspace> spaces_;  // of each member; of the first for all
  std::mutex mutex_;
};

// The instruction sets that run here, fastest first; the one of a name, or for null the first. Throws Refused.
std::string isa_names();
const Isa &find_isa(const char *name);

}  // namespace bnn

#endif
