// The sum of two numbers, in a register and with carries of its own: equal sums of a module are merged, instances of
// this one are not, so each drives a part of the loads, from the slice that adds.
//
// Latency: 1 cycle.
(* keep_hierarchy = "yes" *)
module bnn_sum
  import bnn_add_pkg::add;
#(
    parameter int unsigned Bits = 8
) (
    input  logic            clk_i,
    input  logic [Bits-1:0] a_i,
    input  logic [Bits-1:0] b_i,
    output logic [Bits-1:0] sum_o
);
  (* keep = "true" *) logic [Bits-1:0] sum_q;

  always_ff @(posedge clk_i) sum_q <= Bits'(add(32'(a_i), 32'(b_i)));

  assign sum_o = sum_q;
endmodule
