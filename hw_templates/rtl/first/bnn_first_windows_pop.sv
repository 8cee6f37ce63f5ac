// Whether bnn_first_windows takes a column
//
// A module of its own, so that it stays one LUT of its inputs: it has many loads. No registers.
(* keep_hierarchy = "yes" *)
module bnn_first_windows_pop (
    input  logic valid_i,
    input  logic busy_i,
    input  logic last_i,  // window, with room for its sum, of the last group
    input  logic room_i,
    input  logic group_last_i,
    output logic pop_o
);
  assign pop_o = valid_i & (~busy_i | (last_i & room_i & group_last_i));
endmodule
