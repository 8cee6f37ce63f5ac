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

// Writes the scores, the only process that writes memory. They come group by group, image by image;
// a beat has two and is written once, when both are there. A half that waits is kept: `head` for the
// first score of an image that starts in the middle of a beat, `tail` for the last of a group that
// ends there. `spare` is the half of the run's last beat that is not ours.
inline void store(Beat* scores, int count, int batch, int classes, Word spare, ScoreStream& in) {
  static Word head[MAX_BATCH / 2], tail[MAX_BATCH / 2];
  const int groups = round_up(classes, PE);
  Word last = 0;  // last score of the image before, where a batch or the only group ends
  unsigned first_score = 0;
batches:
  for (int start = 0; start < count; start += batch) {
    const int images = smaller(batch, count - start);
  groups:
    for (int g = 0; g < groups; ++g) {
      const int values = smaller(classes - g * PE, PE);
      unsigned score = first_score + unsigned(g * PE);
    images:
      for (int i = 0; i < images; ++i) {
        const bool ends = g == groups - 1;
        Word low = 0;
      values:
        for (int k = 0; k < values; ++k) {
#pragma HLS PIPELINE II=1  // one score a cycle
#pragma HLS DEPENDENCE variable=head type=inter dependent=false  // read a whole image or group later
#pragma HLS DEPENDENCE variable=tail type=inter dependent=false  // read a whole image or group later
          const Word value = Word(in.read());
          const unsigned at = score + unsigned(k);
          Word left = value, right = value;  // halves of the beat
          bool whole = true;                 // both are there
          if (at % 2 == 0) {
            low = value;
            if (k < values - 1) {
              whole = false;
            } else if (!ends) {
              whole = false;
              tail[i / 2] = value;  // goes on with this image's next group
            } else if (start + i == count - 1) {
              right = spare;
            } else if (i == images - 1 || groups == 1) {
              whole = false;
              last = value;  // goes on with the next image
            } else {
              right = head[(i + 1) / 2];
            }
          } else if (k > 0) {
            left = low;
          } else if (g > 0) {
            left = tail[i / 2];
          } else if (i == 0 || groups == 1) {
            left = last;
          } else {
            whole = false;
            head[i / 2] = value;  // waits for the last group of the image before
          }
          if (whole) scores[at / 2] = Beat(right) << 32 | Beat(left);
        }
        score += unsigned(classes);
      }
    }
    first_score += unsigned(images) * unsigned(classes);
  }
}

}  // namespace bnn

#endif
