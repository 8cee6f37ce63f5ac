// Any processor: words of 64 bits, and what the compiler makes of the loops over outputs.
#include "step.h"

namespace bnn {
namespace {

struct Set {
  static constexpr int INTS = 8;
  struct Ints {
    int32_t lane[INTS];
  };

  static Ints load(const int32_t *from) {
    Ints result;
    for (int o = 0; o < INTS; o++) result.lane[o] = from[o];
    return result;
  }
  static void store(int32_t *to, const Ints &a) {
    for (int o = 0; o < INTS; o++) to[o] = a.lane[o];
  }
  static Ints max(const Ints &a, const Ints &b) {
    Ints result;
    for (int o = 0; o < INTS; o++) result.lane[o] = a.lane[o] > b.lane[o] ? a.lane[o] : b.lane[o];
    return result;
  }
  static unsigned at_least(const Ints &a, const int32_t *limits) {
    unsigned bits = 0;
    for (int o = 0; o < INTS; o++) bits |= unsigned(a.lane[o] >= limits[o]) << o;
    return bits;
  }

  // The ones in every byte of a word.
  static uint64_t byte_counts(uint64_t x) {
    x -= x >> 1 & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
    return (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  }

  struct Bits {
    static constexpr int OUTPUTS = INTS;
    static constexpr int MOST = 31;  // words whose counts fit a byte

    template <int P>
    static void sums(const Step &step, int, const uint8_t *const *in, const uint8_t *weights, int first, int last,
                     Ints (*found)[1]) {
      uint64_t counts[P][OUTPUTS] = {};
      for (int p = 0; p < P; p++) found[p][0] = Ints{};
      for (int i = first; i < last; i++) {
        const Pass &pass = step.passes[i];
        if (i > first)
          for (int p = 0; p < P; p++)
            for (int o = 0; o < OUTPUTS; o++) found[p][0].lane[o] *= 1 << pass.shift;
        const uint64_t *w = reinterpret_cast<const uint64_t *>(weights + pass.weights);
        int room = MOST;
        for (int row = 0; row < step.kernel_rows; row++) {
          const ptrdiff_t from = pass.plane + row * step.in_row;
          for (int r = 0; r < step.run; r++, w += OUTPUTS) {
            for (int p = 0; p < P; p++) {
              const uint64_t word = reinterpret_cast<const uint64_t *>(in[p] + from)[r];
              for (int o = 0; o < OUTPUTS; o++) counts[p][o] += byte_counts(word ^ w[o]);
            }
            if (--room == 0) {
              flush<P>(counts, found);
              room = MOST;
            }
          }
        }
        flush<P>(counts, found);
      }
    }

    template <int P>
    static void flush(uint64_t (*counts)[OUTPUTS], Ints (*found)[1]) {
      for (int p = 0; p < P; p++)
        for (int o = 0; o < OUTPUTS; o++) {
          const uint64_t pairs = (counts[p][o] & 0x00ff00ff00ff00ffu) + (counts[p][o] >> 8 & 0x00ff00ff00ff00ffu);
          found[p][0].lane[o] -= int32_t(pairs * 0x0001000100010001u >> 48);
          counts[p][o] = 0;
        }
    }
  };

  struct Pixels {
    static constexpr int OUTPUTS = INTS;

    template <int P>
    static void sums(const Step &step, int block, const uint8_t *const *in, const uint8_t *weights, int first, int last,
                     Ints (*found)[1]) {
      for (int p = 0; p < P; p++) found[p][0] = Ints{};
      for (int i = first; i < last; i++) {
        const Pass &pass = step.passes[i];
        const int32_t *bias = step.bias + ptrdiff_t(pass.base) * step.padded + block * OUTPUTS;
        for (int p = 0; p < P; p++)
          for (int o = 0; o < OUTPUTS; o++)
            found[p][0].lane[o] = found[p][0].lane[o] * (i > first ? 1 << pass.shift : 1) + bias[o];
        const int8_t *w = reinterpret_cast<const int8_t *>(weights + pass.weights);
        for (int row = 0; row < step.kernel_rows; row++)
          for (int r = 0; r < step.run; r++)
            for (int c = 0; c < step.channels; c++, w += OUTPUTS)
              for (int p = 0; p < P; p++) {
                const int pixel = reinterpret_cast<const int8_t *>(in[p] + row * step.in_row)[4 * r + c];
                for (int o = 0; o < OUTPUTS; o++) found[p][0].lane[o] += pixel * w[o];
              }
      }
    }
  };
};

double peak(long repeats) {
  constexpr int SUMS = 8;
  uint64_t counts[SUMS] = {}, words[SUMS], total = 0, word = 0x5555aaaa3333ccccu;
  for (int i = 0; i < SUMS; i++) words[i] = 0x123456789abcdefu * uint64_t(i + 1);
  for (long n = 0; n < repeats; n++) {
    __asm__ volatile("" : "+r"(word));  // may be another: nothing can leave the loop
    for (int i = 0; i < SUMS; i++) counts[i] += Set::byte_counts(word ^ words[i]);
    if (n % Set::Bits::MOST) continue;
    for (int i = 0; i < SUMS; i++) {
      total += counts[i] * 0x0101010101010101u >> 56;
      counts[i] = 0;
    }
  }
  __asm__ volatile("" : : "r"(total));
  return double(repeats) * SUMS * 64;
}

bool runs_here() { return true; }

}  // namespace
}  // namespace bnn

#include "kernels.h"

namespace bnn {
const Isa isa_portable = {"portable",     runs_here,        1,   Set::Bits::OUTPUTS, 1, Set::Pixels::OUTPUTS, 1, 0, 60,
                          run<Set::Bits>, run<Set::Pixels>, peak};
}  // namespace bnn
