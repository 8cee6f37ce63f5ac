// What the ports of bnn_top carry in one clock cycle, for the programs around the Verilated core.
#ifndef CORE_PINS_H_
#define CORE_PINS_H_

#include <cstdint>
#include <deque>

#include "Vbnn_top.h"
#include "axi_memory.h"

// Memory ports: the first has all signals, the second those of reads.
static const int PORTS = BNN_PORTS;
static const char* const PORT_NAMES[] = {"m_axi_gmem", "m_axi_gmem1"};

// Signals of reads, those of every port.
#define READS_FROM_CORE(from, top, name)\
  from.arvalid = top.name##_ARVALID;    \
  from.araddr = top.name##_ARADDR;      \
  from.arlen = top.name##_ARLEN;        \
  from.arid = top.name##_ARID;          \
  from.arsize = top.name##_ARSIZE;      \
  from.arburst = top.name##_ARBURST;    \
  from.rready = top.name##_RREADY
#define READS_TO_CORE(to, top, name)    \
  top->name##_ARREADY = to.arready;     \
  top->name##_RVALID = to.rvalid;       \
  top->name##_RDATA = to.rdata;         \
  top->name##_RRESP = to.rresp;         \
  top->name##_RLAST = to.rlast;         \
  top->name##_RID = to.rid

inline FromCore from_core(const Vbnn_top& top, int port) {
  FromCore from = {};
  if (port == 1) {
    READS_FROM_CORE(from, top, m_axi_gmem1);
    return from;
  }
  READS_FROM_CORE(from, top, m_axi_gmem);
  from.awvalid = top.m_axi_gmem_AWVALID;
  from.awaddr = top.m_axi_gmem_AWADDR;
  from.awlen = top.m_axi_gmem_AWLEN;
  from.awid = top.m_axi_gmem_AWID;
  from.awsize = top.m_axi_gmem_AWSIZE;
  from.awburst = top.m_axi_gmem_AWBURST;
  from.wvalid = top.m_axi_gmem_WVALID;
  from.wdata = top.m_axi_gmem_WDATA;
  from.wstrb = top.m_axi_gmem_WSTRB;
  from.wlast = top.m_axi_gmem_WLAST;
  from.bready = top.m_axi_gmem_BREADY;
  return from;
}

inline void to_core(const ToCore& to, Vbnn_top* top, int port) {
  if (port == 1) {
    READS_TO_CORE(to, top, m_axi_gmem1);
    return;
  }
  READS_TO_CORE(to, top, m_axi_gmem);
  top->m_axi_gmem_AWREADY = to.awready;
  top->m_axi_gmem_WREADY = to.wready;
  top->m_axi_gmem_BVALID = to.bvalid;
  top->m_axi_gmem_BRESP = to.bresp;
  top->m_axi_gmem_BID = to.bid;
}

#undef READS_FROM_CORE
#undef READS_TO_CORE

// The core's ports on one memory; two have a limit together: the one that has taken a beat lets the other go first.
// Port is an AxiMemory.
template <class Port>
class MemoryPorts {
 public:
  // `together`: bytes per cycle through two ports, 0 without limit; `arguments`: more of Port's, behind the config.
  template <class... Arguments>
  MemoryPorts(AxiMemory::Config config, double together, Arguments... arguments) : shared_(together) {
    for (int port = 0; port < PORTS; ++port) {
      ports.emplace_back(config, arguments..., PORT_NAMES[port], PORTS > 1 ? &shared_ : nullptr);
      config.seed += 1000;
    }
  }

  // One rising clock edge, at which `top` has the values before it. Returns whether anything was transferred.
  bool edge(const Vbnn_top& top) {
    bool active = false;
    shared_.fill();
    const int first = first_;
    for (int n = 0; n < PORTS; ++n) {
      const int port = (first + n) % PORTS;
      const uint64_t before = shared_.beats;
      active |= ports[port].edge(from_core(top, port));
      if (shared_.beats != before) first_ = (port + 1) % PORTS;
    }
    return active;
  }

  // Sets the core's inputs after an edge.
  void drive(Vbnn_top* top) const {
    for (int port = 0; port < PORTS; ++port) to_core(ports[port].to_core, top, port);
  }

  std::deque<Port> ports;

 private:
  Bucket shared_;
  int first_ = 0;
};

// Transfers on the register port, sampled before the clock edge.
struct ControlTransfers {
  bool aw = false, w = false, b = false, ar = false, r = false;
  uint32_t data = 0, response = 0;
};

inline ControlTransfers control_transfers(const Vbnn_top& top) {
  ControlTransfers done;
  done.aw = top.s_axi_control_AWVALID && top.s_axi_control_AWREADY;
  done.w = top.s_axi_control_WVALID && top.s_axi_control_WREADY;
  done.b = top.s_axi_control_BVALID && top.s_axi_control_BREADY;
  done.ar = top.s_axi_control_ARVALID && top.s_axi_control_ARREADY;
  done.r = top.s_axi_control_RVALID && top.s_axi_control_RREADY;
  done.data = top.s_axi_control_RDATA;
  done.response = done.b ? top.s_axi_control_BRESP : done.r ? top.s_axi_control_RRESP : 0;
  return done;
}

// Verilator renames a port that could be a word of C++.
inline bool interrupt_level(const Vbnn_top& top) { return top.__SYM__interrupt; }

#endif  // CORE_PINS_H_
