// C simulation: csim PROGRAM IMAGES COUNT SCORES [TRACE]
//
// The scores are int32 [image][class], for every run in one file. A trace record is seven
// little-endian int32 (run, layer, start, images, first, words, 0) and then, lane by lane, `words`
// activation words of SIMD bits each (bnn_top.h, TraceHook). A run is repeated twice in one
// process: nothing may be kept from one to the next.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "bnn_check.h"
#include "bnn_top.h"

typedef std::unique_ptr<FILE, int (*)(FILE*)> File;

static FILE* trace_file = nullptr;
static int32_t run_number = 0;

static std::vector<uint64_t> read_file(const char* path) {
  FILE* file = std::fopen(path, "rb");
  if (file == nullptr) {
    std::perror(path);
    std::exit(2);
  }
  std::fseek(file, 0, SEEK_END);
  const long length = std::ftell(file);
  if (length < 0) {
    std::perror(path);
    std::exit(2);
  }
  const size_t bytes = size_t(length);
  std::rewind(file);
  std::vector<uint64_t> beats((bytes + 7) / 8 + 1);
  if (std::fread(beats.data(), 1, bytes, file) != bytes) {
    std::perror(path);
    std::exit(2);
  }
  std::fclose(file);
  return beats;
}

static void trace(int layer, int start, int images, int first, int base, int words, const bnn::ActMemory act) {
  if (base < 0 || words < 0 || int64_t(base) + words > bnn::ACT_DEPTH) {
    std::fprintf(stderr, "layer %d writes %d activation words at %d, ACT_DEPTH = %d\n", layer - 1, words, base,
                 bnn::ACT_DEPTH);
    std::exit(1);
  }
  const int32_t record[7] = {run_number, layer, start, images, first, words, 0};
  std::fwrite(record, sizeof record, 1, trace_file);
  for (int lane = 0; lane < bnn::LANES; ++lane) {
    for (int n = 0; n < words; ++n) {
      for (int bit = 0; bit < bnn::SIMD; bit += 8) {
        unsigned char byte = 0;
        for (int k = 0; k < 8; ++k) {
          const int at = bit + k;
          const bnn::Slice& slice = act[lane][at / bnn::FIRST_PE][base + n];
          if (slice[at % bnn::FIRST_PE]) byte = static_cast<unsigned char>(byte | 1 << k);
        }
        std::fputc(byte, trace_file);
      }
    }
  }
}

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: %s PROGRAM IMAGES COUNT SCORES [TRACE]\n", argv[0]);
    return 2;
  }
  const std::vector<uint64_t> program_data = read_file(argv[1]), image_data = read_file(argv[2]);
  std::vector<bnn::Beat> program(program_data.begin(), program_data.end());
  std::vector<bnn::Beat> images(image_data.begin(), image_data.end());
  const unsigned count = unsigned(std::strtoul(argv[3], nullptr, 10));
  const size_t bytes = 8 * (program_data.size() - 1);
  if (bytes < 4 * size_t(bnn::H_WORDS)) {
    std::fprintf(stderr, "%s: %zu bytes, expected a header of %d\n", argv[1], bytes, 4 * bnn::H_WORDS);
    return 2;
  }
  bnn::Word header[bnn::H_WORDS];
  for (int n = 0; n < bnn::H_WORDS; ++n) header[n] = uint32_t(program_data[size_t(n) / 2] >> 32 * (n % 2));
  // A part of the program that ends behind the file is refused by the core, not read.
  const size_t size_shift = 32 * (bnn::H_SIZE % 2);
  if (header[bnn::H_SIZE].to_uint() > bytes) {
    program[bnn::H_SIZE / 2] = (program_data[bnn::H_SIZE / 2] & ~(0xFFFFFFFFULL << size_shift)) | bytes << size_shift;
  }
  // Nor are images that there are not: of a header that the core takes, the sizes are small.
  const uint64_t wanted = uint64_t(header[bnn::H_IMAGE_BYTES].to_uint()) * count;
  if (bnn::check_header(header) == bnn::E_NONE && wanted > 8 * (image_data.size() - 1)) {
    std::fprintf(stderr, "%s: %zu bytes, expected %llu of %u images\n", argv[2], 8 * (image_data.size() - 1),
                 static_cast<unsigned long long>(wanted), count);
    return 2;
  }
#ifdef BNN_COSIM  // co-simulation reads and writes as much as the depths of bnn_top.cpp say
  program.resize(262144);
  images.resize(65536);
#endif
  // Each class has 32 bits of weights at least. Of more the core writes no scores: none are allocated.
  const size_t named = header[bnn::H_CLASSES].to_uint(), classes = named > bytes / 4 || named > 0xFFFF ? 0 : named;
  const File out(std::fopen(argv[4], "wb"), std::fclose), traced(argc > 5 ? std::fopen(argv[5], "wb") : nullptr, std::fclose);
  trace_file = traced.get();
  if (argc > 5) bnn::trace_hook = trace;
  if (!out || (argc > 5 && !traced)) {
    std::perror("output");
    return 2;
  }
  bnn::Word id, version, geometry, weight_depth, act_depth, max_layers, cycles, busy, error, features;
  for (run_number = 0; run_number < 2; ++run_number) {
    const size_t total = count * classes;
    std::vector<bnn::Beat> beats(total / 2 + 1, bnn::Beat(0x8080808080808080ULL));
#ifdef BNN_COSIM
    beats.resize(16384, bnn::Beat(0x8080808080808080ULL));
#endif
    bnn_top(program.data(), images.data(), beats.data(), count, &id, &version, &geometry, &weight_depth,
            &act_depth, &max_layers, &cycles, &busy, &error, &features);
    if (error != 0) {
      std::fprintf(stderr, "error code %u\n", error.to_uint());
      return 1;
    }
    std::vector<int32_t> scores;
    for (const bnn::Beat& beat : beats) {
      scores.push_back(int32_t(beat.to_uint64()));
      scores.push_back(int32_t(beat.to_uint64() >> 32));
    }
    if (scores[total] != int32_t(0x80808080)) {
      std::fprintf(stderr, "wrote behind the scores\n");
      return 1;
    }
    std::fwrite(scores.data(), 4, total, out.get());
  }
  std::printf("busy %u cycles %u\n", busy.to_uint(), cycles.to_uint());
  return 0;
}
