// Whether the step at hand of bnn_sequencer makes room, or there is none
//
// A module of its own, for a part of the next step's registers. No registers.
(* keep_hierarchy = "yes" *)
module bnn_sequencer_move (
    input  logic valid_i,
    input  logic hold_i,
    input  logic ready_i,
    input  logic wait_i,
    output logic move_o
);
  assign move_o = ~valid_i | (ready_i & ~(wait_i & hold_i));
endmodule
