// Matching bits of a word in two operands: their number, of which the lowest bit is their parity.
//
// The operands come with the parities of bnn_parity. Full adders over three matches then need
// their carry only, one LUT6 each: Simd matches become Simd/2 carries of weight 2 and one
// parity.
//
// Latency: 3 + clog2(leaves of bnn_count) cycles from the operands; the parities of all positions
// of both operands come with the count. The last level is not registered, its register is the
// accumulator's.
(* keep_hierarchy = "yes" *)
module bnn_dot #(
    parameter int unsigned Simd = 64,
    parameter int unsigned Nodes = 3 * Simd / 2 - 1,
    localparam int unsigned CountBits = $clog2(Simd + 1)
) (
    input  logic                 clk_i,
    input  logic [Nodes-1:0]     weight_i,
    input  logic [Nodes-1:0]     act_i,
    input  logic                 parity_weight_i,
    input  logic                 parity_act_i,
    output logic [CountBits-1:0] count_o
);
  /* verilator no_inline_module */
  localparam int unsigned Carries = Simd / 2;

  logic [Nodes-1:0] match;  // of the word's bits, then sum bits of the full adders
  logic [Carries-1:0] carry, carry_q;

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
      .count_o(count_o[CountBits-1:1])
  );

  // An even number of xnors of all positions: the parity of the matches is an xor.
  assign count_o[0] = parity_weight_i ^ parity_act_i;
endmodule
