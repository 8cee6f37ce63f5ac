// Whether a word of values leaves the queue: only its bits are taken, or it is given and taken
//
// A module of its own, so that this is one LUT: taken_i comes late, and it has many loads. No registers.
(* keep_hierarchy = "yes" *)
module bnn_first_pop (
    input  logic       some_i,
    input  logic       bits_only_i,
    input  logic       given_i,
    input  logic [1:0] taken_i,
    output logic       pop_o
);
  assign pop_o = some_i & (bits_only_i | (given_i & (&taken_i)));
endmodule
