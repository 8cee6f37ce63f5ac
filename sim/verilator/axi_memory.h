// A memory behind an AXI4 port of 64 bits, cycle by cycle, with the checks of a bus monitor.
//
// Reads answer in order, the first beat `latency` cycles after its address, every beat takes
// 8 bytes out of a bucket that fills with `bytes_per_cycle`; written beats take from the same
// bucket. Ports of one memory can share another bucket. With `stall`, every ready and every new
// valid is withheld with that probability.
// What breaks the protocol, and any byte outside of the regions, throws.
#ifndef BNN_AXI_MEMORY_H
#define BNN_AXI_MEMORY_H

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

// An error of one line, as printf writes it.
inline std::runtime_error failure(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return std::runtime_error(text);
}

typedef unsigned long long ull;

// xorshift64*
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL + 1) {}
  bool chance(double probability) { return probability > 0 && next() < probability; }

 private:
  double next() {  // in [0, 1)
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return double(state_ * 0x2545F4914F6CDD1DULL >> 11) / 9007199254740992.0;
  }
  uint64_t state_;
};

// Outputs of the core as a clock edge samples them.
struct FromCore {
  bool arvalid, awvalid, wvalid, wlast, rready, bready;
  uint64_t araddr, awaddr, wdata;
  uint32_t arlen, arsize, arburst, arid, awlen, awsize, awburst, awid, wstrb;
};

// Inputs of the core until the next edge.
struct ToCore {
  bool arready, awready, wready, rvalid, rlast, bvalid;
  uint64_t rdata;
  uint32_t rresp, rid, bresp, bid;
};

struct Region {
  const char* name;
  uint64_t base;
  std::vector<uint8_t> data;
  bool writable;              // else readable
  std::vector<bool> written;  // per byte, of a writable region

  bool holds(uint64_t address, uint64_t bytes) const {
    return address >= base && address - base <= data.size() && bytes <= data.size() - (address - base);
  }
};

// Bytes that can be carried: so many more every cycle, at most 64 when nothing was; 0: without limit.
class Bucket {
 public:
  explicit Bucket(double bytes_per_cycle) : rate_(bytes_per_cycle), bytes_(SIZE) {}

  void fill() { bytes_ = bytes_ + rate_ > SIZE + rate_ ? SIZE + rate_ : bytes_ + rate_; }
  bool holds_beat() const { return rate_ <= 0 || bytes_ >= 8; }
  void take_beat() {
    bytes_ -= 8;
    ++beats;
  }

  uint64_t beats = 0;  // taken

 private:
  static constexpr double SIZE = 64;
  const double rate_;
  double bytes_;
};

class AxiMemory {
 public:
  virtual ~AxiMemory() {}

  struct Config {
    int latency = 40;        // cycles from a read address to its first beat
    int write_latency = 12;  // cycles from the last beat of a write to its response
    int outstanding = 8;     // bursts of reads, and of writes
    double bytes_per_cycle = 0;  // 0: no limit
    double stall = 0;
    uint64_t seed = 1;
  };

  // `name` is that of the port; `shared`, which its owner fills, what it has in common with others, or null.
  AxiMemory(const Config& config, std::vector<Region>* regions, const char* name, Bucket* shared)
      : config_(config),
        regions_(regions),
        name_(name),
        shared_(shared),
        random_(config.seed),
        bucket_(config.bytes_per_cycle) {}

  ToCore to_core = {};
  uint64_t read_beats = 0, write_beats = 0;
  uint64_t last_address = 0;  // of the last burst

  // Answers SLVERR in this range.
  void set_error_range(uint64_t address, uint64_t bytes) {
    error_base_ = address;
    error_bytes_ = bytes;
  }

  bool reads_in_flight() const { return !reads_.empty(); }
  bool writes_in_flight() const { return !writes_.empty() || !data_.empty() || !responses_.empty(); }

  // One rising clock edge: `from` is what it samples, to_core what the core samples. Returns
  // whether anything was transferred.
  bool edge(const FromCore& from) {
    ++now_;
    check_stable(from);
    before_ = from;
    was_ = to_core;
    const bool ar = from.arvalid && to_core.arready, aw = from.awvalid && to_core.awready;
    const bool w = from.wvalid && to_core.wready;
    const bool r = to_core.rvalid && from.rready, b = to_core.bvalid && from.bready;
    if (ar) {
      const Burst burst = accept("read", from.araddr, from.arlen, from.arsize, from.arburst, from.arid);
      reads_.push_back({burst, now_ + config_.latency});
    }
    if (aw) writes_.push_back(accept("write", from.awaddr, from.awlen, from.awsize, from.awburst, from.awid));
    if (w) {
      data_.push_back({from.wdata, from.wstrb, from.wlast});
      reserved_ = false;
      ++write_beats;
    }
    while (!writes_.empty() && !data_.empty()) write();
    if (r) {
      to_core.rvalid = false;
      ++read_beats;
      if (to_core.rlast) reads_.pop_front();
    }
    if (b) {
      to_core.bvalid = false;
      responses_.pop_front();
    }
    drive();
    return ar || aw || w || r || b;
  }

 private:
  struct Burst {
    uint64_t address;
    uint32_t beats, id;
    bool error;
  };
  struct Read {
    Burst burst;
    uint64_t due;
  };
  struct Data {
    uint64_t data;
    uint32_t strobes;
    bool last;
  };
  struct Response {
    uint32_t id, code;
    uint64_t due;
  };

  // A valid signal stays, with its address or data, until the ready signal comes.
  void check_stable(const FromCore& from) const {
    if (before_.arvalid && !was_.arready &&
        (!from.arvalid || from.araddr != before_.araddr || from.arlen != before_.arlen)) {
      throw failure("%s: the read address 0x%llx changed before ARREADY", name_, ull(before_.araddr));
    }
    if (before_.awvalid && !was_.awready &&
        (!from.awvalid || from.awaddr != before_.awaddr || from.awlen != before_.awlen)) {
      throw failure("%s: the write address 0x%llx changed before AWREADY", name_, ull(before_.awaddr));
    }
    if (before_.wvalid && !was_.wready &&
        (!from.wvalid || from.wdata != before_.wdata || from.wstrb != before_.wstrb || from.wlast != before_.wlast)) {
      throw failure("%s: the write data 0x%llx changed before WREADY", name_, ull(before_.wdata));
    }
  }

  Burst accept(const char* what, uint64_t address, uint32_t length, uint32_t size, uint32_t type, uint32_t id) {
    const uint32_t beats = length + 1;
    last_address = address;
    if (size != 3 || type != 1) {
      throw failure("%s: %s at 0x%llx has size %u and burst type %u, expected 3 (8 bytes) and 1 (INCR)", name_, what,
                    ull(address), size, type);
    }
    if (address % 8 != 0) throw failure("%s: %s at 0x%llx is not aligned to 8 bytes", name_, what, ull(address));
    if (address / 4096 != (address + 8 * beats - 1) / 4096) {
      throw failure("%s: %s of %u beats at 0x%llx crosses a 4 KiB boundary", name_, what, beats, ull(address));
    }
    return {address, beats, id, false};
  }

  Region* find(uint64_t address, uint64_t bytes, bool writable) {
    for (Region& region : *regions_) {
      if (region.writable == writable && region.holds(address, bytes)) return &region;
    }
    return nullptr;
  }

  virtual bool in_error_range(uint64_t address) const {
    return address + 8 > error_base_ && address < error_base_ + error_bytes_;
  }

  virtual uint64_t load(uint64_t address) {
    const Region* region = find(address, 8, false);
    if (region == nullptr) {
      throw failure("%s: read of 8 bytes at 0x%llx, outside of the program and the images", name_, ull(address));
    }
    uint64_t value = 0;
    for (int n = 7; n >= 0; --n) value = value << 8 | region->data[address - region->base + n];
    return value;
  }

  virtual void store(uint64_t address, uint8_t value, bool error) {
    Region* region = find(address, 1, true);
    if (region == nullptr) {
      throw failure("%s: write of a byte at 0x%llx, outside of the scores", name_, ull(address));
    }
    if (error) return;
    region->data[address - region->base] = value;
    region->written[address - region->base] = true;
  }

  void write() {
    Burst& burst = writes_.front();
    const Data beat = data_.front();
    data_.pop_front();
    const bool error = in_error_range(burst.address);
    for (int n = 0; n < 8; ++n) {
      if (!(beat.strobes >> n & 1)) continue;
      store(burst.address + n, beat.data >> (8 * n) & 0xFF, error);
    }
    burst.error |= error;
    burst.address += 8;
    --burst.beats;
    if (beat.last != (burst.beats == 0)) {
      throw failure("%s: WLAST is %d in the beat at 0x%llx, with %u beats to follow", name_, beat.last,
                    ull(burst.address - 8), burst.beats);
    }
    if (burst.beats == 0) {
      responses_.push_back({burst.id, burst.error ? 2u : 0u, now_ + config_.write_latency});
      writes_.pop_front();
    }
  }

  bool go() { return !random_.chance(config_.stall); }

  bool take() {
    if (!bucket_.holds_beat() || (shared_ != nullptr && !shared_->holds_beat())) return false;
    bucket_.take_beat();
    if (shared_ != nullptr) shared_->take_beat();
    return true;
  }

  // Sets to_core for the next edge.
  void drive() {
    bucket_.fill();
    const bool more = !reads_.empty() && reads_.front().due <= now_ + 1 && !to_core.rvalid;
    if (!more || !read_turn_) reserve();
    if (more && go() && take()) {
      Read& read = reads_.front();
      to_core.rvalid = true;
      to_core.rdata = load(read.burst.address);
      to_core.rresp = in_error_range(read.burst.address) ? 2 : 0;
      to_core.rid = read.burst.id;
      to_core.rlast = read.burst.beats == 1;
      read.burst.address += 8;
      --read.burst.beats;
      read_turn_ = false;
    }
    reserve();
    to_core.wready = reserved_ && data_.size() < 16 && go();
    to_core.arready = reads_.size() < size_t(config_.outstanding) && go();
    to_core.awready = writes_.size() + responses_.size() < size_t(config_.outstanding) && go();
    if (!to_core.bvalid && !responses_.empty() && responses_.front().due <= now_ + 1 && go()) {
      to_core.bvalid = true;
      to_core.bresp = responses_.front().code;
      to_core.bid = responses_.front().id;
    }
  }

  // Sets aside the bytes of the next beat to be written.
  void reserve() {
    if (reserved_ || !take()) return;
    reserved_ = true;
    read_turn_ = true;
  }

  const Config config_;
  std::vector<Region>* const regions_;
  const char* const name_;
  Bucket* const shared_;
  Random random_;
  Bucket bucket_;
  bool reserved_ = false, read_turn_ = false;
  uint64_t now_ = 0;
  uint64_t error_base_ = 0, error_bytes_ = 0;
  std::deque<Read> reads_;
  std::deque<Burst> writes_;
  std::deque<Data> data_;
  std::deque<Response> responses_;
  FromCore before_ = {};
  ToCore was_ = {};
};

#endif
