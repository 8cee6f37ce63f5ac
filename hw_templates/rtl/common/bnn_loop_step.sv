// Whether a loop goes on or begins again: what enables its counters, or resets them
//
// Latency: none. A module of its own, so that it is made from its inputs alone.
(* keep_hierarchy = "yes" *)
module bnn_loop_step #(
    parameter int unsigned Gates = 1
) (
    input  logic             restart_i,
    input  logic [Gates-1:0] go_i,
    output logic             step_o
);
  assign step_o = restart_i | (&go_i);
endmodule
