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
// count, 4 + clog2(leaves of bnn_count) cycles after the operands; acc_o has the sum 2 cycles
// after that, and the neighbour's 2 cycles after shift_i.
(* keep_hierarchy = "yes" *)
module bnn_dot #(
    parameter int unsigned Simd = 64,
    parameter int unsigned AccBits = 17,
    localparam int unsigned S1 = Simd / 3 + Simd % 3,
    localparam int unsigned S2 = (S1 > 2) ? S1 / 3 + S1 % 3 : S1,
    localparam int unsigned S3 = (S2 > 2) ? S2 / 3 + S2 % 3 : S2,
    localparam int unsigned S4 = (S3 > 2) ? S3 / 3 + S3 % 3 : S3,
    localparam int unsigned Nodes = Simd + Simd / 3 + S1 / 3 + S2 / 3 + S3 / 3 + S4 / 3
) (
    input  logic               clk_i,
    input  logic [Nodes-1:0]   weight_i,
    input  logic [Nodes-1:0]   act_i,
    input  logic               parity_weight_i,
    input  logic               parity_act_i,
    input  logic               count_clear_i,  // no word
    input  logic               acc_first_i,
    input  logic               shift_i,
    input  logic [AccBits-2:0] threshold_i,
    input  logic [AccBits-1:0] chain_i,
    output logic [AccBits-1:0] acc_o
);
  /* verilator no_inline_module */
  localparam int unsigned S5 = (S4 > 2) ? S4 / 3 + S4 % 3 : S4;
  localparam int unsigned Carries = Simd / 2;
  localparam int unsigned CountBits = $clog2(Carries + 1);
  // Full adders below each level
  localparam int unsigned C1 = Simd / 3, C2 = C1 + S1 / 3, C3 = C2 + S2 / 3, C4 = C3 + S3 / 3;
  localparam int unsigned C5 = C4 + S4 / 3;

  // Matches: of the word, of the parities.
  logic [Nodes-1:0] match;
  logic [Simd-1:0] level0;
  logic [S1-1:0] level1;
  logic [S2-1:0] level2;
  logic [S3-1:0] level3;
  logic [S4-1:0] level4;
  logic [S5-1:0] level5;
  logic [Carries-1:0] carry, carry_q;
  logic [CountBits-1:0] count;
  logic [CountBits:0] count_q;
  logic first_q, shift_q;
  logic [AccBits-1:0] acc_q, start;
  logic unused_carry;

  assign match = weight_i ~^ act_i;
  assign level0 = match[Simd-1:0];

  for (genvar i = 0; i < S1; i++) begin : gen_level1
    if (i < C1) begin : gen_new
      assign level1[i] = match[Simd+i];
    end else begin : gen_left
      assign level1[i] = level0[2*C1+i];
    end
  end
  for (genvar i = 0; i < S2; i++) begin : gen_level2
    if (i < S1 / 3) begin : gen_new
      assign level2[i] = match[Simd+C1+i];
    end else begin : gen_left
      assign level2[i] = level1[2*(S1/3)+i];
    end
  end
  for (genvar i = 0; i < S3; i++) begin : gen_level3
    if (i < S2 / 3) begin : gen_new
      assign level3[i] = match[Simd+C2+i];
    end else begin : gen_left
      assign level3[i] = level2[2*(S2/3)+i];
    end
  end
  for (genvar i = 0; i < S4; i++) begin : gen_level4
    if (i < S3 / 3) begin : gen_new
      assign level4[i] = match[Simd+C3+i];
    end else begin : gen_left
      assign level4[i] = level3[2*(S3/3)+i];
    end
  end
  for (genvar i = 0; i < S5; i++) begin : gen_level5
    if (i < S4 / 3) begin : gen_new
      assign level5[i] = match[Simd+C4+i];
    end else begin : gen_left
      assign level5[i] = level4[2*(S4/3)+i];
    end
  end

  for (genvar i = 0; i < Carries; i++) begin : gen_carry
    if (i < C1) begin : gen0
      assign carry[i] = (level0[3*i] & level0[3*i+1]) | (level0[3*i+2] & (level0[3*i] | level0[3*i+1]));
    end else if (i < C2) begin : gen1
      localparam int unsigned J = 3 * (i - C1);
      assign carry[i] = (level1[J] & level1[J+1]) | (level1[J+2] & (level1[J] | level1[J+1]));
    end else if (i < C3) begin : gen2
      localparam int unsigned J = 3 * (i - C2);
      assign carry[i] = (level2[J] & level2[J+1]) | (level2[J+2] & (level2[J] | level2[J+1]));
    end else if (i < C4) begin : gen3
      localparam int unsigned J = 3 * (i - C3);
      assign carry[i] = (level3[J] & level3[J+1]) | (level3[J+2] & (level3[J] | level3[J+1]));
    end else if (i < C5) begin : gen4
      localparam int unsigned J = 3 * (i - C4);
      assign carry[i] = (level4[J] & level4[J+1]) | (level4[J+2] & (level4[J] | level4[J+1]));
    end else begin : gen_half
      assign carry[i] = level5[0] & level5[1];
    end
  end

  always_ff @(posedge clk_i) carry_q <= carry;

  bnn_count #(
      .Bits(Carries)
  ) u_count (
      .clk_i,
      .word_i (carry_q),
      .count_o(count)
  );

  // An even number of xnors of all positions: the parity of the matches is an xor.
  assign start = first_q ? {1'b1, ~threshold_i} : acc_q;

  always_ff @(posedge clk_i) begin
    if (count_clear_i) count_q <= '0;
    else count_q <= {count, parity_weight_i ^ parity_act_i};
    first_q <= acc_first_i;
    shift_q <= shift_i;
    // -threshold = ~threshold + 1: the one comes in as a carry
    {acc_q, unused_carry} <= {{(AccBits - CountBits - 1) {1'b0}}, count_q, first_q}
        + {shift_q ? chain_i : start, first_q};
  end

  assign acc_o = acc_q;
endmodule
