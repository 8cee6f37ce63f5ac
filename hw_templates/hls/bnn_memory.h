// The two processes at the memory port: one reads, one writes.
#ifndef BNN_MEMORY_H
#define BNN_MEMORY_H

#include "bnn_control.h"
#include "bnn_types.h"

namespace bnn {

// Copies a stretch of memory into a stream.
inline void copy(const Beat* memory, unsigned beat, unsigned beats, BeatStream& out) {
copy:
  for (unsigned n = 0; n < beats; ++n) {
#pragma HLS PIPELINE II=1  // one beat a cycle is what the bus gives; the loop becomes bursts
    out.write(memory[beat + n]);
  }
}

// Reads what `control` orders. The only process that reads memory: a bundle has one read channel.
inline void read(const Beat* program, const Beat* images, WordStream& commands, BeatStream& weights,
                 BeatStream& first) {
  unsigned what = commands.read().to_uint();
commands:
  while (what != unsigned(READ_END)) {
    const unsigned beat = commands.read().to_uint(), beats = commands.read().to_uint();
    if (what == unsigned(READ_WEIGHTS)) {
      copy(program, beat, beats, weights);
    } else if (what == unsigned(READ_FIRST)) {
      copy(program, beat, beats, first);
    } else {
      copy(images, beat, beats, first);
    }
    what = commands.read().to_uint();
  }
  commands.read();
  commands.read();
}

// Puts the scores together to beats, and the beats to bursts. Scores come group by group, image by image; where
// there is one group, a batch is a single row of them. A beat has two scores and is written once, when both are
// there. A half that waits is kept: `head` for the first score of an image that starts in the middle of a beat,
// `tail` for the last of a group that ends there. `spare` is the half of the run's last beat that is not ours.
inline void pair(int count, int batch, int classes, Word spare, ScoreStream& in, WordStream& bursts,
                 BeatStream& beats) {
  static Word head[MAX_BATCH / 2], tail[MAX_BATCH / 2];
#pragma HLS BIND_STORAGE variable=head type=ram_s2p impl=bram  // one read and one write port
#pragma HLS BIND_STORAGE variable=tail type=ram_s2p impl=bram  // one read and one write port
  const int groups = round_up(classes, PE);
  Word last = 0;  // last score of the batch before, where it is half a beat
  unsigned first_score = 0;
batches:
  for (int start = 0; start < count; start += batch) {
    const int images = smaller(batch, count - start);
    const int rows = groups == 1 ? 1 : images;
    const bool run_ends = start + images == count;
  groups:
    for (int g = 0; g < groups; ++g) {
      const int values = groups == 1 ? images * classes : smaller(classes - g * PE, PE);
      const bool image_ends = g == groups - 1;
      unsigned score = first_score + unsigned(g * PE);
    rows:
      for (int i = 0; i < rows; ++i) {
        // Where the halves at the row's ends come from, and whether their beats are complete with this row.
        const bool odd = score % 2 == 1, even_end = (score + unsigned(values)) % 2 == 1;
        const bool first_row = i == 0, last_row = i == rows - 1;
        const bool starts = odd && (g > 0 || first_row), keeps = odd && !starts;
        const bool ends = even_end && image_ends && (!last_row || run_ends);
        const Word left_half = g > 0 ? tail[i / 2] : last;
        const Word right_half = last_row ? spare : head[(i + 1) / 2];
        const int whole = (values - (odd ? 1 : 0)) / 2 + (starts ? 1 : 0) + (ends ? 1 : 0);
        const Word first_value = Word(in.read());  // the memory is not asked for a burst before there is data
        if (whole > 0) {
          bursts.write(Word((score + (keeps ? 1U : 0U)) / 2));
          bursts.write(Word(unsigned(whole)));
        }
        Word low = left_half, value = first_value;
        bool high = odd;  // the next score is the upper half
      values:
        for (int k = 0; k < values; ++k) {
#pragma HLS PIPELINE II=1  // one score a cycle
          if (k > 0) value = Word(in.read());
          if (high && (k > 0 || starts)) beats.write(Beat(value) << 32 | Beat(low));
          low = value;
          high = !high;
        }
        if (ends) beats.write(Beat(right_half) << 32 | Beat(value));
        if (keeps) head[i / 2] = first_value;              // until the last group of the image before
        if (even_end && !image_ends) tail[i / 2] = value;  // until this image's next group
        if (even_end && image_ends && last_row) last = value;
        score += unsigned(classes);
      }
    }
    first_score += unsigned(images) * unsigned(classes);
  }
  bursts.write(0);
  bursts.write(0);
}

// Writes the beats to memory, the only process that does. A burst of none is the end.
inline void store(Beat* scores, WordStream& bursts, BeatStream& beats) {
  unsigned beat = bursts.read().to_uint(), length = bursts.read().to_uint();
bursts:
  while (length != 0) {
  burst:
    for (unsigned n = 0; n < length; ++n) {
#pragma HLS PIPELINE II=1  // one beat a cycle is what the bus takes; the loop becomes a burst
      scores[beat + n] = beats.read();
    }
    beat = bursts.read().to_uint();
    length = bursts.read().to_uint();
  }
}

}  // namespace bnn

#endif
