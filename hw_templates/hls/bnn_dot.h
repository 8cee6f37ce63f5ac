// Number of bits in which two words agree, from compressors the size of a LUT.
#ifndef BNN_DOT_H
#define BNN_DOT_H

#include "bnn_types.h"

namespace bnn {

typedef ap_uint<SIMD_BITS + 1> Count;

#if defined(__SYNTHESIS__) || defined(BNN_CSIM_COMPRESSORS)

// Words are counted in chunks. Full adders join bits i, i + T and i + 2T of a level of 3T bits, so
// that a level is a few operations on whole vectors, and not one for every bit. The sum of three
// matches is a match too, of the parities of the three bits:
//   ~(a0^b0) ^ ~(a1^b1) ^ ~(a2^b2) = ~((a0^a1^a2) ^ (b0^b1^b2))
// So an operand carries these parities along, made once for a row or a column of the array, and a full
// adder of the array is its carry only: one LUT of six inputs.
constexpr int CHUNK = SIMD < 64 ? SIMD : 64;
constexpr int CHUNKS = SIMD / CHUNK;
constexpr int T1 = (CHUNK + 2) / 3, T2 = (T1 + 2) / 3, T3 = (T2 + 2) / 3, T4 = (T3 + 2) / 3;  // of the levels
static_assert(T4 == 1, "The fourth level must be a single full adder.");
constexpr int AT2 = 3 * T1, AT3 = AT2 + 3 * T2, AT4 = AT3 + 3 * T3, AT_ODD = AT4 + 3 * T4;  // first bits of levels
constexpr int NODES = AT_ODD + 1;               // a chunk's bits and parities
constexpr int CARRIES = T1 + T2 + T3 + T4;      // of weight two
constexpr int PLANE = (CARRIES + 5) / 6;        // numbers of three bits that they become
static_assert(PLANE <= 6, "What is left of a chunk must be counted in one more level.");
typedef ap_uint<NODES * CHUNKS> Operand;

// `bits` filled up with copies of `fill`. Weights are filled with ones and activations with zeros, which never match.
template <int WIDE, int BITS>
ap_uint<WIDE> filled(ap_uint<BITS> bits, bool fill) {
#pragma HLS INLINE  // wires
  ap_uint<WIDE> wide = fill ? ~ap_uint<WIDE>(0) : ap_uint<WIDE>(0);
  wide.range(BITS - 1, 0) = bits;
  return wide;
}

template <int T>
ap_uint<T> parities(ap_uint<3 * T> level) {
#pragma HLS INLINE  // part of the caller's pipeline
  return ap_uint<T>(level) ^ ap_uint<T>(level >> T) ^ ap_uint<T>(level >> (2 * T));
}

template <int BITS>
ap_uint<BITS> majority(ap_uint<BITS> x, ap_uint<BITS> y, ap_uint<BITS> z) {
#pragma HLS INLINE  // part of the caller's pipeline
  return (x & y) | (z & (x | y));
}

template <int T>
ap_uint<T> carries(ap_uint<3 * T> level) {
#pragma HLS INLINE  // part of the caller's pipeline
  return majority<T>(ap_uint<T>(level), ap_uint<T>(level >> T), ap_uint<T>(level >> (2 * T)));
}

// Six vectors become the three bits of the number of ones at each of their positions.
template <int BITS>
void count_six(const ap_uint<BITS> in[6], ap_uint<BITS> out[3]) {
#pragma HLS INLINE  // part of the caller's pipeline
  const ap_uint<BITS> sum0 = in[0] ^ in[1] ^ in[2], sum1 = in[3] ^ in[4] ^ in[5];
  const ap_uint<BITS> carry0 = majority<BITS>(in[0], in[1], in[2]), carry1 = majority<BITS>(in[3], in[4], in[5]);
  const ap_uint<BITS> carry2 = sum0 & sum1;
  out[0] = sum0 ^ sum1;
  out[1] = carry0 ^ carry1 ^ carry2;
  out[2] = majority<BITS>(carry0, carry1, carry2);
}

// A word as `count_matches` takes it; `weight` tells which of the two.
inline Operand operand(Vector word, bool weight) {
#pragma HLS INLINE  // part of the caller's pipeline
  Operand result = 0;
chunks:
  for (int k = 0; k < CHUNKS; ++k) {
#pragma HLS UNROLL  // parts of a vector
    const ap_uint<3 * T1> level1 = filled<3 * T1, CHUNK>(ap_uint<CHUNK>(word >> (k * CHUNK)), weight);
    const ap_uint<3 * T2> level2 = filled<3 * T2, T1>(parities<T1>(level1), weight);
    const ap_uint<3 * T3> level3 = filled<3 * T3, T2>(parities<T2>(level2), weight);
    const ap_uint<3 * T4> level4 = filled<3 * T4, T3>(parities<T3>(level3), weight);
    const ap_uint<1> odd = parities<T4>(level4);
    const int at = k * NODES;
    result.range(at + AT2 - 1, at) = level1;
    result.range(at + AT3 - 1, at + AT2) = level2;
    result.range(at + AT4 - 1, at + AT3) = level3;
    result.range(at + AT_ODD - 1, at + AT4) = level4;
    result.range(at + AT_ODD, at + AT_ODD) = odd;
  }
  return result;
}

// Ones of a chunk's matches: the one of the last level and twice the carries.
inline ap_uint<7> count_chunk(ap_uint<NODES> match) {
#pragma HLS INLINE  // part of the caller's pipeline
  ap_uint<6 * PLANE> twos = 0;
  twos.range(T1 - 1, 0) = carries<T1>(ap_uint<3 * T1>(match));
  twos.range(T1 + T2 - 1, T1) = carries<T2>(ap_uint<3 * T2>(match >> AT2));
  twos.range(T1 + T2 + T3 - 1, T1 + T2) = carries<T3>(ap_uint<3 * T3>(match >> AT3));
  twos.range(CARRIES - 1, T1 + T2 + T3) = carries<T4>(ap_uint<3 * T4>(match >> AT4));
  ap_uint<PLANE> sixth[6], plane[3];
  // The bits of PLANE numbers, side by side: bit i of number n is bit 6i + n.
  ap_uint<18> planes = 0, shifted[6], total[3];
#pragma HLS ARRAY_PARTITION variable=sixth type=complete    // wires
#pragma HLS ARRAY_PARTITION variable=plane type=complete    // wires
#pragma HLS ARRAY_PARTITION variable=shifted type=complete  // wires
#pragma HLS ARRAY_PARTITION variable=total type=complete    // wires
sixths:
  for (int k = 0; k < 6; ++k) {
#pragma HLS UNROLL  // wires
    sixth[k] = ap_uint<PLANE>(twos >> (k * PLANE));
  }
  count_six<PLANE>(sixth, plane);
planes:
  for (int k = 0; k < 3; ++k) {
#pragma HLS UNROLL  // wires
    planes.range(6 * k + PLANE - 1, 6 * k) = plane[k];
  }
  // Shifted against each other they have their numbers' bits at the same place: 0, 6 and 12.
shifts:
  for (int k = 0; k < 6; ++k) {
#pragma HLS UNROLL  // wires
    shifted[k] = planes >> k;
  }
  count_six<18>(shifted, total);
  ap_uint<6> sum = 0;
totals:
  for (int k = 0; k < 3; ++k) {
#pragma HLS UNROLL  // an adder each
    ap_uint<3> number = 0;
    number[0] = total[k][0];
    number[1] = total[k][6];
    number[2] = total[k][12];
    sum = ap_uint<6>(sum + (ap_uint<6>(number) << k));
  }
  return ap_uint<7>(sum) << 1 | ap_uint<7>(ap_uint<1>(match >> AT_ODD));
}

inline Count count_matches(Operand weight, Operand act) {
#pragma HLS INLINE  // part of the caller's pipeline
  const Operand match = ~(weight ^ act);
  Count count = 0;
chunks:
  for (int k = 0; k < CHUNKS; ++k) {
#pragma HLS UNROLL  // parts of a vector
    count = Count(count + count_chunk(ap_uint<NODES>(match >> (k * NODES))));
  }
  return count;
}

#else

typedef Vector Operand;

inline Operand operand(Vector word, bool) { return word; }

inline Count count_matches(Operand weight, Operand act) {
  const Vector match = ~(weight ^ act);
  int total = 0;
  for (int i = 0; i < SIMD; i += 64) {
    total += __builtin_popcountll(ap_uint<64>(match >> i).to_uint64());
  }
  return Count(unsigned(total));
}

#endif

}  // namespace bnn

#endif
