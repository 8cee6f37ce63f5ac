// Drives a wired network from a file of images and writes its scores.
//
//   wired_sim IMAGES COUNT BEATS BYTES CLASSES SCORES
//
// BEATS per image, of BYTES bytes, the first least significant. Images follow each other without a gap and the sink
// is always ready. Prints the latency of the first image (first beat taken to last score) and the cycles from its last
// score to that of the last image. Exit status 1: the scores did not come in time; 2: tlast was wrong.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "Vwired_top.h"
#include "verilated.h"

int main(int argc, char **argv) {
  if (argc != 7) return 3;
  const long count = std::atol(argv[2]), beats = std::atol(argv[3]), bytes = std::atol(argv[4]);
  const long classes = std::atol(argv[5]);
  std::vector<unsigned char> images(count * beats * bytes);
  FILE *file = std::fopen(argv[1], "rb");
  if (!file || std::fread(images.data(), 1, images.size(), file) != images.size()) return 3;
  std::fclose(file);

  VerilatedContext context;
  const auto top = std::make_unique<Vwired_top>(&context);
  std::vector<int32_t> scores;
  long sent = 0, cycle = 0, first = 0, latency = 0, last = 0;
  const auto edge = [&] {
    top->ap_clk = 0;
    top->eval();
    top->ap_clk = 1;
    top->eval();
  };
  top->ap_rst_n = 0;
  top->s_axis_tvalid = 0;
  top->m_axis_tready = 1;
  for (int i = 0; i < 4; i++) edge();
  top->ap_rst_n = 1;
  const long limit = 1000 + 4 * count * (beats + classes) + 4000;
  for (; cycle < limit && static_cast<long>(scores.size()) < count * classes; cycle++) {
    top->s_axis_tvalid = sent < count * beats;
    if (sent < count * beats) {
      uint64_t beat = 0;
      for (long c = 0; c < bytes; c++) beat |= static_cast<uint64_t>(images[sent * bytes + c]) << (8 * c);
      top->s_axis_tdata = beat;
    }
    top->ap_clk = 0;
    top->eval();
    const bool taken = top->s_axis_tvalid && top->s_axis_tready;
    if (taken && sent == 0) first = cycle;
    sent += taken;
    if (top->m_axis_tvalid) {
      if (top->m_axis_tlast != (static_cast<long>(scores.size()) % classes == classes - 1)) return 2;
      scores.push_back(static_cast<int32_t>(top->m_axis_tdata));
      if (static_cast<long>(scores.size()) == classes) latency = cycle - first + 1;
      last = cycle;
    }
    top->ap_clk = 1;
    top->eval();
  }
  std::printf("%ld %ld\n", latency, last - (first + latency - 1));
  if (static_cast<long>(scores.size()) != count * classes) return 1;
  file = std::fopen(argv[6], "wb");
  if (!file || std::fwrite(scores.data(), 4, scores.size(), file) != scores.size()) return 3;
  return std::fclose(file);
}
