// Whether a part of bnn_fifo_block's output register takes a word: there is none, or it leaves
//
// A module of its own, so that it stays one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_fifo_block_take #(
    parameter int unsigned Pops = 1
) (
    input  logic            valid_i,
    input  logic [Pops-1:0] pop_i,
    output logic            take_o
);
  assign take_o = ~valid_i | (|pop_i);
endmodule
