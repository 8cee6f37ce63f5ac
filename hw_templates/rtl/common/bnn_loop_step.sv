// Whether a loop goes on: what enables some bits of its counters. A module of its own, so that it is made from its inputs
// alone. No registers.
(* keep_hierarchy = "yes" *)
module bnn_loop_step #(
    parameter int unsigned Gates = 1
) (
    input  logic [Gates-1:0] go_i,
    output logic             step_o
);
  assign step_o = &go_i;
endmodule
