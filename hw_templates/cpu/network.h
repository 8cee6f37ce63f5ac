// A packed model: what bnn/cpu.py writes of a model that bnn/rules.py has checked, and what is read from it here, where
// everything is checked again, as the bytes may come from anywhere.
//
// Little-endian words of 32 bits: the header, the input table (256 signed bytes), a record per layer, then the arrays,
// each at the byte offset that its record gives, a multiple of 4. Weights and flips are bits, the least significant
// first.
#ifndef BNN_NETWORK_H
#define BNN_NETWORK_H

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace bnn {

struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

constexpr int32_t MAGIC = 0x504E4E42;  // "BNNP"
constexpr int32_t VERSION = 1;
constexpr int HEADER_WORDS = 8;  // magic, version, bytes in all, layers, height, width, channels, 0
constexpr int TABLE_BYTES = 256;
constexpr int RECORD_WORDS = 40;  // as `Record`

constexpr int MAX_BASES = 8, MAX_PLANES = 8, MAX_THRESHOLDS = 3, MAX_SPAN = 8, MAX_CHANNELS = 4;
constexpr int MAX_FAN_IN = 65534, MAX_OUTPUTS = 65535, MAX_SUM = (1 << 24) - 1, MAX_SHIFT = 28;
constexpr int MAX_LAYERS = 4096, MAX_EDGE = 16384;
constexpr int64_t MAX_WEIGHTS = 1 << 27, MAX_ELEMENTS = 1 << 28;  // of a model; of a map with all its planes

enum Kind : int32_t { CONV, DENSE, AVERAGE };

struct Record {
  int32_t kind, source, shortcut;  // layers by number, -1: the image, none
  int32_t bases, outputs, kernel, stride, pad, pad_value, pool;
  int32_t limits, requantised, coefficient_planes, bits, shift, average_shortcut, input_bits;
  int32_t weights_at, thresholds_at, flip_at, scale_at, offset_at, coefficients_at;
  int32_t zero;
  int32_t base_shifts[MAX_BASES], plane_shifts[MAX_PLANES];
};
static_assert(sizeof(Record) == 4 * RECORD_WORDS, "the record has no gaps");

struct Shape {
  int height, width, channels;
};

struct Layer : Record {
  Shape in, out;                                                 // out: behind the pool
  int rows, columns;                                             // before it
  int planes_in, planes;                                         // read, given
  int fan_in;                                                    // of one plane
  bool eight_bit, last;                                          // reads pixels of 8 bits; gives scores
  const uint8_t *weights;                                        // in the packed model: (M, O, fan-in)
  std::vector<int32_t> thresholds, scale, offset, coefficients;  // (K, O), (O), (O), (O, M, N)
  std::vector<bool> flip;

  bool adds() const { return shortcut >= 0; }
};

struct Network {
  Shape image;
  int8_t table[TABLE_BYTES];
  std::vector<Layer> layers;
};

// Reads a packed model; `Layer::weights` point into it. Throws Refused: one line with the layer, what it has and what
// was expected.
Network read_network(const void *data, size_t size);

}  // namespace bnn

#endif
