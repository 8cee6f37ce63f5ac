// A register that synthesis does not join with equal ones: several of them share the loads.
//
// Latency: one cycle.
(* keep_hierarchy = "yes" *)
module bnn_relay #(
    parameter int unsigned Bits = 1
) (
    input  logic            clk_i,
    input  logic [Bits-1:0] data_i,
    output logic [Bits-1:0] data_o
);
  logic [Bits-1:0] data_q;

  always_ff @(posedge clk_i) data_q <= data_i;

  assign data_o = data_q;
endmodule
