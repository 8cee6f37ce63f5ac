// A word with its parities (bnn_parity), and the parity of the whole word Delay cycles later: that of the two nodes
// which no other has taken in, as each node stands for all that it was made of.
//
// Latency: node_o 1 cycle, parity_o 1 + Delay cycles; data only, no reset.
(* keep_hierarchy = "yes" *)
module bnn_operand #(
    parameter int unsigned Simd = 64,
    parameter int unsigned Nodes = 95,
    parameter int unsigned Delay = 4
) (
    input  logic             clk_i,
    input  logic [Simd-1:0]  word_i,
    output logic [Nodes-1:0] node_o,
    output logic             parity_o
);
  /* verilator no_inline_module */
  logic [Delay-1:0] parity_q;

  bnn_parity #(
      .Simd (Simd),
      .Nodes(Nodes)
  ) u_parity (
      .clk_i,
      .word_i,
      .node_o
  );

  always_ff @(posedge clk_i) parity_q <= {parity_q[Delay-2:0], node_o[Nodes-2] ^ node_o[Nodes-1]};

  assign parity_o = parity_q[Delay-1];
endmodule
