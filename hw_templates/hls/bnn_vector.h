// The vector unit: what becomes of sums that are handed over, a channel of all lanes a cycle.
//
//   U = sum of coefficient * acc over the hand-overs
//   v = clamp(((U + offset) >> shift) + shortcut),  bit = v >= limit
//
// then the maximum, or the OR, over a pool, and the flip. Channels come in the order in which the memory has their
// values: those of a word, then those of the next. So registers of a lane's channels turn by one with every channel,
// the one in question is always the lowest, and no multiplexer chooses it.
#ifndef BNN_VECTOR_H
#define BNN_VECTOR_H

#include "bnn_layer.h"
#include "bnn_types.h"

namespace bnn {

constexpr int MAX_PLANES = VECTOR ? 3 : 1;         // by thresholds
constexpr int LIMITS = VECTOR ? 4 : 1;             // places for those of MAX_PLANES
constexpr int MAX_HANDS = VECTOR ? MAX_HAND_OVERS : 1;  // of a sum
constexpr int VALUE_WORDS = VALUE_BITS;           // of a group's values
constexpr int VALUES = PE < 8 ? 1 : PE / VALUE_WORDS;  // of a word
static_assert(!VECTOR || PE >= VALUE_WORDS,
              "With VECTOR, PE must be at least 8: a group has a byte of every word of values.");

typedef ap_int<C_COEFFICIENT.bits> Coefficient;
typedef ap_int<41> Wide;           // U, and U + offset
typedef ap_uint<8 * PE> Values;    // of a lane's channels
typedef ap_uint<PE> Bits;            // of a lane's channels

typedef Coefficient Coefficients[PE][MAX_HANDS];
typedef ap_int<32> Offsets[PE][LIMITS];
typedef ap_uint<V_FLIP.low + 1> Thresholds[PE][LIMITS];  // limit and flip
typedef Wide Sums[LANES][PE];

// What the unit has of a channel.
struct Channel {
  Coefficient coefficient;
  ap_int<32> offset;
  ap_int<V_LIMIT.bits> limit;
  bool flip;
};

// Copies a group's header, that begins at a word of the ring, to where the unit finds a channel's.
inline void load_header(const Layer& f, int words, Index from, const WeightMemory weights, Coefficients coefficients,
                        Offsets offsets, Thresholds thresholds) {
#ifdef BNN_VECTOR
group_header:
  for (int n = 0; n < words; ++n) {
#pragma HLS PIPELINE II=1  // a word of all PEs a cycle
    const int behind = n - f.hands;
    const Index address = ring_address(from + n, f.ring);
  pes:
    for (int p = 0; p < PE; ++p) {
#pragma HLS UNROLL  // every PE has its own memories
      const Vector word = weights[p][address];
      if (behind < 0) {
        coefficients[p][n & (MAX_HANDS - 1)] = Coefficient(ap_uint<C_COEFFICIENT.bits>(word));
      } else if (behind % V_WORDS == V_OFFSET) {
        offsets[p][behind / V_WORDS & (LIMITS - 1)] = ap_int<32>(ap_uint<32>(word));
      } else {
        thresholds[p][behind / V_WORDS & (LIMITS - 1)] = ap_uint<V_FLIP.low + 1>(word);
      }
    }
  }
#else
  (void)f, (void)words, (void)from, (void)weights, (void)coefficients, (void)offsets, (void)thresholds;
#endif
}

// Reads of a shortcut in a turn.
inline int shortcut_reads(const Layer& f) {
#pragma HLS INLINE  // a choice
  return f.average ? VALUE_WORDS : !f.shortcut ? 0 : f.shortcut_average ? 4 * VALUE_WORDS : VALUE_WORDS;
}

// A read of a shortcut.
struct ShortcutRead {
  int word;          // of the group's values
  bool first, last;  // of the pixels that are averaged
  int dy, dx;        // of the pixel among them
};

inline ShortcutRead shortcut_read(const Layer& f, int number) {
#pragma HLS INLINE  // wires
  const int pixel = f.shortcut_average ? number & 3 : 0;
  ShortcutRead r;
  r.word = f.shortcut_average ? number >> 2 : number;
  r.first = pixel == 0;
  r.last = !f.shortcut_average || pixel == 3;
  r.dy = pixel >> 1;
  r.dx = pixel & 1;
  return r;
}

// The address of the first value in every lane.
inline int shortcut_address(const Layer& f, const Position& at, const ShortcutRead& r) {
#pragma HLS INLINE  // part of the caller's pipeline
  const bool twice = f.stride2 && !f.shortcut_same;
  const int pixel_y = twice ? 2 * at.row.value + r.dy : int(at.row.value);
  const int pixel_x = twice ? 2 * at.block.value + r.dx : int(at.block.value);
  const int block = f.stride2 && f.shortcut_same ? at.block.value >> 1 : int(at.block.value);
  const int y = f.average ? int(at.ky.value) : pixel_y;
  const int x = f.average ? int(at.kx.value) : f.by_image ? pixel_x : block;
  return f.added + at.image.value * f.added_image + y * f.added_row + x * f.added_words + f.added_word;
}

// Takes a word of every lane, for the lanes of the output. `bit`: the group's first in a word. `partial` has the sums
// of the pixels so far, `added` the values of the group's channels. `absent`: the shortcut does not have these
// channels.
inline void take_shortcut(const Layer& f, const Position& at, const ShortcutRead& r, int bit, bool absent,
                          const Vector read[LANES], ap_int<10> partial[LANES][VALUES], Values added[LANES]) {
#pragma HLS INLINE  // part of the caller's pipeline
  const bool odd = at.block.value % 2 == 1;
lanes:
  for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // every lane has its own registers
    const int half = l % (LANES / 2);
    const Bits own = Bits(read[l] >> bit);
    const Bits same = odd ? Bits(read[half + LANES / 2] >> bit) : Bits(read[half] >> bit);
    const Bits twice = r.dx ? Bits(read[2 * half + 1] >> bit) : Bits(read[2 * half] >> bit);
    const Bits word = absent ? Bits(0) : !f.halved ? own : f.shortcut_same ? same : twice;
    Bits mean = 0;
  values:
    for (int n = 0; n < VALUES; ++n) {
#pragma HLS UNROLL  // an adder each
      const ap_int<8> value = ap_int<8>(ap_uint<8>(word >> (8 * n)));
      partial[l][n] = ap_int<10>((r.first ? ap_int<10>(2) : partial[l][n]) + value);
      mean |= Bits(ap_uint<8>(ap_int<8>(partial[l][n] >> 2))) << (8 * n);
    }
    if (r.last) added[l] = Values(added[l] >> PE) | Values(f.shortcut_average ? mean : word) << (7 * PE);
  }
}

// The channel of a group that is evaluated as number `number`: those of a word of values follow each other.
inline int channel_of(int number) {
#pragma HLS INLINE  // wires
  return (number % VALUES * VALUE_WORDS + number / VALUES) & (PE - 1);
}

// The value that a shortcut has or a pool had before, of 8 bits.
inline Value signed_value(ap_uint<8> bits) {
#pragma HLS INLINE  // wires
  return Value(ap_int<8>(bits));
}

inline Value greater(Value a, Value b) {
#pragma HLS INLINE  // part of the caller's pipeline
  return a < b ? b : a;
}

// Reads what belongs to a channel.
inline Channel channel_at(int channel, const Leaving& leaving, const Coefficients coefficients, const Offsets offsets,
                          const Thresholds thresholds) {
#pragma HLS INLINE  // part of the caller's pipeline
  const int round = leaving.round.value & (LIMITS - 1);
  const ap_uint<V_FLIP.low + 1> word = thresholds[channel][round];
  Channel c;
  c.coefficient = coefficients[channel][leaving.hand & (MAX_HANDS - 1)];
  c.offset = offsets[channel][round];
  c.limit = ap_int<V_LIMIT.bits>(ap_uint<V_LIMIT.bits>(word));
  c.flip = word[V_FLIP.low];
  return c;
}

// Evaluates a channel of all lanes. `held`: its sums; `before`: those of earlier hand-overs, which become `total`;
// `values` and `out`: what comes out of the group's channels.
inline void evaluate(const Layer& f, const Leaving& leaving, const Channel& c, const Acc held[LANES],
                     const Wide before[LANES], Wide total[LANES], Values added[LANES],
                     ap_uint<8> values[LANES][PE], Bits out[MAX_PLANES][LANES]) {
#pragma HLS INLINE  // part of the caller's pipeline
  const Value low = least_value(f.value_bits), high = greatest_value(f.value_bits);
  Value value[LANES];
#pragma HLS ARRAY_PARTITION variable=value type=complete  // wires
lanes:
  for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // lanes side by side
    const ap_uint<8> lowest = ap_uint<8>(added[l]);
    const int from = f.halved && !f.pool ? 2 * l % LANES : l;
    const Acc sum = f.average ? Acc(signed_value(lowest)) : held[from];
    const Wide product = Wide(c.coefficient * sum);
    total[l] = leaving.round.value > 0 ? before[l] : Wide((leaving.added ? before[l] : Wide(0)) + product);
    const Wide shifted = Wide(total[l] + c.offset) >> f.shift;
    const ap_int<43> y = ap_int<43>(shifted) + (f.shortcut ? signed_value(lowest) : Value(0));
    value[l] = y < low ? low : y > high ? high : Value(y);
    added[l] = Values(added[l] >> 8) | Values(lowest) << (8 * PE - 8);
  }
  if (!leaving.finished) return;
pooled_lanes:
  for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // lanes side by side
    const int half = l % (LANES / 2);
    const Value own = f.pool && f.halved ? greater(value[2 * half], value[2 * half + 1]) : value[l];
    const ap_uint<8> lowest = values[l][0];
    const Value earlier = f.value_bits == 0 ? signed_value(lowest) : Value(lowest);
    const Value pooled = leaving.first_part ? own : greater(own, earlier);
    if (leaving.round.value == 0) {
    turned:
      for (int n = 0; n < PE - 1; ++n) {
#pragma HLS UNROLL  // registers
        values[l][n] = values[l][n + 1];
      }
      values[l][PE - 1] = ap_uint<8>(pooled);
    }
    // The OR over the pool is the bit of its maximum; earlier parts of other thresholds are bits only.
    const ap_uint<1> reached = own >= c.limit, kept = !leaving.first_part, flip = leaving.writes && c.flip;
  planes:
    for (int k = 0; k < MAX_PLANES; ++k) {
#pragma HLS UNROLL  // every plane has its own registers
      const ap_uint<1> bit = (reached | (kept & ap_uint<1>(out[k][l]))) ^ flip;
      if (leaving.round.value == k) out[k][l] = Bits(out[k][l] >> 1) | Bits(bit) << (PE - 1);
    }
  }
}

// A piece of the record of every lane's pixel: the group's bits of a plane, or of a word of its values, that turn with
// it.
inline void record_bits(const Layer& f, int piece, ap_uint<8> values[LANES][PE], const Bits out[MAX_PLANES][LANES],
                        Bits bits[LANES]) {
#pragma HLS INLINE  // part of the caller's pipeline
  const int place = (f.planes - 1 - piece) & 7;  // of a plane among the value's bits
lanes:
  for (int l = 0; l < LANES; ++l) {
#pragma HLS UNROLL  // lanes side by side
    Bits turned = out[0][l];
  thresholds:
    for (int k = 1; k < MAX_PLANES; ++k) {
#pragma HLS UNROLL  // a choice
      if (piece == k) turned = out[k][l];
    }
    Bits plane = turned;
  pes:
    for (int n = 0; n < PE; ++n) {
#pragma HLS UNROLL  // channels
      const bool bit = f.bit_planes ? bool(values[l][n][place]) : bool(turned[n]);
      if (f.vector) plane[channel_of(n)] = bit;
    }
    bits[l] = plane;
    if (VECTOR && piece >= f.planes) {
      ap_uint<8> word[VALUES];
#pragma HLS ARRAY_PARTITION variable=word type=complete  // wires
    lowest:
      for (int n = 0; n < VALUES; ++n) {
#pragma HLS UNROLL  // wires
        word[n] = values[l][n];
        bits[l].range(8 * n + 7, 8 * n) = word[n];
      }
    turned:
      for (int n = 0; n < PE; ++n) {
#pragma HLS UNROLL  // registers
        values[l][n] = n < PE - VALUES ? values[l][(n + VALUES) % PE] : word[n % VALUES];
      }
    }
  }
}

}  // namespace bnn

#endif
