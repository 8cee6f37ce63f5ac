// A register that stays one of its own: equal registers of a module are merged, instances of this
// one are not, so each drives a part of the loads. KEEP and KEEP_HIERARCHY (UG901) bind synthesis only;
// DONT_TOUCH would also keep physical optimisation from moving and replicating the register.
//
// Latency: 1 cycle.
(* keep_hierarchy = "yes" *)
module bnn_register #(
    parameter int unsigned Bits = 1
) (
    input  logic            clk_i,
    input  logic [Bits-1:0] data_i,
    output logic [Bits-1:0] data_o
);
  (* keep = "true" *) logic [Bits-1:0] data_q;

  always_ff @(posedge clk_i) data_q <= data_i;

  assign data_o = data_q;
endmodule
