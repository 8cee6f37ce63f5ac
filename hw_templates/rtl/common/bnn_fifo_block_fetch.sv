// Whether bnn_fifo_block reads a word from its memory: one LUT
//
// A module of its own, so that it can be there twice. No registers.
(* keep_hierarchy = "yes" *)
module bnn_fifo_block_fetch (
    input  logic some_i,
    input  logic full_i,
    input  logic pop_i,
    output logic fetch_o
);
  assign fetch_o = some_i & (~full_i | pop_i);
endmodule
