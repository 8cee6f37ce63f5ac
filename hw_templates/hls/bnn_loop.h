// Counters of a flat loop that stands for a nest of loops.
#ifndef BNN_LOOP_H
#define BNN_LOOP_H

namespace bnn {

typedef unsigned short Index;  // sizes and addresses of the program have 16 bits

// The end of a counter's values, 0 to limit - 1, as its step needs it. `limit` is at least 1.
template <typename Number>
struct LimitOf {
  bool one;       // there is one value
  Number before;  // the value before the last
};

// A counter knows one step ahead whether its value is the last: from one step to the next a nest of
// them is a flag of each, and no chain of comparisons and additions.
template <typename Number>
struct CounterOf {
  Number value;
  bool last;
};

typedef LimitOf<Index> Limit;
typedef CounterOf<Index> Counter;

inline Limit limit_of(int limit) {
#pragma HLS INLINE  // a subtraction
  Limit result;
  result.one = limit == 1;
  result.before = Index(limit - 2);
  return result;
}

template <typename Number>
void restart(CounterOf<Number>& counter, const LimitOf<Number>& limit) {
#pragma HLS INLINE  // part of the caller's pipeline
  counter.value = 0;
  counter.last = limit.one;
}

// Goes on to the next value, after the last one to 0, if `go`.
template <typename Number>
void step(CounterOf<Number>& counter, const LimitOf<Number>& limit, bool go) {
#pragma HLS INLINE  // part of the caller's pipeline
  if (!go) return;
  const bool next_last = counter.last ? limit.one : counter.value == limit.before;
  counter.value = counter.last ? Number(0) : Number(counter.value + 1);
  counter.last = next_last;
}

// Items of a stream that may be taken, or are waited for: `open` as long as there are more. What an item changes are
// flags and a counter that are known before it, as it may come late in a cycle.
struct Quota {
  bool open;
  int total;
  LimitOf<int> limit;
  CounterOf<int> taken;
};

inline Quota quota_of(int total) {
#pragma HLS INLINE  // a subtraction
  Quota quota;
  quota.open = total > 0;
  quota.total = total;
  quota.limit.one = total == 1;
  quota.limit.before = total - 2;
  restart(quota.taken, quota.limit);
  return quota;
}

inline int left(const Quota& quota) {
#pragma HLS INLINE  // a subtraction
  return quota.open ? quota.total - quota.taken.value : 0;
}

inline void take(Quota& quota, bool taken) {
#pragma HLS INLINE  // part of the caller's pipeline
  quota.open = quota.open && !(taken && quota.taken.last);
  step(quota.taken, quota.limit, taken);
}

}  // namespace bnn

#endif
