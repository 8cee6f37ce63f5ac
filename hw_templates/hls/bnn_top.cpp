#include "bnn_top.h"

#include "bnn_array.h"
#include "bnn_check.h"
#include "bnn_control.h"
#include "bnn_first.h"
#include "bnn_memory.h"
#include "bnn_types.h"

#ifdef BNN_CSIM_THREADS
#include <functional>
#include <thread>
#endif

namespace bnn {

#ifndef __SYNTHESIS__
TraceHook trace_hook = nullptr;
#endif

// Reads `words` 32-bit words of the program.
static void read_words(const Beat* program, unsigned beat, int words, Word* target) {
words:
  for (int n = 0; n < words / 2; ++n) {
#pragma HLS PIPELINE II=1  // one beat a cycle is what the bus gives
    const Beat data = program[beat + unsigned(n)];
    target[2 * n] = Word(data);
    target[2 * n + 1] = Word(data >> 32);
  }
}

// Runs a checked program: six processes at the same time, joined by streams only.
static void run_program(const Beat* program, const Beat* images, Beat* scores, int count, int batch, int classes,
                        Word spare, const Word header[H_WORDS], const Word descriptors[MAX_LAYERS][D_WORDS],
                        unsigned* busy, unsigned* cycles) {
#pragma HLS DATAFLOW  // memory reads, first layer, array and memory writes overlap
  WordStream to_read("to_read"), to_first("to_first"), bursts("bursts");
  BeatStream to_array("to_array"), weights("weights"), first("first"), beats("beats");
  WriteStream slices("slices");
  ScoreStream results("results");
#pragma HLS STREAM variable=to_read depth=32    // ten orders, so that one follows the other without a gap
#pragma HLS STREAM variable=to_first depth=64   // the header and the next images' places
#pragma HLS STREAM variable=to_array depth=32   // the next layer's command is there when one ends
#pragma HLS STREAM variable=weights depth=64    // a burst, while the array is between two loops
#pragma HLS STREAM variable=first depth=512     // an image of 32x32x3 waits here without holding up the weights
#pragma HLS STREAM variable=slices depth=64     // the array's own writes go first
#pragma HLS STREAM variable=results depth=256   // a block's scores, while the memory is busy
#pragma HLS STREAM variable=bursts depth=8      // the next burst is known when one ends
#pragma HLS STREAM variable=beats depth=32      // two bursts
#ifdef BNN_CSIM_THREADS
  std::thread threads[] = {
      std::thread(control, header, descriptors, count, std::ref(to_read), std::ref(to_first), std::ref(to_array)),
      std::thread(read, program, images, std::ref(to_read), std::ref(weights), std::ref(first)),
      std::thread(first_layer, std::ref(to_first), std::ref(first), std::ref(slices)),
      std::thread(array, std::ref(to_array), std::ref(weights), std::ref(slices), std::ref(results), busy, cycles),
      std::thread(pair, count, batch, classes, spare, std::ref(results), std::ref(bursts), std::ref(beats)),
      std::thread(store, scores, std::ref(bursts), std::ref(beats))};
  for (std::thread& thread : threads) thread.join();
#else
  control(header, descriptors, count, to_read, to_first, to_array);
  read(program, images, to_read, weights, first);
  first_layer(to_first, first, slices);
  array(to_array, weights, slices, results, busy, cycles);
  pair(count, batch, classes, spare, results, bursts, beats);
  store(scores, bursts, beats);
#endif
}

}  // namespace bnn

void bnn_top(const bnn::Beat* program, const bnn::Beat* images, bnn::Beat* scores, ap_uint<32> count, bnn::Word* id,
             bnn::Word* version, bnn::Word* geometry, bnn::Word* weight_depth, bnn::Word* act_depth,
             bnn::Word* max_layers, bnn::Word* cycles, bnn::Word* busy, bnn::Word* error, bnn::Word* features) {
  // One memory port for everything, as the block design connects it. All three have 64 bits:
  // bursts are not inferred for a bundle of mixed widths. So scores must start at a multiple of
  // 8 bytes. The depths, in beats, are for co-simulation only: what its model of the memory holds.
  // The HP ports of a Zynq-7000 are AXI3, of bursts up to 16 beats and eight reads in flight: more would cost
  // buffers and gain nothing. Data comes about 40 cycles after the request.
#pragma HLS INTERFACE mode=m_axi port=program bundle=gmem offset=slave depth=262144 latency=40 num_read_outstanding=8 max_read_burst_length=16
#pragma HLS INTERFACE mode=m_axi port=images bundle=gmem offset=slave depth=65536 latency=40 num_read_outstanding=8 max_read_burst_length=16
#pragma HLS INTERFACE mode=m_axi port=scores bundle=gmem offset=slave depth=16384 latency=40 num_read_outstanding=8 max_read_burst_length=16 num_write_outstanding=8 max_write_burst_length=16
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
#pragma HLS INTERFACE mode=s_axilite port=features bundle=control offset=0xD0
#pragma HLS INTERFACE mode=s_axilite port=return bundle=control
  using namespace bnn;
  *id = CORE_ID;
  *version = unsigned(INTERFACE_VERSION);
  *geometry = GEOMETRY;
  *weight_depth = insert(WEIGHT_DEPTH, REG_WEIGHT_DEPTH) | insert(FIRST_PE, REG_FIRST_PE);
  *act_depth = insert(ACT_DEPTH, REG_ACT_DEPTH) | insert(IMAGE_PIXELS, REG_IMAGE_PIXELS);
  *max_layers = unsigned(MAX_LAYERS);
  *features = insert(VECTOR ? 1 : 0, REG_VECTOR);
  unsigned worked = 0, multiplied = 0;
  Error code = E_NONE;
  const int images_in_run = extract(count.to_uint(), REG_IMAGE_COUNT);  // "keep" is made no use of
  if (images_in_run != 0) {
    Word header[H_WORDS];
#pragma HLS ARRAY_PARTITION variable=header type=complete  // the fields are used together
    read_words(program, 0, H_WORDS, header);
    code = check_header(header);
    if (code == E_NONE &&
        !first_fits(program, header[H_FIRST].to_uint() / 8 + unsigned(TABLE_BEATS), low16(header[H_FIRST_CHANNELS]),
                    get(header, H_CHANNELS), get(header, H_VALUE_CHANNELS))) {
      code = E_GEOMETRY;
    }
    const int layers = code == E_NONE ? low16(header[H_LAYERS]) : 0;
    Before before = {0, false};
    Word descriptors[MAX_LAYERS][D_WORDS];
  descriptors:
    for (int n = 0; n < layers; ++n) {
      Word d[D_WORDS];
#pragma HLS ARRAY_PARTITION variable=d type=complete  // the fields are checked together
      read_words(program, header[H_DESCRIPTORS].to_uint() / 8 + unsigned(n * DESCRIPTOR_BEATS), D_WORDS, d);
      if (code == E_NONE) code = check_layer(header, d, n);
      if (code == E_NONE && wrong_order(header, d, n, before)) code = E_RANGE;
    fields:
      for (int k = 0; k < D_WORDS; ++k) {
#pragma HLS PIPELINE II=1  // the memory takes one word a cycle
        descriptors[n][k] = d[k];
      }
    }
    if (code == E_NONE) {
      const int classes = low16(header[H_CLASSES]);
      const unsigned total = unsigned(images_in_run) * unsigned(classes);
      const Word spare = total % 2 == 1 ? Word(scores[total / 2] >> 32) : Word(0);
      run_program(program, images, scores, images_in_run, to_int(header[H_BATCH]), classes, spare, header,
                  descriptors, &multiplied, &worked);
    }
  }
  *cycles = worked;
  *busy = multiplied;
  *error = unsigned(code);
}
