// AVX-512 with VPOPCNTDQ and VNNI: a lane of 64 bits is an output channel, so that no sum ever crosses lanes.
#include "step.h"

#ifdef BNN_AVX512
#ifndef __clang__
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vpopcntdq,avx2,fma,bmi2")
#endif
#include <immintrin.h>

namespace bnn {
namespace {

struct Set {
  using Ints = __m512i;
  static constexpr int INTS = 16;

  static Ints load(const int32_t *from) { return _mm512_loadu_si512(from); }
  static void store(int32_t *to, Ints a) { _mm512_storeu_si512(to, a); }
  static Ints max(Ints a, Ints b) { return _mm512_max_epi32(a, b); }
  static unsigned at_least(Ints a, const int32_t *limits) { return _mm512_cmpge_epi32_mask(a, load(limits)); }

  struct Bits {
    static constexpr int GROUPS = 4, LANES = 8, OUTPUTS = GROUPS * LANES;

    template <int P>
    static inline void sums(const Step &step, int, const uint8_t *const *in, const uint8_t *weights, int first,
                            int last, Ints (*found)[OUTPUTS / INTS]) {
      __m512i acc[P][GROUPS];
      for (int p = 0; p < P; p++)
        for (int g = 0; g < GROUPS; g++) acc[p][g] = _mm512_setzero_si512();
      for (int i = first; i < last; i++) {
        const Pass &pass = step.passes[i];
        if (pass.shift && i > first)
          for (int p = 0; p < P; p++)
            for (int g = 0; g < GROUPS; g++) acc[p][g] = _mm512_slli_epi64(acc[p][g], unsigned(pass.shift));
        const uint8_t *w = weights + pass.weights;
        ptrdiff_t from = pass.plane;
        for (int row = 0; row < step.kernel_rows; row++, from += step.in_row) {
          const uint64_t *a[P];
          for (int p = 0; p < P; p++) a[p] = reinterpret_cast<const uint64_t *>(in[p] + from);
          for (int r = 0; r < step.run; r++, w += GROUPS * sizeof(__m512i)) {
            __m512i words[GROUPS];
            for (int g = 0; g < GROUPS; g++) words[g] = _mm512_load_si512(w + g * sizeof(__m512i));
            for (int p = 0; p < P; p++) {
              const __m512i word = _mm512_set1_epi64(int64_t(a[p][r]));
              for (int g = 0; g < GROUPS; g++)
                acc[p][g] = _mm512_sub_epi64(acc[p][g], _mm512_popcnt_epi64(_mm512_xor_si512(word, words[g])));
            }
          }
        }
      }
      const __m512i low = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
      for (int p = 0; p < P; p++)
        for (int v = 0; v < OUTPUTS / INTS; v++)
          found[p][v] = _mm512_permutex2var_epi32(acc[p][2 * v], low, acc[p][2 * v + 1]);
    }
  };

  struct Pixels {
    static constexpr int GROUPS = 4, OUTPUTS = GROUPS * INTS;

    template <int P>
    static inline void sums(const Step &step, int block, const uint8_t *const *in, const uint8_t *weights, int first,
                            int last, Ints (*found)[GROUPS]) {
      __m512i acc[P][GROUPS];
      for (int p = 0; p < P; p++)
        for (int g = 0; g < GROUPS; g++) acc[p][g] = _mm512_setzero_si512();
      for (int i = first; i < last; i++) {
        const Pass &pass = step.passes[i];
        const int32_t *bias = step.bias + ptrdiff_t(pass.base) * step.padded + block * OUTPUTS;
        if (pass.shift && i > first)
          for (int p = 0; p < P; p++)
            for (int g = 0; g < GROUPS; g++) acc[p][g] = _mm512_slli_epi32(acc[p][g], unsigned(pass.shift));
        for (int p = 0; p < P; p++)
          for (int g = 0; g < GROUPS; g++) acc[p][g] = _mm512_add_epi32(acc[p][g], load(bias + g * INTS));
        const uint8_t *w = weights + pass.weights;
        for (int row = 0; row < step.kernel_rows; row++) {
          const int32_t *a[P];
          for (int p = 0; p < P; p++) a[p] = reinterpret_cast<const int32_t *>(in[p] + row * step.in_row);
          for (int r = 0; r < step.run; r++, w += GROUPS * sizeof(__m512i)) {
            __m512i signs[GROUPS];
            for (int g = 0; g < GROUPS; g++) signs[g] = _mm512_load_si512(w + g * sizeof(__m512i));
            for (int p = 0; p < P; p++) {
              const __m512i pixel = _mm512_set1_epi32(a[p][r]);
              for (int g = 0; g < GROUPS; g++) acc[p][g] = _mm512_dpbusd_epi32(acc[p][g], pixel, signs[g]);
            }
          }
        }
      }
      for (int p = 0; p < P; p++)
        for (int g = 0; g < GROUPS; g++) found[p][g] = acc[p][g];
    }
  };
};

double peak(long repeats) {
  constexpr int SUMS = 12;
  __m512i acc[SUMS], words[SUMS];
  for (int i = 0; i < SUMS; i++) {
    acc[i] = _mm512_setzero_si512();
    words[i] = _mm512_set1_epi64(0x123456789abcdefLL * (i + 1));
  }
  __m512i word = _mm512_set1_epi64(0x5555aaaa3333ccccLL);
  for (long n = 0; n < repeats; n++) {
    __asm__ volatile("" : "+v"(word));  // may be another: nothing can leave the loop
    for (int i = 0; i < SUMS; i++)
      acc[i] = _mm512_sub_epi64(acc[i], _mm512_popcnt_epi64(_mm512_xor_si512(word, words[i])));
  }
  for (int i = 0; i < SUMS; i++) __asm__ volatile("" : : "v"(acc[i]));
  return double(repeats) * SUMS * 512;
}

bool runs_here() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vpopcntdq") &&
         __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
}

}  // namespace
}  // namespace bnn

#include "kernels.h"

namespace bnn {
const Isa isa_avx512 = {"avx512", runs_here, 1,    Set::Bits::GROUPS, Set::Bits::LANES, Set::Pixels::OUTPUTS,
                        4,        128,       2000, run<Set::Bits>,    run<Set::Pixels>, peak};
}  // namespace bnn
#endif
