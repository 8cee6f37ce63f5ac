// Write port of the activation memory: the array's writes, and the first layer's between them.
//
// Both write the lanes of their lane mask at one address; the array has Simd bits for every lane, of which it writes
// groups, the first layer the same Simd bits for all even lanes, and for all odd ones those above. array_next_i is high
// in the cycle before one in which the array writes, or the vector unit reads (array_read_i), first_wait_o high in that
// one: a write of the first layer waits, as it knows by array_next_i too. Every lane has its own registers, so that no net spans the memory.
//
// Layout: outputs per lane, see bnn_act_mem. Latency: 2 cycles.
module bnn_act_write #(
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned AddrBits = 10,
    parameter int unsigned GroupBits = 4,
    localparam int unsigned Groups = Simd / GroupBits
) (
    input  logic                      clk_i,
    input  logic                      array_next_i,
    input  logic                      array_read_i,  // the port reads at array_addr_i
    input  logic [Lanes-1:0]          array_lane_i,
    input  logic [Groups-1:0]         array_group_i,
    input  logic [AddrBits-1:0]       array_addr_i,
    input  logic [Lanes*Simd-1:0]     array_data_i,
    input  logic                      first_valid_i,
    output logic                      first_wait_o,
    input  logic [Lanes-1:0]          first_lane_i,
    input  logic [AddrBits-1:0]       first_addr_i,
    input  logic [2*Simd-1:0]         first_data_i,
    output logic [Lanes-1:0]          write_lane_o,
    output logic [Lanes*Groups-1:0]   write_group_o,
    output logic [Lanes*AddrBits-1:0] write_addr_o,
    output logic [Lanes*Simd-1:0]     write_data_o,
    output logic [Lanes-1:0]          read_o
);
  logic wait_q;

  always_ff @(posedge clk_i) wait_q <= array_next_i;
  assign first_wait_o = wait_q;

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    bnn_act_write_lane #(
        .Simd    (Simd),
        .AddrBits(AddrBits),
        .Groups  (Groups)
    ) u_lane (
        .clk_i,
        .array_next_i,
        .array_enable_i(array_lane_i[l]),
        .array_read_i,
        .array_group_i,
        .array_addr_i,
        .array_data_i  (array_data_i[l*Simd+:Simd]),
        .first_enable_i(first_valid_i & first_lane_i[l]),
        .first_addr_i,
        .first_data_i  (first_data_i[l%2*Simd+:Simd]),
        .enable_o      (write_lane_o[l]),
        .group_o       (write_group_o[l*Groups+:Groups]),
        .addr_o        (write_addr_o[l*AddrBits+:AddrBits]),
        .data_o        (write_data_o[l*Simd+:Simd]),
        .read_o        (read_o[l])
    );
  end

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking

  write_announced: assert property (array_lane_i != '0 || array_read_i |-> wait_q)
      else $error("array_lane_i = %b without array_next_i before it", array_lane_i);
`endif
endmodule
