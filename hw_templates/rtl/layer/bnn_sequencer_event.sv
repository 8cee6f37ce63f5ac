// Whether a step of bnn_sequencer is taken that ends something, or a layer begins
//
// From registers alone, so that it is one LUT, where bnn_sequencer_step would be another.
//
// Latency: 1 cycle, from a register that stays one of its own, as bnn_register.
(* keep_hierarchy = "yes" *)
module bnn_sequencer_event (
    input  logic clk_i,
    input  logic start_i,
    input  logic valid_i,
    input  logic hold_i,
    input  logic ready_i,
    input  logic wait_i,
    input  logic end_i,  // the step does
    output logic event_o
);
  (* keep = "true" *) logic event_q;

  always_ff @(posedge clk_i) event_q <= start_i | (valid_i & ready_i & ~(wait_i & hold_i) & end_i);

  assign event_o = event_q;
endmodule
