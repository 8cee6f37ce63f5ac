// The first process: it alone knows the program's order and tells the others what to do.
#ifndef BNN_CONTROL_H
#define BNN_CONTROL_H

#include "bnn_types.h"

namespace bnn {

// Where a stretch of memory is read from and where it goes.
enum ReadCommand { READ_WEIGHTS, READ_FIRST, READ_IMAGES, READ_END };

// Tells `read` to read `beats` beats from number `beat` on.
inline void order(WordStream& to_read, ReadCommand what, unsigned beat, unsigned beats) {
#pragma HLS INLINE  // three writes to a stream
  to_read.write(Word(unsigned(what)));
  to_read.write(Word(beat));
  to_read.write(Word(beats));
}

// What it takes to send an image to the first layer.
struct ImageOrder {
  unsigned beats;
  bool by_image;
  int even, odd;  // bases of the first layer's two buffers
  int stride;
};

// Orders image `number` of the run, image `index` of its sub-batch.
inline void order_image(const ImageOrder& f, int number, int index, bool odd, WordStream& to_read,
                        WordStream& to_first) {
  const int lane = f.by_image ? index & LANE_MASK : 0;
  const int place = f.by_image ? index >> LANE_BITS : index;
  const int address = (odd ? f.odd : f.even) + place * f.stride;
  order(to_read, READ_IMAGES, unsigned(number) * f.beats, f.beats);
  to_first.write(Word(unsigned(lane) << 16 | unsigned(address)));
}

// Images of the sub-batch that starts with image `start`, of a run of `count`.
inline int sub_batch_size(int start, int count, int batch_end, int sub_batch) {
  return smaller(smaller(batch_end, count) - start, sub_batch);
}

// The order of memory reads is decided here, ahead of time: the images of the next sub-batch go
// between the weights of this one, each as soon as the array has been given as much work as the
// first layer needs for the image before. So the first layer runs ahead without holding up the
// weights. Nothing waits for what is ordered later: a layer's command goes out before its weights,
// all images of a sub-batch before its first layer.
inline void control(const Word header[H_WORDS], const Word descriptors[MAX_LAYERS][D_WORDS], int count,
                    WordStream& to_read, WordStream& to_first, BeatStream& to_array) {
  const int layers = low16(header[H_LAYERS]), layers_a = low16(header[H_LAYERS_A]);
  const int sub_batch = to_int(header[H_SUB_BATCH]), batch = to_int(header[H_BATCH]);
  const unsigned words_a = header[H_WORDS_A].to_uint(), words_b = header[H_WORDS_B].to_uint();
  const int ring_base = get(header, H_RING_BASE);
  const bool ring = ring_base != 0;  // segment A's weights stay, segment B's go through a ring
  const bool resident = get(header, H_RESIDENT) != 0 && !ring;
  const unsigned beat_a = header[H_WEIGHTS_A].to_uint() / 8, beat_b = header[H_WEIGHTS_B].to_uint() / 8;
  ImageOrder image;
  image.beats = header[H_IMAGE_BYTES].to_uint() / 8;
  image.by_image = header[H_FIRST_CHANNELS] == 0 && !get(header, H_PIXEL_MAP);
  image.even = low16(header[H_OUT_EVEN]);
  image.odd = low16(header[H_OUT_ODD]);
  image.stride = low16(header[H_OUT_IMAGE_STRIDE]);
  const int first_groups = low16(header[H_FIRST_CHANNELS]) / FIRST_PE;
  const int values = get(header, H_VALUE_CHANNELS);
  const int first_slices = first_groups + values / FIRST_PE * VALUE_BITS;  // of a record
  const int computed = first_groups > 0 ? get(header, H_ROWS) * get(header, H_COLUMNS) : 0;  // else anything
  const bool pool = get(header, H_POOL) != 0;
  // Slices that the first layer writes for an image, and about the cycles it takes.
  const int planes = get(header, H_FIRST_PLANES);
  const int slices = first_groups > 0 ? (pool ? computed / 4 : computed) * first_slices
                     : image.by_image ? low16(header[H_OUT_WORDS]) * SLICES : low16(header[H_PIXELS]) * planes;
  const int first_cycles = first_groups > 0 ? computed * larger(first_groups, 3) + (values > 0 ? slices : 0)
                           : image.by_image && planes > 0 ? slices * (FIRST_PE / MAX_CHANNELS) : slices;

header_words:
  for (int n = 0; n < H_WORDS; ++n) {
#pragma HLS PIPELINE II=1  // one word a cycle
    to_first.write(header[n]);
  }
  to_first.write(Word(unsigned(count)));
  const int first_images = sub_batch_size(0, count, batch, sub_batch);
allow_first:
  for (int k = 0; k < COMMAND_WORDS; k += 2) {
#pragma HLS PIPELINE II=1  // two words a cycle
    Word two[2];
#pragma HLS ARRAY_PARTITION variable=two type=complete  // wires
  words:
    for (int n = 0; n < 2; ++n) {
#pragma HLS UNROLL  // wires
      const int word = k + n;
      two[n] = word == R_FIRST_LIMIT ? unsigned(first_images) * unsigned(slices)
               : word == R_RING      ? unsigned(ring_base)
               : word == R_KEPT      ? (ring ? words_a : 0U)
                                     : 0U;
    }
    to_array.write(Beat(two[1]) << 32 | Beat(two[0]));
  }
  order(to_read, READ_FIRST, header[H_FIRST].to_uint() / 8, unsigned(TABLE_BEATS + first_groups * FIRST_PE + values));

  int ordered = 0;  // images whose read is ordered
first_sub_batch:
  for (; ordered < first_images; ++ordered) {
    order_image(image, ordered, ordered, false, to_read, to_first);
  }
  if (resident || ring) order(to_read, READ_WEIGHTS, beat_a, words_a * WORD_BEATS);
  if (resident) order(to_read, READ_WEIGHTS, beat_b, words_b * WORD_BEATS);

  unsigned streamed = ring ? words_a : 0;  // weight words ordered since the start of the run, where some come again
  int at = 0;               // first image of the sub-batch
  int batch_start = 0;      // first image of the batch
  bool second = false;      // whether segment B is next
  bool odd = false;         // parity of the sub-batch
passes:
  while (at < count || second) {
    const int batch_end = smaller(batch_start + batch, count);
    const int images = second ? batch_end - batch_start : sub_batch_size(at, count, batch_end, sub_batch);
    const int start = second ? batch_start : at;
    const int next = second ? at : at + images;  // first image of the next sub-batch
    const int next_end = next < batch_end ? batch_end : smaller(batch_end + batch, count);
    const int ahead = next + (next < count ? sub_batch_size(next, count, next_end, sub_batch) : 0);
    const bool next_odd = second ? odd : !odd;
    const int from = second ? layers_a : 0, to = second ? layers : layers_a;
    unsigned beat = second ? beat_b : beat_a;
    const bool stays = resident || (ring && !second);  // the segment's weights
    unsigned position = !stays ? streamed : second ? words_a : 0;
    int spare = 0;       // array cycles that the first layer has not been given an image for
  layers:
    for (int n = from; n < to; ++n) {
      Word d[COMMAND_WORDS];
#pragma HLS ARRAY_PARTITION variable=d type=complete  // the fields are used together
    fields:
      for (int k = 0; k < D_WORDS; ++k) {
#pragma HLS PIPELINE II=1  // the memory gives one word a cycle
        d[k] = descriptors[n][k];
      }
      const bool images_wide = get(d, D_DENSE) || get(d, D_BY_IMAGE), serial = get(d, D_SERIAL) != 0;
      const int groups = low16(d[D_GROUPS]);
      const unsigned group_words = unsigned(low16(d[D_GROUP_WORDS]) + header_words(d));
      const unsigned back = unsigned(get(d, D_WEIGHTS_BACK));  // R_FINISH takes its place
      d[R_FINISH] = 0;
      d[R_LAYER] = unsigned(n);
      d[R_START] = unsigned(start);
      d[R_IMAGES] = unsigned(images);
      d[R_SOURCE] = odd && get(d, D_FROM_FIRST) ? d[D_SOURCE_ODD] : d[D_SOURCE_EVEN];
      d[R_SHORTCUT] = odd && get(d, D_SHORTCUT_FIRST) ? d[D_SHORTCUT_ODD] : d[D_SHORTCUT_EVEN];
      const bool in_batch = serial || (get(d, D_DENSE) && get(d, D_SEGMENT_END));
      d[R_WRITE_FIRST] = in_batch && layers_a < layers && !second ? unsigned(at - batch_start) : 0U;
      d[R_POSITION] = position;
      d[R_RELEASE] = stays ? 0 : 1;
      d[R_RING] = stays ? 0U : unsigned(ring_base);
      d[R_KEPT] = 0;
      d[R_FIRST_NEED] = unsigned(next) * unsigned(slices);
      d[R_FIRST_LIMIT] = unsigned(ahead) * unsigned(slices);
    to_array_words:
      for (int k = 0; k < COMMAND_WORDS; k += 2) {
#pragma HLS PIPELINE II=1  // two words a cycle
        to_array.write(Beat(d[k + 1]) << 32 | Beat(d[k]));
      }
      const int units = images_wide ? round_up(images, LANES) : images;
      const int blocks = units * low16(d[D_ROWS]) * low16(d[D_BLOCKS]);
      const int cycles = blocks * low16(d[D_GROUP_WORDS]);  // of a group
      unsigned beats = 0;  // beats of the layer's weights not yet ordered
    groups:
      for (int g = 0; g < groups; ++g) {
        beats += stays ? 0 : group_words * WORD_BEATS;
        spare = ordered < ahead ? spare + cycles : 0;
        if (ordered < ahead && spare >= first_cycles) {
          if (beats > 0) order(to_read, READ_WEIGHTS, beat, beats);
          beat += beats;
          beats = 0;
          order_image(image, ordered, ordered - next, next_odd, to_read, to_first);
          ++ordered;
          spare -= first_cycles;
        }
      }
      if (beats > 0) order(to_read, READ_WEIGHTS, beat, beats);
      beat += beats;
      position += unsigned(groups) * group_words - back;
    }
    if (!stays) streamed = position;
  rest:
    for (; ordered < ahead; ++ordered) {
      order_image(image, ordered, ordered - next, next_odd, to_read, to_first);
    }
    if (second) {
      second = false;
      batch_start = at;
    } else {
      at += images;
      odd = !odd;
      if (at == batch_end) {
        second = layers_a < layers;
        if (!second) batch_start = at;
      }
    }
  }
  order(to_read, READ_END, 0, 0);
finish:
  for (int k = 0; k < COMMAND_WORDS; k += 2) {
#pragma HLS PIPELINE II=1  // two words a cycle
    to_array.write(k == R_FINISH / 2 * 2 ? Beat(1) << R_FINISH % 2 * 32 : Beat(0));
  }
}

}  // namespace bnn

#endif
