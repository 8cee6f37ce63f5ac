#include "bnn_top.h"

#include "bnn_array.h"
#include "bnn_first.h"
#include "bnn_types.h"
#include "bnn_weights.h"

namespace bnn {

#ifndef __SYNTHESIS__
TraceHook trace_hook = nullptr;
#endif

// Reads `words` 32-bit words of the program.
static void read_words(const Beat* program, int beat, int words, Word* target) {
words:
  for (int n = 0; n < words / 2; ++n) {
#pragma HLS PIPELINE II=1  // one beat a cycle is what the bus gives
    const Beat data = program[beat + n];
    target[2 * n] = Word(data);
    target[2 * n + 1] = Word(data >> 32);
  }
}

// Runs layers `from` to `to` over `images` images.
static int run_layers(const Beat* program, const Word header[H_WORDS], const Word descriptors[MAX_LAYERS][D_WORDS],
                      int from, int to, Ring& ring, bool resident, int parity, int images, int run_first,
                      int batch_first, WeightMemory weights, ActMemory act, Beat* scores) {
  int busy = 0;
layers:
  for (int n = from; n < to; ++n) {
    Word d[D_WORDS];
#pragma HLS ARRAY_PARTITION variable=d complete  // the fields are used together in every cycle
    for (int k = 0; k < D_WORDS; ++k) {
#pragma HLS PIPELINE II=1  // one word a cycle
      d[k] = descriptors[n][k];
    }
    const bool serial = d[D_FLAGS][F_SERIAL], score = d[D_FLAGS][F_SCORES];
    const int source = parity ? d[D_SRC_ODD] : d[D_SRC_EVEN];
    const int outputs = d[D_OUTPUTS];
    const int part = score ? LANES : images;  // images per call of the array
    Pass pass;
    pass.write_first = serial ? batch_first : 0;
    const int group_words = int(d[D_GROUP_WORDS]) + (score ? 2 : 1);
  groups:
    for (int g = 0; g < int(d[D_GROUPS]); ++g) {
      if (!resident) fill(program, group_words, ring, weights);
      pass.weights = ring.read;
    parts:
      for (int at = 0; at < images; at += part) {
        ap_int<32> result[LANES][PE];
#pragma HLS ARRAY_PARTITION variable=result complete dim=0  // all scores finish in the same cycle
        pass.images = images - at < part ? images - at : part;
        pass.source = source + at / LANES * int(d[D_SRC_IMAGE]);
        busy += run_group(d, g, pass, weights, act, result);
        const int left = outputs - g * PE;
      lanes:
        for (int l = 0; score && l < pass.images; ++l) {
          store_scores(result[l], (run_first + at + l) * outputs + g * PE, left < PE ? left : PE, scores);
        }
      }
      ring.read = (ring.read + group_words) & (WEIGHT_DEPTH - 1);
      ring.ready -= group_words;
    }
#ifndef __SYNTHESIS__
    if (trace_hook != nullptr && !score) {
      const int first = pass.write_first, stride = d[D_DST_IMAGE];
      const bool by_image = d[D_FLAGS][F_DENSE] || serial;
      const int skip = by_image ? first / LANES : 0;
      const int blocks = by_image ? (first + images + LANES - 1) / LANES - skip : images;
      trace_hook(n + 1, run_first, images, first - skip * LANES, int(d[D_DST]) + skip * stride, blocks * stride, act);
    }
#endif
  }
  return busy;
}

// Runs a checked program.
static int run_program(const Beat* program, const Word header[H_WORDS],
                       const Word descriptors[MAX_LAYERS][D_WORDS], const Beat* images, int count, Beat* scores) {
  static ActMemory act;
#pragma HLS ARRAY_PARTITION variable=act complete dim=1  // every lane has its own port
#pragma HLS ARRAY_PARTITION variable=act complete dim=2  // every slice has its own write enable
#pragma HLS BIND_STORAGE variable=act type=ram_s2p       // one read and one write port
  static WeightMemory weights;
#pragma HLS ARRAY_PARTITION variable=weights complete dim=1     // every PE reads each cycle
#pragma HLS BIND_STORAGE variable=weights type=ram_s2p impl=bram  // deep: block RAM, one read and one write port
  static Table table;
#pragma HLS ARRAY_PARTITION variable=table complete dim=1         // eight look-ups a cycle
#pragma HLS BIND_STORAGE variable=table type=ram_s2p impl=lutram  // small: keeps the block RAM free
  static Pixel buffer[IMAGE_PIXELS];
#pragma HLS BIND_STORAGE variable=buffer type=ram_s2p impl=bram  // one read and one write port
  static Beat kernels[FIRST_CHANNELS];
#pragma HLS ARRAY_PARTITION variable=kernels cyclic factor=FIRST_PE  // FIRST_PE channels a cycle

  const int layers = header[H_LAYERS], layers_a = header[H_LAYERS_A];
  const int sub_batch = header[H_SUB_BATCH], batch = header[H_BATCH];
  const bool resident = header[H_RESIDENT] != 0, both = layers_a < layers;
  const int words_a = header[H_WORDS_A], words_b = header[H_WORDS_B];
  const int beat_a = int(header[H_WEIGHTS_A]) / 8, beat_b = int(header[H_WEIGHTS_B]) / 8;
  const int first_channels = header[H_FIRST_CHANNELS], image_beats = int(header[H_IMAGE_BYTES]) / 8;
  const int channels = header[H_IMAGE_FLAGS] & 0xFF, pixels = header[H_PIXELS];

  load_first(program, int(header[H_FIRST]) / 8, first_channels, table, kernels);
  if (resident) {
    load_words(program, beat_a, words_a, 0, weights);
    load_words(program, beat_b, words_b, words_a & (WEIGHT_DEPTH - 1), weights);
  }
  Ring ring = {0, 0, 0, 0, 0};
  int busy = 0;
  int parity = 0;
batches:
  for (int start = 0; start < count; start += batch) {
    const int in_batch = count - start < batch ? count - start : batch;
  sub_batches:
    for (int at = 0; at < in_batch; at += sub_batch) {
      const int n = in_batch - at < sub_batch ? in_batch - at : sub_batch;
      const int base = parity ? header[H_OUT_ODD] : header[H_OUT_EVEN];
    first_layer:
      for (int i = 0; i < n; ++i) {
        const Beat* image = images + (long long)(start + at + i) * image_beats;
        if (first_channels > 0) {
          load_image(image, pixels, channels, table, buffer);
          first_convolution(header, buffer, kernels, base + i * int(header[H_OUT_IMAGE]), act);
        } else {
          pack_image(header, image, table, i, base, act);
        }
      }
#ifndef __SYNTHESIS__
      if (trace_hook != nullptr) {
        const int blocks = first_channels > 0 ? n : (n + LANES - 1) / LANES;
        trace_hook(0, start + at, n, 0, base, blocks * int(header[H_OUT_IMAGE]), act);
      }
#endif
      if (resident) {
        ring.read = 0;
      } else {
        ring.remaining = words_a;
        ring.beat = beat_a;
      }
      busy += run_layers(program, header, descriptors, 0, layers_a, ring, resident, parity, n, start + at,
                         both ? at : 0, weights, act, scores);
      parity ^= 1;
    }
    if (both) {
      if (resident) {
        ring.read = words_a & (WEIGHT_DEPTH - 1);
      } else {
        ring.remaining = words_b;
        ring.beat = beat_b;
      }
      busy += run_layers(program, header, descriptors, layers_a, layers, ring, resident, 0, in_batch, start, 0,
                         weights, act, scores);
    }
  }
  return busy;
}

}  // namespace bnn

void bnn_top(const bnn::Beat* program, const bnn::Beat* images, bnn::Beat* scores, ap_uint<32> count, bnn::Word* id,
             bnn::Word* version, bnn::Word* geometry, bnn::Word* weight_depth, bnn::Word* act_depth,
             bnn::Word* max_layers, bnn::Word* cycles, bnn::Word* busy, bnn::Word* error) {
  // One memory port for everything, as the block design connects it. All three have 64 bits:
  // bursts are not inferred for a bundle of mixed widths. So scores must start at a multiple of
  // 8 bytes.
#pragma HLS INTERFACE mode=m_axi port=program bundle=gmem offset=slave max_read_burst_length=64
#pragma HLS INTERFACE mode=m_axi port=images bundle=gmem offset=slave max_read_burst_length=64
#pragma HLS INTERFACE mode=m_axi port=scores bundle=gmem offset=slave
  // The offsets are those of the contract's register table.
#pragma HLS INTERFACE mode=s_axilite port=program bundle=control offset=0x10
#pragma HLS INTERFACE mode=s_axilite port=images bundle=control offset=0x1C
#pragma HLS INTERFACE mode=s_axilite port=scores bundle=control offset=0x28
#pragma HLS INTERFACE mode=s_axilite port=count bundle=control offset=0x34
#pragma HLS INTERFACE mode=s_axilite port=id bundle=control offset=0x40
#pragma HLS INTERFACE mode=s_axilite port=version bundle=control offset=0x50
#pragma HLS INTERFACE mode=s_axilite port=geometry bundle=control offset=0x60
#pragma HLS INTERFACE mode=s_axilite port=weight_depth bundle=control offset=0x70
#pragma HLS INTERFACE mode=s_axilite port=act_depth bundle=control offset=0x80
#pragma HLS INTERFACE mode=s_axilite port=max_layers bundle=control offset=0x90
#pragma HLS INTERFACE mode=s_axilite port=cycles bundle=control offset=0xA0
#pragma HLS INTERFACE mode=s_axilite port=busy bundle=control offset=0xB0
#pragma HLS INTERFACE mode=s_axilite port=error bundle=control offset=0xC0
#pragma HLS INTERFACE mode=s_axilite port=return bundle=control
  using namespace bnn;
  *id = 0x314E4E42;
  *version = VERSION;
  *geometry = GEOMETRY;
  *weight_depth = WEIGHT_DEPTH | FIRST_PE << 16;
  *act_depth = ACT_DEPTH | unsigned(IMAGE_PIXELS) << 16;
  *max_layers = MAX_LAYERS;
  *cycles = 0;
  int multiplied = 0;
  int code = 0;
  if (count != 0) {
    Word header[H_WORDS];
#pragma HLS ARRAY_PARTITION variable=header complete  // the fields are used together
    read_words(program, 0, H_WORDS, header);
    const int layers = header[H_LAYERS];
    if (header[H_MAGIC] != MAGIC || header[H_VERSION] != VERSION) {
      code = 1;
    } else if (header[H_GEOMETRY] != GEOMETRY || header[H_FIRST_PE] != FIRST_PE) {
      code = 2;
    } else if (header[H_LAYERS] > MAX_LAYERS) {
      code = 3;
    } else {
      Word descriptors[MAX_LAYERS][D_WORDS];
      for (int n = 0; n < layers; ++n) {
        read_words(program, int(header[H_DESCRIPTORS]) / 8 + n * (D_WORDS / 2), D_WORDS, descriptors[n]);
      }
      multiplied = run_program(program, header, descriptors, images, count, scores);
    }
  }
  *busy = multiplied;
  *error = code;
}
