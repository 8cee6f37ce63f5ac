// The weight memory as a ring, filled from the program in memory.
#ifndef BNN_WEIGHTS_H
#define BNN_WEIGHTS_H

#include "bnn_types.h"

namespace bnn {

// State of one pass over a segment's words.
struct Ring {
  int read;       // next word to use
  int write;      // next word to fill
  int ready;      // words from read to write
  int remaining;  // words of the segment not yet loaded
  int beat;       // index of the next beat in the program
};

// Copies `words` words into the ring, one beat a cycle.
inline void load_words(const Beat* program, int beat, int words, int position, WeightMemory weights) {
  constexpr int BEATS = SIMD >= 64 ? SIMD / 64 : 1;   // beats of one PE's vector
  constexpr int PES = SIMD >= 64 ? 1 : 64 / SIMD;     // PEs of one beat
  constexpr int WORD_BEATS = PE * SIMD / 64;
  Vector vector = 0;
  int address = position;
  int in_word = 0;
load:
  for (int n = 0; n < words * WORD_BEATS; ++n) {
#pragma HLS PIPELINE II=1  // one beat a cycle is what the bus gives
    const Beat data = program[beat + n];
    if (PES > 1) {
      for (int k = 0; k < PES; ++k) {
#pragma HLS UNROLL  // the PEs of a beat have their own memories
        weights[in_word * PES + k][address] = Vector(data >> (k * SIMD));
      }
    } else {
      vector = Vector(vector >> (SIMD > 64 ? 64 : 0)) & (SIMD > 64 ? Vector(~Vector(0)) >> 64 % SIMD : Vector(0));
      vector |= Vector(data) << (SIMD - 64 > 0 ? SIMD - 64 : 0);
      if (in_word % BEATS == BEATS - 1) weights[in_word / BEATS][address] = vector;
    }
    if (++in_word == WORD_BEATS) {
      in_word = 0;
      address = (address + 1) & (WEIGHT_DEPTH - 1);
    }
  }
}

// Makes the next `need` words of the pass available; loads as many as fit.
inline void fill(const Beat* program, int need, Ring& ring, WeightMemory weights) {
  if (ring.ready >= need) return;
  const int room = WEIGHT_DEPTH - ring.ready;
  const int words = ring.remaining < room ? ring.remaining : room;
  load_words(program, ring.beat, words, ring.write, weights);
  ring.write = (ring.write + words) & (WEIGHT_DEPTH - 1);
  ring.ready += words;
  ring.remaining -= words;
  ring.beat += words * (PE * SIMD / 64);
}

}  // namespace bnn

#endif
