// Whether a queue has a word, and is full, after a cycle with push_i and pop_i
//
// Apart from the comparisons of its places, so that each of these is one LUT of what comes late. No registers.
(* keep_hierarchy = "yes" *)
module bnn_fifo_step (
    input  logic rst_i,
    input  logic push_i,
    input  logic pop_i,
    input  logic valid_i,
    input  logic full_i,
    input  logic one_i,  // there is one word; room for one
    input  logic one_left_i,
    output logic valid_o,
    output logic full_o
);
  assign valid_o = ~rst_i & ((push_i & ~full_i) | (valid_i & ~(pop_i & one_i)));
  assign full_o  = ~rst_i & ~pop_i & (full_i | (push_i & one_left_i));
endmodule
