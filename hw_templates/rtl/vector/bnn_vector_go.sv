// Whether a turn of the values' part of bnn_vector is done
//
// Apart from bnn_vector_step, so that this is one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_vector_go (
    input  logic run_i,
    input  logic score_wait_i,  // the turn waits for the scores of the channel before
    input  logic score_over_i,
    input  logic port_i,  // a result takes the port
    input  logic port_wait_i,  // the turn needs it
    input  logic with_i,  // only with this
    output logic go_o
);
  assign go_o = with_i & run_i & ~(score_wait_i & ~score_over_i) & ~(port_i & port_wait_i);
endmodule
