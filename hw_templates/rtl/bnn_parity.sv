// Parities of the positions of a word, in threes: one half of the sums of bnn_dot.
//
// The sum bit of a full adder over three matches m_i = a_i xnor w_i is the parity of six operand
// bits, and so the xnor of a parity of the a_i alone and one of the w_i alone. Those are
// computed here once per operand, for all dot products that use it.
//
// Level 0 is the word. Level k+1 has the parities of the positions 3i, 3i+1, 3i+2 of level k,
// then the one or two positions left over; a level of two positions is the last.
// node_o holds the word and then the parities of levels 1 to 5 (without what is left over), 
// size bnn_dot's Nodes.
//
// Latency: 2 cycles; data only, no reset.
module bnn_parity #(
    parameter int unsigned Simd = 64,
    localparam int unsigned S1 = Simd / 3 + Simd % 3,
    localparam int unsigned S2 = (S1 > 2) ? S1 / 3 + S1 % 3 : S1,
    localparam int unsigned S3 = (S2 > 2) ? S2 / 3 + S2 % 3 : S2,
    localparam int unsigned S4 = (S3 > 2) ? S3 / 3 + S3 % 3 : S3,
    localparam int unsigned Nodes = Simd + Simd / 3 + S1 / 3 + S2 / 3 + S3 / 3 + S4 / 3
) (
    input  logic             clk_i,
    input  logic [Simd-1:0]  word_i,
    output logic [Nodes-1:0] node_o
);
  localparam int unsigned First = Simd / 3;  // parities of level 1

  logic [Simd-1:0] word_q, word_q2;
  logic [First-1:0] first_q, first_q2;
  logic [Nodes-Simd-First-1:0] rest_q;
  logic [Simd-1:0] level0;
  logic [S1-1:0] level1;
  logic [S2-1:0] level2;
  logic [S3-1:0] level3;
  logic [S4-1:0] level4;
  logic [Nodes-Simd-First-1:0] rest;

  always_ff @(posedge clk_i) begin
    word_q <= word_i;
    for (int unsigned i = 0; i < First; i++) first_q[i] <= ^word_i[3*i+:3];
    word_q2  <= word_q;
    first_q2 <= first_q;
    rest_q   <= rest;
  end

  assign level0 = word_q;

  for (genvar i = 0; i < S1; i++) begin : gen_level1
    if (i < First) begin : gen_new
      assign level1[i] = first_q[i];
    end else begin : gen_left
      assign level1[i] = level0[2*First+i];
    end
  end
  for (genvar i = 0; i < S2; i++) begin : gen_level2
    if (i < S1 / 3) begin : gen_new
      assign level2[i] = ^level1[3*i+:3];
      assign rest[i] = level2[i];
    end else begin : gen_left
      assign level2[i] = level1[2*(S1/3)+i];
    end
  end
  for (genvar i = 0; i < S3; i++) begin : gen_level3
    if (i < S2 / 3) begin : gen_new
      assign level3[i] = ^level2[3*i+:3];
      assign rest[S1/3+i] = level3[i];
    end else begin : gen_left
      assign level3[i] = level2[2*(S2/3)+i];
    end
  end
  for (genvar i = 0; i < S4; i++) begin : gen_level4
    if (i < S3 / 3) begin : gen_new
      assign level4[i] = ^level3[3*i+:3];
      assign rest[S1/3+S2/3+i] = level4[i];
    end else begin : gen_left
      assign level4[i] = level3[2*(S3/3)+i];
    end
  end
  for (genvar i = 0; i < S4 / 3; i++) begin : gen_level5
    assign rest[S1/3+S2/3+S3/3+i] = ^level4[3*i+:3];
  end

  logic unused_level;
  assign unused_level = ^level4;

  assign node_o = {rest_q, first_q2, word_q2};
endmodule
