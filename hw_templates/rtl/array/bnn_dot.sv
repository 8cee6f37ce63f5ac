// One accumulator of matching bits, less the threshold.
//
//   acc = sum over the words from the first on of popcount(weight xnor act) - threshold_i
//
// The operands come with the parities of bnn_parity. Full adders over three matches then need
// their carry only, one LUT6 each: Simd matches become Simd/2 carries of weight 2 and one
// parity. A cycle with count_clear_i adds nothing. shift_i loads chain_i instead, the neighbour's
// accumulator, so that a row of them can be read out; shift_i comes without valid words.
//
// count_clear_i, acc_first_i and the parities of all positions of both operands come with the
// count, 3 + clog2(leaves of bnn_count) cycles after the operands; acc_o has the sum 2 cycles
// after that, and the neighbour's 2 cycles after shift_i.
(* keep_hierarchy = "yes" *)
module bnn_dot #(
    parameter int unsigned Simd = 64,
    parameter int unsigned SumBits = 17,
    parameter int unsigned Nodes = 3 * Simd / 2 - 1
) (
    input  logic               clk_i,
    input  logic [Nodes-1:0]   weight_i,
    input  logic [Nodes-1:0]   act_i,
    input  logic               parity_weight_i,
    input  logic               parity_act_i,
    input  logic               count_clear_i,  // no word
    input  logic               acc_first_i,
    input  logic               shift_i,
    input  logic [SumBits-2:0] threshold_i,
    input  logic [SumBits-1:0] chain_i,
    output logic [SumBits-1:0] acc_o
);
  /* verilator no_inline_module */
  localparam int unsigned Carries = Simd / 2;
  localparam int unsigned CountBits = $clog2(Carries + 1);

  logic [Nodes-1:0] match;  // of the word's bits, then sum bits of the full adders
  logic [Carries-1:0] carry, carry_q;
  logic [CountBits-1:0] count;
  logic [CountBits:0] count_q;
  logic [1:0] first, shift;  // of the low bits and of the high ones
  logic [SumBits-1:0] acc_q, minus, added;
  logic unused_carry;

  assign match = weight_i ~^ act_i;

  for (genvar i = 0; i < Carries - 1; i++) begin : gen_carry
    assign carry[i] = (match[3*i] & match[3*i+1]) | (match[3*i+2] & (match[3*i] | match[3*i+1]));
  end
  assign carry[Carries-1] = match[Nodes-2] & match[Nodes-1];  // a half adder for the last two

  always_ff @(posedge clk_i) carry_q <= carry;

  bnn_count #(
      .Bits(Carries)
  ) u_count (
      .clk_i,
      .word_i (carry_q),
      .count_o(count)
  );

  assign minus = {1'b1, ~threshold_i};

  for (genvar i = 0; i < 2; i++) begin : gen_control
    localparam int unsigned From = i * (SumBits / 2), To = i == 0 ? SumBits / 2 : SumBits;

    bnn_register #(
        .Bits(2)
    ) u_control (
        .clk_i,
        .data_i({acc_first_i, shift_i}),
        .data_o({first[i], shift[i]})
    );
    assign added[To-1:From] = shift[i] ? chain_i[To-1:From] : first[i] ? minus[To-1:From] : acc_q[To-1:From];
  end

  // An even number of xnors of all positions: the parity of the matches is an xor.
  always_ff @(posedge clk_i) begin
    if (count_clear_i) count_q <= '0;
    else count_q <= {count, parity_weight_i ^ parity_act_i};
    // -threshold = ~threshold + 1: the one comes in as a carry
    {acc_q, unused_carry} <= {{(SumBits - CountBits - 1) {1'b0}}, count_q, first[0]} + {added, first[0]};
  end

  assign acc_o = acc_q;
endmodule
