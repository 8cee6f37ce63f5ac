// The Verilated core as a server of its registers: bnn_sim --serve FD BYTES [OPTION=VALUE ...]
//
// FD is a file of BYTES bytes that this process maps as the memory at address 0; an access beyond it is
// answered with SLVERR. Requests come on the standard input, twelve bytes each: three little-endian
// words, operation (0 read, 1 write), offset of the register, value. The answer on the standard
// output is two words: the value read, and the level of the interrupt in bit 0, whether a run may be
// under way in bit 1. The clock runs during accesses and while the core works, so that the simulation
// rests when the core does. It ends with the standard input. Options: --clock=MHZ, --bandwidth=BYTES
// per second, --latency=CYCLES, as those of bnn_sim.
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "Vbnn_top.h"
#include "axi_memory.h"
#include "bnn_contract.h"
#include "core_pins.h"
#include "verilated.h"

namespace {

const uint32_t START = bnn::mask(bnn::REG_START), DONE = bnn::mask(bnn::REG_DONE);
const uint32_t IDLE = bnn::mask(bnn::REG_IDLE), READY = bnn::mask(bnn::REG_READY);
const int CYCLES_PER_POLL = 256;   // between looks at the standard input
const int CYCLES_PER_LOOK = 1024;  // between looks at whether the core is idle

// A flat memory, readable and writable everywhere.
class FlatMemory : public AxiMemory {
 public:
  FlatMemory(const Config& config, uint8_t* content, uint64_t bytes, const char* name, Bucket* shared)
      : AxiMemory(config, &none_, name, shared), content_(content), bytes_(bytes) {}

 private:
  bool in_error_range(uint64_t address) const override { return address >= bytes_ || bytes_ - address < 8; }

  uint64_t load(uint64_t address) override {
    uint64_t value = 0;
    if (!in_error_range(address)) std::memcpy(&value, content_ + address, 8);
    return value;
  }

  void store(uint64_t address, uint8_t value, bool error) override {
    if (!error) content_[address] = value;
  }

  std::vector<Region> none_;
  uint8_t* const content_;
  const uint64_t bytes_;
};

class Server {
 public:
  Server(const AxiMemory::Config& config, uint8_t* content, uint64_t bytes) : memory_(config, 0, content, bytes) {
    context_.randReset(2);
    context_.randSeed(1);
    context_.assertOn(false);  // until the registers have been reset
    top_.reset(new Vbnn_top(&context_));
    top_->ap_rst_n = 0;
    top_->s_axi_control_AWVALID = top_->s_axi_control_WVALID = top_->s_axi_control_BREADY = 0;
    top_->s_axi_control_ARVALID = top_->s_axi_control_RREADY = 0;
    top_->s_axi_control_WSTRB = 15;
    in_reset_ = true;
    for (int n = 0; n < 8; ++n) tick();
    top_->ap_rst_n = 1;
    in_reset_ = false;
    context_.assertOn(true);
  }

  ~Server() { top_->final(); }

  void run() {
    for (;;) {
      pollfd input = {STDIN_FILENO, POLLIN, 0};
      const int ready = poll(&input, 1, running_ ? 0 : -1);
      if (ready < 0 && errno != EINTR) throw failure("standard input: %s", std::strerror(errno));
      if (ready > 0 && !serve()) return;
      for (int n = 0; running_ && n < CYCLES_PER_POLL; ++n) tick();
      if (running_ && cycle_ - looked_ > CYCLES_PER_LOOK) look();
    }
  }

 private:
  // One request; false at the end of the input.
  bool serve() {
    uint32_t request[3];
    if (!transfer(STDIN_FILENO, request, sizeof request)) return false;
    uint32_t answer[2] = {0, 0};
    const uint32_t offset = request[1] & 0xFC;
    if (request[0] == 1) {
      write(offset, request[2]);
      if (offset == bnn::REG_CONTROL && (request[2] & START)) running_ = true;
    } else if (offset == bnn::REG_CONTROL) {
      look();
      answer[0] = control_ | sticky_;
      sticky_ = 0;
    } else {
      answer[0] = read(offset);
    }
    answer[1] = uint32_t(interrupt_) | uint32_t(running_) << 1;
    if (!transfer(STDOUT_FILENO, answer, sizeof answer)) return false;
    return true;
  }

  // Reads the control register and keeps the bits that reading clears for the client.
  void look() {
    control_ = read(bnn::REG_CONTROL);
    sticky_ |= control_ & (DONE | READY);
    looked_ = cycle_;
    if ((control_ & IDLE) && !(control_ & START)) running_ = false;
  }

  static bool transfer(int file, void* data, size_t size) {
    char* at = static_cast<char*>(data);
    while (size > 0) {
      const ssize_t n = file == STDIN_FILENO ? ::read(file, at, size) : ::write(file, at, size);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      at += n;
      size -= size_t(n);
    }
    return true;
  }

  void tick() {
    top_->ap_clk = 0;
    top_->eval();
    control_port_ = control_transfers(*top_);
    interrupt_ = interrupt_level(*top_) && !in_reset_;
    if (!in_reset_) memory_.edge(*top_);
    top_->ap_clk = 1;
    top_->eval();
    ++cycle_;
    memory_.drive(top_.get());
  }

  void write(uint32_t offset, uint32_t value) {
    top_->s_axi_control_AWADDR = offset;
    top_->s_axi_control_WDATA = value;
    top_->s_axi_control_AWVALID = top_->s_axi_control_WVALID = top_->s_axi_control_BREADY = 1;
    for (int n = 0; n < 1000; ++n) {
      tick();
      if (control_port_.aw) top_->s_axi_control_AWVALID = 0;
      if (control_port_.w) top_->s_axi_control_WVALID = 0;
      if (!control_port_.b) continue;
      top_->s_axi_control_BREADY = 0;
      return;
    }
    throw failure("s_axi_control: write to 0x%02x is not answered", offset);
  }

  uint32_t read(uint32_t offset) {
    top_->s_axi_control_ARADDR = offset;
    top_->s_axi_control_ARVALID = top_->s_axi_control_RREADY = 1;
    for (int n = 0; n < 1000; ++n) {
      tick();
      if (control_port_.ar) top_->s_axi_control_ARVALID = 0;
      if (!control_port_.r) continue;
      top_->s_axi_control_RREADY = 0;
      return control_port_.data;
    }
    throw failure("s_axi_control: read of 0x%02x is not answered", offset);
  }

  VerilatedContext context_;
  std::unique_ptr<Vbnn_top> top_;
  MemoryPorts<FlatMemory> memory_;
  uint64_t cycle_ = 0, looked_ = 0;
  uint32_t control_ = 0, sticky_ = 0;
  bool in_reset_ = false, running_ = false, interrupt_ = false;
  ControlTransfers control_port_;
};

}  // namespace

void serve(int argc, char** argv) {
  if (argc < 2) throw failure("usage: bnn_sim --serve FD BYTES [OPTION=VALUE ...]");
  const int file = std::atoi(argv[0]);
  const uint64_t bytes = std::strtoull(argv[1], nullptr, 10);
  double clock = 100, bandwidth = 1e9;
  AxiMemory::Config config;
  for (int n = 2; n < argc; ++n) {
    double value = 0;
    if (std::sscanf(argv[n], "--clock=%lf", &value) == 1 && value > 0) clock = value;
    else if (std::sscanf(argv[n], "--bandwidth=%lf", &value) == 1 && value >= 0) bandwidth = value;
    else if (std::sscanf(argv[n], "--latency=%lf", &value) == 1 && value >= 0) config.latency = int(value);
    else throw failure("%s: unknown option or value", argv[n]);
  }
  config.bytes_per_cycle = bandwidth / (clock * 1e6);
  void* content = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (content == MAP_FAILED) throw failure("memory of %llu bytes: %s", ull(bytes), std::strerror(errno));
  Server(config, static_cast<uint8_t*>(content), bytes).run();
}
