// AVX2: counts of ones by a table of 16 in the shuffle unit, collected in bytes; a lane of 64 bits is an output
// channel.
#include "step.h"

#ifdef BNN_AVX2
#ifndef __clang__
#pragma GCC target("avx2,bmi2,fma")
#endif
#include <immintrin.h>

namespace bnn {
namespace {

inline __m256i byte_counts(__m256i x) {
  const __m256i table =
      _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i low = _mm256_set1_epi8(15);
  return _mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256(x, low)),
                         _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
}

struct Set {
  using Ints = __m256i;
  static constexpr int INTS = 8;

  static Ints load(const int32_t *from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)); }
  static void store(int32_t *to, Ints a) { _mm256_storeu_si256(reinterpret_cast<__m256i *>(to), a); }
  static Ints max(Ints a, Ints b) { return _mm256_max_epi32(a, b); }
  static unsigned at_least(Ints a, const int32_t *limits) {
    return ~unsigned(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(load(limits), a)))) & 255;
  }

  struct Bits {
    static constexpr int GROUPS = 2, LANES = 4, OUTPUTS = GROUPS * LANES;
    static constexpr int MOST = 31;  // words whose counts fit a byte

    template <int P>
    static inline void sums(const Step &step, int, const uint8_t *const *in, const uint8_t *weights, int first,
                            int last, Ints (*found)[1]) {
      __m256i total[P][GROUPS], counts[P][GROUPS];
      for (int p = 0; p < P; p++)
        for (int g = 0; g < GROUPS; g++) total[p][g] = counts[p][g] = _mm256_setzero_si256();
      for (int i = first; i < last; i++) {
        const Pass &pass = step.passes[i];
        if (pass.shift && i > first)
          for (int p = 0; p < P; p++)
            for (int g = 0; g < GROUPS; g++) total[p][g] = _mm256_slli_epi64(total[p][g], pass.shift);
        const uint8_t *w = weights + pass.weights;
        ptrdiff_t from = pass.plane;
        int room = MOST;
        for (int row = 0; row < step.kernel_rows; row++, from += step.in_row) {
          const uint64_t *a[P];
          for (int p = 0; p < P; p++) a[p] = reinterpret_cast<const uint64_t *>(in[p] + from);
          for (int r = 0; r < step.run;) {
            const int end = step.run - r < room ? step.run : r + room;
            room -= end - r;
            for (; r < end; r++, w += GROUPS * sizeof(__m256i)) {
              __m256i words[GROUPS];
              for (int g = 0; g < GROUPS; g++) words[g] = _mm256_load_si256(reinterpret_cast<const __m256i *>(w) + g);
              for (int p = 0; p < P; p++) {
                const __m256i word = _mm256_set1_epi64x(int64_t(a[p][r]));
                for (int g = 0; g < GROUPS; g++)
                  counts[p][g] = _mm256_add_epi8(counts[p][g], byte_counts(_mm256_xor_si256(word, words[g])));
              }
            }
            if (room) continue;
            flush<P>(counts, total);
            room = MOST;
          }
        }
        flush<P>(counts, total);
      }
      const __m256i order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7);
      for (int p = 0; p < P; p++) {
        const __m256 both = _mm256_shuffle_ps(_mm256_castsi256_ps(total[p][0]), _mm256_castsi256_ps(total[p][1]), 0x88);
        found[p][0] = _mm256_permutevar8x32_epi32(_mm256_castps_si256(both), order);
      }
    }

    template <int P>
    static inline void flush(__m256i (*counts)[GROUPS], __m256i (*total)[GROUPS]) {
      for (int p = 0; p < P; p++)
        for (int g = 0; g < GROUPS; g++) {
          total[p][g] = _mm256_sub_epi64(total[p][g], _mm256_sad_epu8(counts[p][g], _mm256_setzero_si256()));
          counts[p][g] = _mm256_setzero_si256();
        }
    }
  };

  struct Pixels {
    static constexpr int GROUPS = 2, OUTPUTS = GROUPS * INTS;

    // Two products of unsigned pixels and signs are at most 510, those of 25 taps at most 12,750: 16 bits hold them.
    template <int P>
    static inline void sums(const Step &step, int block, const uint8_t *const *in, const uint8_t *weights, int first,
                            int last, Ints (*found)[GROUPS]) {
      for (int p = 0; p < P; p++)
        for (int g = 0; g < GROUPS; g++) found[p][g] = _mm256_setzero_si256();
      for (int i = first; i < last; i++) {
        const Pass &pass = step.passes[i];
        __m256i pairs[P][GROUPS];
        for (int p = 0; p < P; p++)
          for (int g = 0; g < GROUPS; g++) pairs[p][g] = _mm256_setzero_si256();
        const uint8_t *w = weights + pass.weights;
        for (int row = 0; row < step.kernel_rows; row++) {
          const int32_t *a[P];
          for (int p = 0; p < P; p++) a[p] = reinterpret_cast<const int32_t *>(in[p] + row * step.in_row);
          for (int r = 0; r < step.run; r++, w += GROUPS * sizeof(__m256i)) {
            __m256i signs[GROUPS];
            for (int g = 0; g < GROUPS; g++) signs[g] = _mm256_load_si256(reinterpret_cast<const __m256i *>(w) + g);
            for (int p = 0; p < P; p++) {
              const __m256i pixel = _mm256_set1_epi32(a[p][r]);
              for (int g = 0; g < GROUPS; g++)
                pairs[p][g] = _mm256_add_epi16(pairs[p][g], _mm256_maddubs_epi16(pixel, signs[g]));
            }
          }
        }
        const int32_t *bias = step.bias + ptrdiff_t(pass.base) * step.padded + block * OUTPUTS;
        const int shift = i > first ? pass.shift : 0;
        for (int p = 0; p < P; p++)
          for (int g = 0; g < GROUPS; g++) {
            const __m256i sum =
                _mm256_add_epi32(_mm256_madd_epi16(pairs[p][g], _mm256_set1_epi16(1)), load(bias + g * INTS));
            found[p][g] = _mm256_add_epi32(_mm256_slli_epi32(found[p][g], shift), sum);
          }
      }
    }
  };
};

double peak(long repeats) {
  constexpr int SUMS = 4;
  __m256i counts[SUMS], words[SUMS], total = _mm256_setzero_si256(), word = _mm256_set1_epi64x(0x5555aaaa3333ccccLL);
  for (int i = 0; i < SUMS; i++) {
    counts[i] = _mm256_setzero_si256();
    words[i] = _mm256_set1_epi64x(0x123456789abcdefLL * (i + 1));
  }
  for (long n = 0; n < repeats;) {
    const long end = repeats - n < Set::Bits::MOST ? repeats : n + Set::Bits::MOST;
    for (; n < end; n++) {
      __asm__ volatile("" : "+x"(word));  // may be another: nothing can leave the loop
      for (int i = 0; i < SUMS; i++)
        counts[i] = _mm256_add_epi8(counts[i], byte_counts(_mm256_xor_si256(word, words[i])));
    }
    for (int i = 0; i < SUMS; i++) {
      total = _mm256_add_epi64(total, _mm256_sad_epu8(counts[i], _mm256_setzero_si256()));
      counts[i] = _mm256_setzero_si256();
    }
  }
  __asm__ volatile("" : : "x"(total));
  return double(repeats) * SUMS * 256;
}

bool runs_here() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
}

}  // namespace
}  // namespace bnn

#include "kernels.h"

namespace bnn {
const Isa isa_avx2 = {"avx2", runs_here, 1,   Set::Bits::GROUPS, Set::Bits::LANES, Set::Pixels::OUTPUTS,
                      4,      128,       400, run<Set::Bits>,    run<Set::Pixels>, peak};
}  // namespace bnn
#endif
