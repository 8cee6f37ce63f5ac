// Whether a channel's first turn is next in the values' part of bnn_vector
//
// None is at work, or its last turn is done. Apart from bnn_vector_go, so that this is one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_vector_clear (
    input  logic run_i,
    input  logic score_wait_i,
    input  logic score_over_i,
    input  logic port_i,
    input  logic port_wait_i,
    input  logic turn_last_i,
    output logic channel_clear_o
);
  assign channel_clear_o = ~run_i | (turn_last_i & ~(score_wait_i & ~score_over_i) & ~(port_i & port_wait_i));
endmodule
