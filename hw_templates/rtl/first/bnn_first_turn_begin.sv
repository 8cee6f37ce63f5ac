// Whether bnn_first_turn begins a sub-batch
//
// A module of its own, for what has many loads and for what is made of it. No registers.
(* keep_hierarchy = "yes" *)
module bnn_first_turn_begin (
    input  logic some_i,
    input  logic settled_i,
    input  logic left_some_i,
    input  logic ahead_i,
    output logic begin_o
);
  assign begin_o = ~some_i & settled_i & left_some_i & ~ahead_i;
endmodule
