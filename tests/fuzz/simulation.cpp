// Feeds the C simulation of the HLS core a program, as sim/hls_csim.py would; files go to the current folder.
#define main csim_main
#include "csim_main.cpp"
#undef main

#include "bnn_check.h"

namespace {

constexpr double CYCLES = 1 << 12;  // that a run of an accepted program may take of the array here

void write(const char* path, const void* data, size_t size) {
  FILE* file = std::fopen(path, "wb");
  const bool written = file != nullptr && (size == 0 || std::fwrite(data, 1, size, file) == size);
  if (!written || std::fclose(file) != 0) std::abort();
}

// Whether the program is refused by its header, or its run is short.
bool is_short(const uint8_t* data, size_t size) {
  bnn::Word header[bnn::H_WORDS];
  if (size < sizeof(uint32_t) * bnn::H_WORDS) return true;
  const auto word = [&](size_t at) {
    uint32_t value = 0;
    if (at + 4 <= size) std::memcpy(&value, data + at, 4);
    return value;
  };
  for (int n = 0; n < bnn::H_WORDS; ++n) header[n] = word(size_t(4 * n));
  if (bnn::check_header(header) != bnn::E_NONE) return true;
  double cycles = double(word(4 * bnn::H_PIXELS)) * (1 + word(4 * bnn::H_FIRST_CHANNELS));
  for (size_t n = 0; n < word(4 * bnn::H_LAYERS); ++n) {
    const size_t at = word(4 * bnn::H_DESCRIPTORS) + 4 * n * bnn::D_WORDS;
    cycles += double(word(at + 4 * bnn::D_GROUPS)) * word(at + 4 * bnn::D_ROWS) * word(at + 4 * bnn::D_BLOCKS) *
              (1.0 + word(at + 4 * bnn::D_GROUP_WORDS));
  }
  return cycles <= CYCLES;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (!is_short(data, size)) return 0;
  static const std::vector<uint8_t> pixels(1 << 12, 0x5A);
  write("program.bin", data, size);
  write("images.bin", pixels.data(), pixels.size());
  const char* line[] = {"csim", "program.bin", "images.bin", "2", "scores.bin"};
  if (std::freopen("/dev/null", "w", stdout) == nullptr) std::abort();  // figures of every run
  csim_main(5, const_cast<char**>(line));
  return 0;
}
