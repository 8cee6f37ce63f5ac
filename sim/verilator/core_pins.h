// What the ports of bnn_top carry in one clock cycle, for the programs around the Verilated core.
#ifndef CORE_PINS_H_
#define CORE_PINS_H_

#include <cstdint>

#include "Vbnn_top.h"
#include "axi_memory.h"

inline FromCore from_core(const Vbnn_top& top) {
  FromCore from;
  from.arvalid = top.m_axi_gmem_ARVALID;
  from.araddr = top.m_axi_gmem_ARADDR;
  from.arlen = top.m_axi_gmem_ARLEN;
  from.arid = top.m_axi_gmem_ARID;
  from.arsize = top.m_axi_gmem_ARSIZE;
  from.arburst = top.m_axi_gmem_ARBURST;
  from.rready = top.m_axi_gmem_RREADY;
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

inline void to_core(const ToCore& to, Vbnn_top* top) {
  top->m_axi_gmem_ARREADY = to.arready;
  top->m_axi_gmem_RVALID = to.rvalid;
  top->m_axi_gmem_RDATA = to.rdata;
  top->m_axi_gmem_RRESP = to.rresp;
  top->m_axi_gmem_RLAST = to.rlast;
  top->m_axi_gmem_RID = to.rid;
  top->m_axi_gmem_AWREADY = to.awready;
  top->m_axi_gmem_WREADY = to.wready;
  top->m_axi_gmem_BVALID = to.bvalid;
  top->m_axi_gmem_BRESP = to.bresp;
  top->m_axi_gmem_BID = to.bid;
}

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
