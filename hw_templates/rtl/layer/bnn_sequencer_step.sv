// Whether the next step of bnn_sequencer is taken, and what follows it
//
// Apart from what hangs on that, so that each of these is one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_sequencer_step (
    input  logic valid_i,  // there is a step, twice
    input  logic valid_room_i,
    input  logic hold_i,  // it waits for wait_i
    input  logic ready_i,
    input  logic wait_i,
    input  logic second_valid_i,  // a step waits behind it, or comes
    input  logic inner_valid_i,
    output logic take_o,
    output logic second_o  // a step waits behind it then
);
  assign take_o   = valid_i & ready_i & ~(wait_i & hold_i);
  assign second_o = valid_room_i & ~(ready_i & ~(wait_i & hold_i)) & (second_valid_i | inner_valid_i);
endmodule
