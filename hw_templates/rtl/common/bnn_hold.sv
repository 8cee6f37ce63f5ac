// A register with an enable that stays one of its own, as bnn_register
//
// Latency: 1 cycle.
(* keep_hierarchy = "yes" *)
module bnn_hold (
    input  logic clk_i,
    input  logic enable_i,
    input  logic data_i,
    output logic data_o
);
  (* keep = "true" *) logic data_q;

  always_ff @(posedge clk_i) if (enable_i) data_q <= data_i;

  assign data_o = data_q;
endmodule
