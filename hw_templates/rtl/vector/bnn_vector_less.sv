// Which of Words numbers of eight bits are less than others: a DSP48E1.
//
//   less_o[n] = a_i[n] < b_i[n]
//
// One difference of all, of 12 bits each with one above those of a number, so that none borrows from the next.
//
// Latency: 1 cycle. Data only, no reset.
//
// No tool infers this with the DSP48E1's own register, so that the cell is named for synthesis; a bench holds its model
// against the lines that stand for it in simulation.
(* keep_hierarchy = "yes" *)
module bnn_vector_less #(
    parameter int unsigned Words = 4
) (
    input  logic                  clk_i,
    input  logic [Words-1:0][7:0] a_i,
    input  logic [Words-1:0][7:0] b_i,
    output logic [Words-1:0]      less_o
);
  /* verilator no_inline_module */
  if (Words < 1 || Words > 4) begin : gen_check
    $error("bnn_vector_less: Words = %0d, must be 1 to 4", Words);
  end

`ifdef SYNTHESIS
  logic [3:0][11:0] a, b, difference;
  logic [47:0] operand, unused_link;

  assign operand = b;

  always_comb begin
    {a, b} = '0;
    for (int unsigned n = 0; n < Words; n++) begin
      a[n] = {4'd1, a_i[n]};
      b[n] = {4'd0, b_i[n]};
    end
  end

  bnn_dsp #(
      .AReg (1'b0),
      .CReg (1'b0),
      .OpReg(1'b0)
  ) u_difference (
      .clk_i,
      .a_i     (operand[47:18]),
      .b_i     (operand[17:0]),
      .c_i     (a),
      .link_i  ('0),
      .op_i    (7'b0110011),  // Z is C, X is A and B in one
      .alu_i   (4'b0011),  // Z less X
      .rst_ab_i(1'b0),
      .take_c_i(1'b0),
      .take_p_i(1'b1),
      .p_o     (difference),
      .link_o  (unused_link)
  );

  for (genvar n = 0; n < Words; n++) begin : gen_less
    assign less_o[n] = ~difference[n][8];
  end

  logic unused_difference;
  assign unused_difference = ^{difference, unused_link};
`else
  logic [Words-1:0] less_q;

  always_ff @(posedge clk_i) begin
    for (int unsigned n = 0; n < Words; n++) less_q[n] <= a_i[n] < b_i[n];
  end

  assign less_o = less_q;
`endif
endmodule
