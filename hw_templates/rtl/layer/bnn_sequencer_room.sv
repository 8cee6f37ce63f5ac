// Whether bnn_sequencer has room for one more step: none waits behind the next one then
//
// Apart from bnn_sequencer_step, of whose second_o it is the inverse, so that it is one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_sequencer_room (
    input  logic valid_i,
    input  logic hold_i,
    input  logic ready_i,
    input  logic wait_i,
    input  logic second_valid_i,
    input  logic inner_valid_i,
    output logic room_o
);
  assign room_o = ~(valid_i & ~(ready_i & ~(wait_i & hold_i)) & (second_valid_i | inner_valid_i));
endmodule
