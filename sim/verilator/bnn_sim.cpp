// Simulation of the Verilated core between a host and a memory.
//
//   bnn_sim --scores=FILE [--trace=FILE] [OPTION=VALUE ...] PROGRAM IMAGES COUNT [PROGRAM IMAGES COUNT ...]
//
//   bnn_sim --serve ...    registers through a pipe instead (bnn_board.cpp)
//
// Every PROGRAM IMAGES COUNT is one run (COUNT with a k behind it: with the program kept), all in
// one process without a reset between them. Scores
// and trace have the format of hw_templates/hls/csim_main.cpp; the last word of a trace record is
// the cycle of its run. Prints one line of JSON. Options:
//
//   --clock=MHZ          clock of the core, 100
//   --bandwidth=BYTES    bytes per second of a memory port, 1e9; 0: no limit
//   --together=BYTES     those of two ports together, 2.1e9; 0: no limit
//   --latency=CYCLES     from a read address to its first beat, 40
//   --write-latency=CYCLES  from a last written beat to its response, 12
//   --outstanding=N      bursts the memory takes at a time, 8
//   --stall=P            withhold every ready and new valid with this probability, 0
//   --seed=N             of the stalls and of the memories' first content, 1
//   --error=RUN:REGION:OFFSET:BYTES  answer SLVERR there; REGION: program, images or scores
//   --watchdog=CYCLES    without any transfer and any written activation that end it, 100000
//   --wave=FILE          waveforms, where the simulation was built with them
#include <algorithm>
#include <array>
#include <cinttypes>
#include <map>
#include <memory>

#include "Vbnn_top.h"
#include "Vbnn_top___024root.h"
#include "axi_memory.h"
#include "bnn_contract.h"
#include "core_pins.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

static const int SIMD = BNN_SIMD, LANES = BNN_LANES, ACT_DEPTH = BNN_ACT_DEPTH, GROUP = BNN_PE;
// Why the array does not multiply, in the order of waits_.
enum { WEIGHTS, FIRST_LAYER, WRITE_BACK, WAIT_SCORES, SWITCHING, LOAD, CAUSES };
static const char* const CAUSE_NAMES[CAUSES] = {"weights", "first_layer", "write_back", "scores", "switching", "program"};
static const int WORDS = SIMD / 32;  // 32-bit words of an activation word
static int address_bits() {
  int bits = 0;
  while (1 << bits < ACT_DEPTH) ++bits;
  return bits;
}
static const int ADDRESS_BITS = address_bits();

// 32 bits of a Verilator signal, from bit `at` on.
template <class T>
static uint32_t bits(const T& signal, int at) {
  return uint32_t(uint64_t(signal) >> at);
}
template <std::size_t N>
static uint32_t bits(const VlWide<N>& signal, int at) {
  const int word = at / 32, shift = at % 32;
  const uint64_t low = signal[word], high = std::size_t(word) + 1 < N ? signal[word + 1] : 0;
  return uint32_t((high << 32 | low) >> shift);
}

// The regions lie far apart and start just below a 4 KiB boundary.
static const uint64_t PROGRAM_BASE = 0x700000E38, IMAGES_BASE = 0x310000FF8, SCORES_BASE = 0x5200007F8;

struct Job {
  std::vector<uint8_t> program, images;
  uint32_t count;
  bool keep = false;  // asks for what the run before left in the core

  // Words of a record from byte `at` on, 0 behind the program's end.
  template <size_t N>
  std::array<uint32_t, N> record(uint64_t at) const {
    std::array<uint32_t, N> words = {};
    for (size_t k = 0; k < 4 * N && at + k < program.size(); ++k) words[k / 4] |= uint32_t(program[at + k]) << k % 4 * 8;
    return words;
  }
};

// What a pulse of the core says is in the activation memory.
struct Step {
  int layer, start, images, first, base, words;  // as TraceHook of hw_templates/hls/bnn_top.h
  bool scores;
};

// The order of work, of the first-layer engine and of the array.
struct Order {
  std::vector<Step> first, layers;

  explicit Order(const Job& job) {
    const auto header = job.record<bnn::H_WORDS>(0);
    const int64_t sub_batch = header[bnn::H_SUB_BATCH], batch = header[bnn::H_BATCH], count = job.count;
    if (sub_batch == 0 || batch == 0) return;
    // a program that is too short for its layers is refused by the core
    if (header[bnn::H_LAYERS] > job.program.size() / (4 * bnn::D_WORDS)) return;
    if (header[bnn::H_LAYERS_A] > header[bnn::H_LAYERS]) return;
    const int all = header[bnn::H_LAYERS], split = header[bnn::H_LAYERS_A];
    bool odd = false;
    for (int64_t start = 0; start < count; start += batch) {
      const int in_batch = int(std::min(batch, count - start));
      for (int64_t at = 0; at < in_batch; at += sub_batch) {
        const int n = int(std::min(sub_batch, in_batch - at));
        const bool by_pixel = header[bnn::H_FIRST_CHANNELS] > 0 || bnn::get(header.data(), bnn::H_PIXEL_MAP);
        const int blocks = by_pixel ? n : (n + LANES - 1) / LANES;
        const int words = blocks * int(header[bnn::H_OUT_IMAGE_STRIDE]);
        first.push_back({0, int(start + at), n, 0, int(header[odd ? bnn::H_OUT_ODD : bnn::H_OUT_EVEN]), words, false});
        for (int layer = 0; layer < split; ++layer) {
          array(job, header[bnn::H_DESCRIPTORS], layer, int(start + at), n, split < all ? int(at) : 0);
        }
        odd = !odd;
      }
      for (int layer = split; layer < all; ++layer) array(job, header[bnn::H_DESCRIPTORS], layer, int(start), in_batch, 0);
    }
  }

 private:
  void array(const Job& job, uint64_t descriptors, int layer, int start, int images, int batch_first) {
    const auto item = job.record<bnn::D_WORDS>(descriptors + 4 * bnn::D_WORDS * uint64_t(layer));
    const bool serial = bnn::get(item.data(), bnn::D_SERIAL), dense = bnn::get(item.data(), bnn::D_DENSE);
    const bool lanes = dense || bnn::get(item.data(), bnn::D_BY_IMAGE);
    const int stride = item[bnn::D_DEST_IMAGE_STRIDE], base = item[bnn::D_DEST_BASE];
    const int origin = serial || (dense && bnn::get(item.data(), bnn::D_SEGMENT_END)) ? batch_first : 0;
    const bool by_image = serial || lanes;
    const int skip = by_image ? origin / LANES : 0;
    const int blocks = by_image ? (origin + images + LANES - 1) / LANES - skip : images;
    layers.push_back({layer + 1, start, images, origin - skip * LANES, base + skip * stride, blocks * stride,
                      bnn::get(item.data(), bnn::D_SCORES) != 0});
  }
};

class Simulation {
 public:
  struct Options {
    AxiMemory::Config memory;
    double together = 0;  // bytes per cycle through two ports
    uint64_t watchdog = 100000;
    int error_run = -1;
    std::string error_region, wave;
    uint64_t error_offset = 0, error_bytes = 0;
  };

  Simulation(const Options& options, FILE* trace)
      : options_(options), trace_(trace), host_(options.memory.seed + 1), memory_(options.memory, options.together, &regions_) {
    context_.randReset(2);  // memories and registers without a reset start with anything
    context_.randSeed(int(options.memory.seed) + 1);
    context_.assertOn(false);  // until they have been reset
    if (!options.wave.empty()) context_.traceEverOn(true);
    top_.reset(new Vbnn_top(&context_));
#if VM_TRACE
    if (!options.wave.empty()) {
      wave_.reset(new VerilatedVcdC);
      top_->trace(wave_.get(), 99);
      wave_->open(options.wave.c_str());
    }
#else
    if (!options.wave.empty()) throw failure("--wave: the simulation was built without waveforms");
#endif
    mirror_.assign(size_t(LANES) * ACT_DEPTH * WORDS, 0);
    reset();
  }

  ~Simulation() {
#if VM_TRACE
    if (wave_) wave_->close();
#endif
    top_->final();
  }

  // The read-only registers that describe the core.
  std::string constants() {
    const std::pair<const char*, int> registers[] = {
        {"id", bnn::REG_ID},           {"version", bnn::REG_VERSION},         {"geometry", bnn::REG_GEOMETRY},
        {"weights", bnn::REG_WEIGHTS}, {"activations", bnn::REG_ACTIVATIONS}, {"max_layers", bnn::REG_MAX_LAYERS},
        {"features", bnn::REG_FEATURES}};
    std::string text;
    for (const auto& item : registers) {
      text += (text.empty() ? "{\"" : ", \"") + std::string(item.first) + "\": " + std::to_string(read(item.second));
    }
    return text + "}";
  }

  // Runs a job; the scores are appended to `scores`. Returns JSON.
  std::string run(int number, const Job& job, std::vector<uint8_t>* scores) {
    // each class has 32 bits of weights at least; of more the core writes no scores: none are allocated
    const uint64_t named = job.record<bnn::H_WORDS>(0)[bnn::H_CLASSES];
    const uint64_t classes = named > job.program.size() / 4 || named > 0xFFFF ? 0 : named;
    const uint64_t score_bytes = 4 * classes * job.count;
    run_ = number;
    regions_.clear();
    regions_.push_back({"program", PROGRAM_BASE, job.program, false, {}});
    regions_.push_back({"images", IMAGES_BASE, job.images, false, {}});
    regions_.push_back({"scores", SCORES_BASE, std::vector<uint8_t>(score_bytes, 0x80), true, {}});
    regions_[2].written.assign(score_bytes, false);
    for (AxiMemory& port : memory_.ports) port.set_error_range(0, 0);
    if (number == options_.error_run) {
      for (const Region& region : regions_) {
        if (options_.error_region != region.name) continue;
        for (AxiMemory& port : memory_.ports) {
          port.set_error_range(region.base + options_.error_offset, options_.error_bytes);
        }
      }
    }
    const Order order(job);
    order_ = &order;
    first_done_ = layer_done_ = 0;
    std::fill(waits_, waits_ + CAUSES, 0);
    for (AxiMemory& port : memory_.ports) port.read_beats = port.write_beats = 0;

    write_address(bnn::REG_PROGRAM, PROGRAM_BASE);
    write_address(bnn::REG_IMAGES, IMAGES_BASE);
    write_address(bnn::REG_SCORES, SCORES_BASE);
    write(bnn::REG_COUNT, job.count | bnn::insert(job.keep, bnn::REG_KEEP));
    write(bnn::REG_GLOBAL_ENABLE, bnn::mask(bnn::REG_INTERRUPTS));
    write(bnn::REG_ENABLE, bnn::mask(bnn::REG_ENABLE_DONE));
    if (interrupt_) throw failure("run %d: interrupt before ap_start", run_);
    steps_.clear();
    start_ = quiet_since_ = cycle_;
    write(bnn::REG_CONTROL, bnn::mask(bnn::REG_START), &start_);
    while (!interrupt_) tick();
    const uint64_t cycles = cycle_ - start_;
    uint64_t read_beats = 0, write_beats = 0;
    for (const AxiMemory& port : memory_.ports) {
      if (port.reads_in_flight()) throw failure("run %d: interrupt with a read in flight", run_);
      if (port.writes_in_flight()) throw failure("run %d: interrupt with a write in flight", run_);
      read_beats += port.read_beats;
      write_beats += port.write_beats;
    }
    const uint32_t control = read(bnn::REG_CONTROL), ended = bnn::mask(bnn::REG_DONE) | bnn::mask(bnn::REG_IDLE);
    if ((control & (ended | bnn::mask(bnn::REG_START))) != ended) {
      throw failure("run %d: control register 0x%x after the interrupt, expected 0xe", run_, control);
    }
    const uint32_t done = bnn::mask(bnn::REG_STATUS_DONE);
    if (read(bnn::REG_STATUS) != done) throw failure("run %d: interrupt status is not 1 after the interrupt", run_);
    write(bnn::REG_STATUS, done);
    tick();
    if (interrupt_) throw failure("run %d: interrupt stays after its status was cleared", run_);
    const uint32_t error = read(bnn::REG_ERROR);
    if (error == bnn::E_NONE) {
      check_pulses("tap_first_done", first_done_, order.first.size());
      check_pulses("tap_layer_done", layer_done_, order.layers.size());
      for (uint64_t n = 0; n < score_bytes; ++n) {
        if (regions_[2].written[n]) continue;
        throw failure("run %d: the score of image %llu, class %llu was not written", run_, ull(n / 4 / classes),
                      ull(n / 4 % classes));
      }
    }
    order_ = nullptr;
    scores->insert(scores->end(), regions_[2].data.begin(), regions_[2].data.end());
    char text[256];
    std::snprintf(text, sizeof text,
                  "{\"cycles\": %u, \"busy\": %u, \"error\": %u, \"interrupt_cycles\": %llu, \"read_beats\": %llu, "
                  "\"write_beats\": %llu, \"steps\": [",
                  read(bnn::REG_CYCLES), read(bnn::REG_BUSY), error, ull(cycles), ull(read_beats), ull(write_beats));
    std::string waits;
    for (int cause = 0; cause < CAUSES; ++cause) {
      waits += (cause ? ", \"" : "\"") + std::string(CAUSE_NAMES[cause]) + "\": " + std::to_string(waits_[cause]);
    }
    return text + steps_ + "], \"waits\": {" + waits + "}}";
  }

 private:
  void reset() {
    top_->ap_rst_n = 0;
    top_->s_axi_control_AWVALID = top_->s_axi_control_WVALID = top_->s_axi_control_BREADY = 0;
    top_->s_axi_control_ARVALID = top_->s_axi_control_RREADY = 0;
    top_->s_axi_control_AWADDR = top_->s_axi_control_ARADDR = 0;
    top_->s_axi_control_WDATA = 0;
    top_->s_axi_control_WSTRB = 15;
    in_reset_ = true;
    for (int n = 0; n < 8; ++n) tick();
    top_->ap_rst_n = 1;
    in_reset_ = false;
    context_.assertOn(true);
  }

  // One clock cycle: settle, sample, rising edge. Inputs of the core change after that.
  void tick() {
    top_->ap_clk = 0;
    top_->eval();
    dump_wave();
    control_port_ = control_transfers(*top_);
    interrupt_ = interrupt_level(*top_) && !in_reset_;
    if (!in_reset_) {
      bool active = sample_writes();
      sample_pulses();
      sample_waits();
      active |= memory_.edge(*top_);
      if (active) quiet_since_ = cycle_;
    }
    top_->ap_clk = 1;
    top_->eval();
    dump_wave();
    ++cycle_;
    memory_.drive(top_.get());
    if (order_ != nullptr && !interrupt_ && cycle_ - quiet_since_ > options_.watchdog) {
      throw failure("run %d: no transfer and no activation written for %llu cycles, at cycle %llu; %d of %d sub-batches "
                    "of the first layer and %d of %d array layers done, last burst at 0x%llx",
                    run_, ull(options_.watchdog), ull(cycle_ - start_), int(first_done_), int(order_->first.size()),
                    int(layer_done_), int(order_->layers.size()), ull(memory_.ports[0].last_address));
    }
  }

  void dump_wave() {
#if VM_TRACE
    if (wave_) wave_->dump(context_.time());
    context_.timeInc(1);
#endif
  }

  // Mirrors what this edge writes to the activation memory.
  bool sample_writes() {
    const uint32_t lanes = top_->rootp->bnn_top__DOT__tap_write_lane;
    if (lanes == 0) return false;
    const auto& groups = top_->rootp->bnn_top__DOT__tap_write_group;
    const auto& addresses = top_->rootp->bnn_top__DOT__tap_write_addr;
    const auto& data = top_->rootp->bnn_top__DOT__tap_write_data;
    if (trace_ == nullptr) return true;
    uint32_t mask[WORDS];
    for (int word = 0; word < WORDS; ++word) {
      mask[word] = 0;
      if (GROUP >= 32) {
        mask[word] = bits(groups, word * 32 / GROUP) & 1 ? ~0u : 0;
      } else {
        const uint32_t ones = (1u << (GROUP & 31)) - 1;
        for (int n = 0; n < 32; n += GROUP) {
          if (bits(groups, (word * 32 + n) / GROUP) & 1) mask[word] |= ones << n;
        }
      }
    }
    for (int lane = 0; lane < LANES; ++lane) {
      if (!(lanes >> lane & 1)) continue;
      const uint32_t address = bits(addresses, lane * ADDRESS_BITS) & (ACT_DEPTH - 1);
      uint32_t* target = &mirror_[(size_t(lane) * ACT_DEPTH + address) * WORDS];
      for (int word = 0; word < WORDS; ++word) {
        target[word] = (target[word] & ~mask[word]) | (bits(data, lane * SIMD + word * 32) & mask[word]);
      }
    }
    return true;
  }

  void sample_pulses() {
    if (top_->rootp->bnn_top__DOT__tap_first_done) record("tap_first_done", &Order::first, &first_done_);
    if (top_->rootp->bnn_top__DOT__tap_layer_done) record("tap_layer_done", &Order::layers, &layer_done_);
  }

  // Cycles of a run without a step of the array, by cause (tap_engine of bnn_engine, tap_run of bnn_run).
  void sample_waits() {
    const int run = top_->rootp->bnn_top__DOT__u_run__DOT__tap_run;
    if (run == 0) return;
    switch (top_->rootp->bnn_top__DOT__u_engine__DOT__tap_engine) {
      case 0: ++waits_[run == 1 ? LOAD : SWITCHING]; break;
      case 1: break;
      case 2: ++waits_[WEIGHTS]; break;
      case 3: ++waits_[WRITE_BACK]; break;
      case 4: ++waits_[WAIT_SCORES]; break;
      case 6: ++waits_[FIRST_LAYER]; break;
      default: ++waits_[SWITCHING];
    }
  }

  void record(const char* name, std::vector<Step> Order::*steps, size_t* done) {
    if (order_ == nullptr || *done >= (order_->*steps).size()) {
      throw failure("run %d: pulse %d of %s at cycle %llu, expected %d in this run", run_, int(*done), name,
                    ull(cycle_ - start_), order_ == nullptr ? 0 : int((order_->*steps).size()));
    }
    const Step& step = (order_->*steps)[(*done)++];
    char text[64];
    std::snprintf(text, sizeof text, "%s[%d, %d, %llu]", steps_.empty() ? "" : ", ", step.layer - 1, step.start,
                  ull(cycle_ - start_));
    steps_ += text;
    if (trace_ == nullptr || step.scores) return;
    if (step.base < 0 || step.words < 0 || int64_t(step.base) + step.words > ACT_DEPTH) {
      throw failure("run %d: layer %d writes %d activation words at %d, ACT_DEPTH = %d", run_, step.layer - 1, step.words,
                    step.base, ACT_DEPTH);
    }
    const int32_t head[7] = {run_, step.layer, step.start, step.images, step.first, step.words, int32_t(cycle_ - start_)};
    std::fwrite(head, sizeof head, 1, trace_);
    for (int lane = 0; lane < LANES; ++lane) {
      std::fwrite(&mirror_[(size_t(lane) * ACT_DEPTH + step.base) * WORDS], 4 * WORDS, step.words, trace_);
    }
  }

  void check_pulses(const char* name, size_t got, size_t expected) const {
    if (got != expected) throw failure("run %d: %d pulses of %s, expected %d", run_, int(got), name, int(expected));
  }

  // AXI4-Lite. With stalls, address and data of a write come apart and answers wait.
  bool pause() { return host_.chance(options_.memory.stall); }

  void write(uint32_t offset, uint32_t value, uint64_t* accepted = nullptr) {
    bool address = false, data = false, answered = false;
    top_->s_axi_control_AWADDR = offset;
    top_->s_axi_control_WDATA = value;
    for (int n = 0; !answered; ++n) {
      if (n > 1000) throw failure("s_axi_control: write to 0x%02x is not answered", offset);
      if (!address && !top_->s_axi_control_AWVALID) top_->s_axi_control_AWVALID = !pause();
      if (!data && !top_->s_axi_control_WVALID) top_->s_axi_control_WVALID = !pause();
      top_->s_axi_control_BREADY = !pause();
      tick();
      if (control_port_.aw) top_->s_axi_control_AWVALID = 0;
      if (control_port_.w) top_->s_axi_control_WVALID = 0;
      address |= control_port_.aw;
      data |= control_port_.w;
      if (accepted != nullptr && address && data) {
        *accepted = cycle_;
        accepted = nullptr;
      }
      answered = control_port_.b;
      if (answered && control_port_.response != 0) {
        throw failure("s_axi_control: write to 0x%02x: response %u", offset, control_port_.response);
      }
    }
    top_->s_axi_control_BREADY = 0;
  }

  uint32_t read(uint32_t offset) {
    bool address = false;
    top_->s_axi_control_ARADDR = offset;
    for (int n = 0;; ++n) {
      if (n > 1000) throw failure("s_axi_control: read of 0x%02x is not answered", offset);
      if (!address && !top_->s_axi_control_ARVALID) top_->s_axi_control_ARVALID = !pause();
      top_->s_axi_control_RREADY = !pause();
      tick();
      if (control_port_.ar) top_->s_axi_control_ARVALID = 0;
      address |= control_port_.ar;
      if (!control_port_.r) continue;
      top_->s_axi_control_RREADY = 0;
      if (control_port_.response != 0) {
        throw failure("s_axi_control: read of 0x%02x: response %u", offset, control_port_.response);
      }
      return control_port_.data;
    }
  }

  void write_address(uint32_t offset, uint64_t address) {
    write(offset, uint32_t(address));
    write(offset + 4, uint32_t(address >> 32));
  }

  const Options options_;
  FILE* const trace_;
  VerilatedContext context_;
  std::unique_ptr<Vbnn_top> top_;
#if VM_TRACE
  std::unique_ptr<VerilatedVcdC> wave_;
#endif
  Random host_;
  std::vector<Region> regions_;
  MemoryPorts<AxiMemory> memory_;
  std::vector<uint32_t> mirror_;  // [lane][word of the memory][32 bits]
  const Order* order_ = nullptr;
  std::string steps_;
  size_t first_done_ = 0, layer_done_ = 0;
  uint64_t waits_[CAUSES] = {};
  int run_ = 0;
  uint64_t cycle_ = 0, start_ = 0, quiet_since_ = 0;
  bool in_reset_ = false, interrupt_ = false;
  ControlTransfers control_port_;
};

static std::vector<uint8_t> read_file(const std::string& path) {
  FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) throw failure("%s: cannot be read", path.c_str());
  std::vector<uint8_t> content;
  uint8_t part[65536];
  for (size_t n; (n = std::fread(part, 1, sizeof part, file)) > 0;) content.insert(content.end(), part, part + n);
  std::fclose(file);
  return content;
}

static FILE* open_output(const std::string& path) {
  FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) throw failure("%s: cannot be written", path.c_str());
  return file;
}

static double number(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != 0 || !(value >= 0)) {
    throw failure("%s=%s: is not a number from 0 on", option.c_str(), text.c_str());
  }
  return value;
}

static void simulate(int argc, char** argv) {
  Simulation::Options options;
  std::string scores_path, trace_path;
  std::vector<std::string> words;
  double clock = 100, bandwidth = 1e9, together = 2.1e9;
  for (int n = 1; n < argc; ++n) {
    const std::string word = argv[n];
    if (word.compare(0, 2, "--") != 0) {
      words.push_back(word);
      continue;
    }
    const size_t at = word.find('=');
    const std::string name = word.substr(0, at), value = at == std::string::npos ? "" : word.substr(at + 1);
    if (name == "--scores") scores_path = value;
    else if (name == "--trace") trace_path = value;
    else if (name == "--wave") options.wave = value;
    else if (name == "--clock") clock = number(name, value);
    else if (name == "--bandwidth") bandwidth = number(name, value);
    else if (name == "--together") together = number(name, value);
    else if (name == "--latency") options.memory.latency = int(number(name, value));
    else if (name == "--write-latency") options.memory.write_latency = int(number(name, value));
    else if (name == "--outstanding") options.memory.outstanding = int(number(name, value));
    else if (name == "--stall") options.memory.stall = number(name, value);
    else if (name == "--seed") options.memory.seed = uint64_t(number(name, value));
    else if (name == "--watchdog") options.watchdog = uint64_t(number(name, value));
    else if (name == "--error") {
      char region[16];
      if (std::sscanf(value.c_str(), "%d:%15[a-z]:%" SCNu64 ":%" SCNu64, &options.error_run, region,
                      &options.error_offset, &options.error_bytes) != 4) {
        throw failure("--error=%s: is not RUN:REGION:OFFSET:BYTES", value.c_str());
      }
      options.error_region = region;
    } else {
      throw failure("%s: unknown option", word.c_str());
    }
  }
  if (scores_path.empty() || words.empty() || words.size() % 3 != 0) {
    throw failure("usage: bnn_sim --scores=FILE [--trace=FILE] [OPTION=VALUE ...] PROGRAM IMAGES COUNT ...");
  }
  if (!(clock > 0)) throw failure("--clock=%g: is not positive", clock);
  if (options.memory.stall > 0.95) throw failure("--stall=%g: is more than 0.95", options.memory.stall);
  if (options.memory.outstanding < 1) throw failure("--outstanding=0: is not positive");
  options.memory.bytes_per_cycle = bandwidth / (clock * 1e6);
  options.together = together / (clock * 1e6);
  FILE* trace = trace_path.empty() ? nullptr : open_output(trace_path);
  FILE* out = open_output(scores_path);
  Simulation simulation(options, trace);
  std::string text = "{\"constants\": " + simulation.constants() + ", \"runs\": [";
  for (size_t n = 0; n < words.size(); n += 3) {
    Job job;
    job.program = read_file(words[n]);
    // A part of the program that ends behind the file is refused by the core, not read.
    if (job.record<bnn::H_WORDS>(0)[bnn::H_SIZE] > job.program.size()) {
      for (size_t k = 0; k < 4; ++k) job.program[4 * bnn::H_SIZE + k] = uint8_t(job.program.size() >> 8 * k);
    }
    job.images = read_file(words[n + 1]);
    std::string images = words[n + 2];
    job.keep = images.size() > 1 && images.back() == 'k';
    if (job.keep) images.pop_back();
    job.count = uint32_t(number("COUNT", images));
    std::vector<uint8_t> scores;
    text += (n ? ", " : "") + simulation.run(int(n / 3), job, &scores);
    std::fwrite(scores.data(), 1, scores.size(), out);
  }
  std::printf("%s]}\n", text.c_str());
  const bool bad = std::fclose(out) != 0 || (trace != nullptr && std::fclose(trace) != 0);
  if (bad) throw failure("%s: cannot be written", scores_path.c_str());
}

void serve(int argc, char** argv);  // bnn_board.cpp

int main(int argc, char** argv) {
  try {
    if (argc > 1 && std::string(argv[1]) == "--serve") {
      serve(argc - 2, argv + 2);
    } else {
      simulate(argc, argv);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
