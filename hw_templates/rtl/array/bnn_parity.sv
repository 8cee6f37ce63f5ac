// Parities of a word's bits in threes: one half of the sums of bnn_dot.
//
// The sum bit of a full adder over three matches m_i = a_i xnor w_i is the parity of six operand
// bits, and so the xnor of a parity of the a_i alone and one of the w_i alone. Those are
// computed here once per operand, for all dot products that use it.
//
// The adders take the nodes of a queue, three at a time, and append their sum bit to it: nodes
// 0 .. Simd-1 are the word, node Simd + i is the parity of nodes 3i, 3i+1, 3i+2. Two nodes are
// left over at the end.
//
// Latency: 1 cycle; data only, no reset.
module bnn_parity #(
    parameter int unsigned Simd = 64,
    parameter int unsigned Nodes = 3 * Simd / 2 - 1
) (
    input  logic             clk_i,
    input  logic [Simd-1:0]  word_i,
    output logic [Nodes-1:0] node_o
);
  logic [Nodes-1:0] node, node_q;

  assign node[Simd-1:0] = word_i;

  for (genvar i = 0; i < Nodes - Simd; i++) begin : gen_parity
    assign node[Simd+i] = ^node[3*i+:3];
  end

  always_ff @(posedge clk_i) node_q <= node;

  assign node_o = node_q;
endmodule
