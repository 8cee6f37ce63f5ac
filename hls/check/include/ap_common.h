// ap_int<N> as the synthesis compiler sees it: an N-bit integer of LLVM IR. The vendor's open headers (ap_int.h and those
// that it includes) are made for simulation and hold such a value in words; this file stands before their ap_common.h on the
// include path and gives them clang's _BitInt in place of the simulation's storage, by the names that their synthesis branch uses.
#ifndef BNN_CHECK_AP_COMMON_H
#define BNN_CHECK_AP_COMMON_H

#pragma push_macro("__SYNTHESIS__")
#undef __SYNTHESIS__  // the open ap_common.h refuses to be synthesised
#include_next <ap_common.h>
#pragma pop_macro("__SYNTHESIS__")

#undef INLINE
#define INLINE inline __attribute__((always_inline))

template <int W, bool S>
struct ssdm_bits {
  typedef unsigned _BitInt(W) type;
};
template <int W>
struct ssdm_bits<W, true> {
  typedef signed _BitInt(W < 2 ? 2 : W) type;  // a signed _BitInt has at least two bits
};
template <int W, bool S>
struct ssdm_int {
  typename ssdm_bits<W, S>::type V;
};

template <typename T>
struct ssdm_width;
template <int W>
struct ssdm_width<unsigned _BitInt(W)> {
  static const int value = W;
  typedef unsigned _BitInt(W) plain;
};
template <int W>
struct ssdm_width<signed _BitInt(W)> {
  static const int value = W;
  typedef unsigned _BitInt(W) plain;
};
template <typename T>
using ssdm_plain = typename ssdm_width<T>::plain;

template <typename R, typename X, typename Y>
INLINE R ssdm_concat(const R&, const X& x, const Y& y) {
  typedef ssdm_plain<R> P;
  return R(P(P(ssdm_plain<X>(x)) << ssdm_width<Y>::value) | P(ssdm_plain<Y>(y)));
}
template <typename T>
INLINE bool ssdm_get_bit(const T& value, int bit) {
  return (ssdm_plain<T>(value) >> bit) & ssdm_plain<T>(1);
}
template <typename T, typename R>
INLINE T ssdm_set_bit(const T& value, int bit, const R& set) {
  typedef ssdm_plain<T> P;
  return T((P(value) & P(~P(P(1) << bit))) | P(P(bool(set)) << bit));
}
template <typename T>
INLINE ssdm_plain<T> ssdm_mask(int low, int high) {
  typedef ssdm_plain<T> P;
  return P(P(~P(0)) >> (ssdm_width<T>::value - 1 - (high - low)));
}
template <typename T>
INLINE ssdm_plain<T> ssdm_get_range(const T& value, int low, int high) {
  return (ssdm_plain<T>(value) >> low) & ssdm_mask<T>(low, high);
}
template <typename T, typename R>
INLINE T ssdm_set_range(const T& value, int low, int high, const R& set) {
  typedef ssdm_plain<T> P;
  const P mask = ssdm_mask<T>(low, high);
  return T((P(value) & P(~P(mask << low))) | P(P(P(set) & mask) << low));
}
template <typename T>
INLINE bool ssdm_and_reduce(const T& value) {
  return ssdm_plain<T>(~ssdm_plain<T>(value)) == 0;
}
template <typename T>
INLINE bool ssdm_or_reduce(const T& value) {
  return ssdm_plain<T>(value) != 0;
}
template <typename T>
INLINE bool ssdm_xor_reduce(const T& value) {
  bool odd = false;
#pragma clang loop unroll(full)
  for (int bit = 0; bit < ssdm_width<T>::value; ++bit) odd ^= ssdm_get_bit(value, bit);
  return odd;
}
#define ssdm_nand_reduce(value) (!ssdm_and_reduce(value))
#define ssdm_nor_reduce(value) (!ssdm_or_reduce(value))
#define ssdm_xnor_reduce(value) (!ssdm_xor_reduce(value))
// The value of a numeral; what it is does not matter here.
extern "C" void _ssdm_string2bits(void*, const char*, int, int, bool, int, int, int, bool);

#undef _AP_ROOT_TYPE
#undef _AP_ROOT_op_get_bit
#undef _AP_ROOT_op_get_range
#undef _AP_ROOT_op_reduce
#define _AP_ROOT_TYPE ssdm_int
#define _AP_ROOT_op_concat(result, x, y) ssdm_concat(result, x, y)
#define _AP_ROOT_op_get_bit(value, bit) ssdm_get_bit(value, bit)
#define _AP_ROOT_op_set_bit(value, bit, set) ssdm_set_bit(value, bit, set)
#define _AP_ROOT_op_get_range(value, low, high) ssdm_get_range(value, low, high)
#define _AP_ROOT_op_set_range(value, low, high, set) ssdm_set_range(value, low, high, set)
#define _AP_ROOT_op_reduce(op, value) ssdm_##op##_reduce(value)

#endif
