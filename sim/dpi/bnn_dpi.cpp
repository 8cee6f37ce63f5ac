// The C++ of the HLS core for bnn_top.sv: collects what was read, runs, hands out the scores.
#include <cstdint>
#include <vector>

#include "bnn_check.h"
#include "bnn_top.h"

namespace {

enum Region { PROGRAM, IMAGES };
std::vector<bnn::Beat> memory[2];
std::vector<bnn::Beat> result;
bnn::Word cycles, busy;
int total = 0;

bnn::Word word(int n) { return bnn::Word(memory[PROGRAM][size_t(n) / 2] >> (n % 2 * 32)); }

}  // namespace

extern "C" {

void bnn_dpi_begin() {
  for (auto& region : memory) region.clear();
  result.clear();
  cycles = 0;
  busy = 0;
  total = 0;
}

void bnn_dpi_beat(int region, long long data) { memory[region].push_back(bnn::Beat(uint64_t(data))); }

int bnn_dpi_header() {
  bnn::Word header[bnn::H_WORDS];
  for (int n = 0; n < bnn::H_WORDS; ++n) header[n] = word(n);
  // what the core reads in places is read here in one piece, so the size has to make sense
  const unsigned bytes = header[bnn::H_SIZE].to_uint();
  const int code = int(bnn::check_header(header));
  return code == bnn::E_NONE && (bytes % 8 != 0 || bytes <= 4 * bnn::H_WORDS) ? int(bnn::E_RANGE) : code;
}

int bnn_dpi_beats(int region) { return int(word(region == PROGRAM ? bnn::H_SIZE : bnn::H_IMAGE_BYTES).to_uint() / 8); }

int bnn_dpi_run(int count) {
  const unsigned classes = word(bnn::H_CLASSES).to_uint();
  bnn::Word id, version, geometry, weight_depth, act_depth, max_layers, error, features;
  total = int(unsigned(count) * classes);
  result.assign(size_t(total) / 2 + 1, bnn::Beat(0));
  bnn_top(memory[PROGRAM].data(), memory[IMAGES].data(), result.data(), ap_uint<32>(unsigned(count)), &id, &version,
          &geometry, &weight_depth, &act_depth, &max_layers, &cycles, &busy, &error, &features);
  return int(error.to_uint());
}

int bnn_dpi_cycles() { return int(cycles.to_uint()); }
int bnn_dpi_busy() { return int(busy.to_uint()); }
int bnn_dpi_scores() { return total; }
int bnn_dpi_score(int index) {
  return int(bnn::Word(result[size_t(index) / 2] >> (index % 2 * 32)).to_uint());
}

}  // extern "C"
