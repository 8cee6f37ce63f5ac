// Whether bnn_fifo_block reads a word from its memory: one LUT
//
// A module of its own, so that it can be there twice. No registers.
(* keep_hierarchy = "yes" *)
module bnn_fifo_block_fetch #(
    parameter int unsigned Pops = 1
) (
    input  logic            some_i,
    input  logic            full_i,
    input  logic [Pops-1:0] pop_i,
    output logic            fetch_o
);
  assign fetch_o = some_i & (~full_i | (|pop_i));
endmodule
