// NEON of ARMv7 and ARMv8: VCNT counts ones by bytes, which are collected in bytes; half a register, a lane of 64 bits,
// is an output channel.
#include "step.h"

#ifdef BNN_NEON
#if defined(__arm__) && !defined(__clang__)
#pragma GCC target("fpu=neon")
#endif
#include <arm_neon.h>

#if defined(__arm__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace bnn {
namespace {

struct Set {
  static constexpr int INTS = 8;
  struct Ints {
    int32x4_t low, high;
  };

  static Ints load(const int32_t *from) { return {vld1q_s32(from), vld1q_s32(from + 4)}; }
  static void store(int32_t *to, Ints a) {
    vst1q_s32(to, a.low);
    vst1q_s32(to + 4, a.high);
  }
  static Ints max(Ints a, Ints b) { return {vmaxq_s32(a.low, b.low), vmaxq_s32(a.high, b.high)}; }
  static unsigned at_least(Ints a, const int32_t *limits) {
    static const uint8_t places[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const Ints least = load(limits);
    const uint16x4_t low = vmovn_u32(vcgeq_s32(a.low, least.low)), high = vmovn_u32(vcgeq_s32(a.high, least.high));
    const uint8x8_t all = vand_u8(vmovn_u16(vcombine_u16(low, high)), vld1_u8(places));
    return unsigned(vget_lane_u64(vpaddl_u32(vpaddl_u16(vpaddl_u8(all))), 0));
  }

  struct Bits {
#ifdef __aarch64__
    static constexpr int PARTS = 1;
#else
    static constexpr int PARTS = 2;  // of a block: the registers hold the sums of one
#endif
    static constexpr int LANES = 2, OUTPUTS = INTS, GROUPS = OUTPUTS / LANES / PARTS;
    static constexpr int MOST = 31;  // words whose counts fit a byte

    template <int P>
    static inline void sums(const Step &step, int, const uint8_t *const *in, const uint8_t *weights, int first,
                            int last, Ints (*found)[1]) {
      int32x2_t pairs[PARTS][P][GROUPS];
      for (int part = 0; part < PARTS; part++)
        part_sums<P>(step, in, weights + ptrdiff_t(part) * step.kernel_rows * step.run * GROUPS * 16, first, last,
                     pairs[part]);
      for (int p = 0; p < P; p++) {
        int32x2_t all[OUTPUTS / LANES];
        for (int g = 0; g < OUTPUTS / LANES; g++) all[g] = pairs[g / GROUPS][p][g % GROUPS];
        found[p][0] = {vcombine_s32(all[0], all[1]), vcombine_s32(all[2], all[3])};
      }
    }

    // Sums of outputs 2g and 2g + 1 of the part.
    template <int P>
    static inline void part_sums(const Step &step, const uint8_t *const *in, const uint8_t *weights, int first,
                                 int last, int32x2_t (*found)[GROUPS]) {
      uint32x4_t total[P][GROUPS];
      uint8x16_t counts[P][GROUPS];
      for (int p = 0; p < P; p++)
        for (int g = 0; g < GROUPS; g++) {
          total[p][g] = vdupq_n_u32(0);
          counts[p][g] = vdupq_n_u8(0);
        }
      for (int i = first; i < last; i++) {
        const Pass &pass = step.passes[i];
        if (pass.shift && i > first)
          for (int p = 0; p < P; p++)
            for (int g = 0; g < GROUPS; g++) total[p][g] = vshlq_u32(total[p][g], vdupq_n_s32(pass.shift));
        const uint8_t *w = weights + pass.weights;
        ptrdiff_t from = pass.plane;
        int room = MOST;
        for (int row = 0; row < step.kernel_rows; row++, from += step.in_row) {
          const uint8_t *a[P];
          for (int p = 0; p < P; p++) a[p] = in[p] + from;
          for (int r = 0; r < step.run;) {
            const int end = step.run - r < room ? step.run : r + room;
            room -= end - r;
            for (; r < end; r++, w += GROUPS * 16) {
              uint8x16_t words[GROUPS];
              for (int g = 0; g < GROUPS; g++) words[g] = vld1q_u8(w + 16 * g);
              for (int p = 0; p < P; p++) {
                const uint8x8_t half = vld1_u8(a[p] + 8 * r);
                const uint8x16_t word = vcombine_u8(half, half);
                for (int g = 0; g < GROUPS; g++)
                  counts[p][g] = vaddq_u8(counts[p][g], vcntq_u8(veorq_u8(word, words[g])));
              }
            }
            if (room) continue;
            flush<P>(counts, total);
            room = MOST;
          }
        }
        flush<P>(counts, total);
      }
      for (int p = 0; p < P; p++)
        for (int g = 0; g < GROUPS; g++)
          found[p][g] =
              vneg_s32(vreinterpret_s32_u32(vpadd_u32(vget_low_u32(total[p][g]), vget_high_u32(total[p][g]))));
    }

    template <int P>
    static inline void flush(uint8x16_t (*counts)[GROUPS], uint32x4_t (*total)[GROUPS]) {
      for (int p = 0; p < P; p++)
        for (int g = 0; g < GROUPS; g++) {
          total[p][g] = vpadalq_u16(total[p][g], vpaddlq_u8(counts[p][g]));
          counts[p][g] = vdupq_n_u8(0);
        }
    }
  };

  struct Pixels {
    static constexpr int OUTPUTS = INTS;

    // Sums of 100 signed pixels are at most 12,800: 16 bits hold them.
    template <int P>
    static inline void sums(const Step &step, int block, const uint8_t *const *in, const uint8_t *weights, int first,
                            int last, Ints (*found)[1]) {
      for (int p = 0; p < P; p++) found[p][0] = {vdupq_n_s32(0), vdupq_n_s32(0)};
      for (int i = first; i < last; i++) {
        const Pass &pass = step.passes[i];
        int16x8_t sums[P];
        for (int p = 0; p < P; p++) sums[p] = vdupq_n_s16(0);
        const int8_t *w = reinterpret_cast<const int8_t *>(weights + pass.weights);
        for (int row = 0; row < step.kernel_rows; row++)
          for (int r = 0; r < step.run; r++)
            for (int c = 0; c < step.channels; c++, w += OUTPUTS) {
              const int8x8_t signs = vld1_s8(w);
              for (int p = 0; p < P; p++) {
                const int8_t *pixel = reinterpret_cast<const int8_t *>(in[p] + row * step.in_row) + 4 * r + c;
                sums[p] = vmlal_s8(sums[p], signs, vld1_dup_s8(pixel));
              }
            }
        const Ints bias = load(step.bias + ptrdiff_t(pass.base) * step.padded + block * OUTPUTS);
        const int32x4_t shift = vdupq_n_s32(i > first ? pass.shift : 0);
        for (int p = 0; p < P; p++) {
          const int32x4_t low = vaddq_s32(vshlq_s32(found[p][0].low, shift), bias.low);
          const int32x4_t high = vaddq_s32(vshlq_s32(found[p][0].high, shift), bias.high);
          found[p][0] = {vaddw_s16(low, vget_low_s16(sums[p])), vaddw_s16(high, vget_high_s16(sums[p]))};
        }
      }
    }
  };
};

double peak(long repeats) {
  constexpr int SUMS = 6;
  uint8x16_t counts[SUMS], words[SUMS], word = vdupq_n_u8(0x5a);
  uint32x4_t total = vdupq_n_u32(0);
  for (int i = 0; i < SUMS; i++) {
    counts[i] = vdupq_n_u8(0);
    words[i] = vdupq_n_u8(uint8_t(37 * i + 1));
  }
  for (long n = 0; n < repeats;) {
    const long end = repeats - n < Set::Bits::MOST ? repeats : n + Set::Bits::MOST;
    for (; n < end; n++) {
      __asm__ volatile("" : "+w"(word));  // may be another: nothing can leave the loop
      for (int i = 0; i < SUMS; i++) counts[i] = vaddq_u8(counts[i], vcntq_u8(veorq_u8(word, words[i])));
    }
    for (int i = 0; i < SUMS; i++) {
      total = vpadalq_u16(total, vpaddlq_u8(counts[i]));
      counts[i] = vdupq_n_u8(0);
    }
  }
  __asm__ volatile("" : : "w"(total));
  return double(repeats) * SUMS * 128;
}

bool runs_here() {
#if defined(__arm__) && defined(__linux__)
  return getauxval(AT_HWCAP) & 1u << 12;  // HWCAP_NEON
#else
  return true;
#endif
}

}  // namespace
}  // namespace bnn

#include "kernels.h"

namespace bnn {
const Isa isa_neon = {"neon",
                      runs_here,
                      Set::Bits::PARTS,
                      Set::Bits::GROUPS,
                      Set::Bits::LANES,
                      Set::Pixels::OUTPUTS,
                      1,
                      0,
                      60,
                      run<Set::Bits>,
                      run<Set::Pixels>,
                      peak};
}  // namespace bnn
#endif
