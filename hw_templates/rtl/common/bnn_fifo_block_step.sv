// What bnn_fifo_block does in a cycle: a word goes on to the output register, one is fetched from the memory; and what
// there is then
//
// A module of its own, so that each is one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_fifo_block_step #(
    parameter int unsigned Pops = 1
) (
    input  logic rst_i,
    input  logic push_i,
    input  logic [Pops-1:0] pop_i,
    input  logic some_i,  // in the memory, one alone; behind it; in the output register
    input  logic one_i,
    input  logic read_valid_i,
    input  logic valid_i,
    input  logic full_i,  // read_valid_i and valid_i
    output logic [1:0] fetch_o,  // twice
    output logic some_o,
    output logic read_valid_o,
    output logic valid_o,
    output logic full_o
);
  logic pop;

  assign pop = |pop_i;

  for (genvar i = 0; i < 2; i++) begin : gen_fetch
    bnn_fifo_block_fetch #(
        .Pops(Pops)
    ) u_fetch (
        .some_i,
        .full_i,
        .pop_i,
        .fetch_o(fetch_o[i])
    );
  end

  assign some_o       = ~rst_i & (push_i | (some_i & ~((~full_i | pop) & one_i)));
  assign read_valid_o = ~rst_i & ((some_i & (~full_i | pop)) | (read_valid_i & valid_i & ~pop));
  assign valid_o      = ~rst_i & ((~valid_i | pop) ? read_valid_i : valid_i);
  assign full_o       = ~rst_i & ((~valid_i | pop) ? read_valid_i & some_i : read_valid_i | some_i);
endmodule
