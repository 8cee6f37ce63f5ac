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
  logic [47:0] operand;

  assign operand = b;

  always_comb begin
    {a, b} = '0;
    for (int unsigned n = 0; n < Words; n++) begin
      a[n] = {4'd1, a_i[n]};
      b[n] = {4'd0, b_i[n]};
    end
  end

  DSP48E1 #(
      .AREG      (0),
      .BREG      (0),
      .CREG      (0),
      .DREG      (0),
      .ADREG     (0),
      .MREG      (0),
      .PREG      (1),
      .ACASCREG  (0),
      .BCASCREG  (0),
      .OPMODEREG (0),
      .ALUMODEREG(0),
      .USE_MULT  ("NONE"),
      .USE_DPORT ("FALSE")
  ) u_difference (
      .CLK          (clk_i),
      .A            (operand[47:18]),
      .B            (operand[17:0]),
      .C            (a),
      .D            ('0),
      .PCIN         ('0),
      .OPMODE       (7'b0110011),  // Z is C, X is A and B in one
      .ALUMODE      (4'b0011),  // Z less X
      .INMODE       ('0),
      .CARRYINSEL   ('0),
      .CARRYIN      (1'b0),
      .ACIN         ('0),
      .BCIN         ('0),
      .CARRYCASCIN  (1'b0),
      .MULTSIGNIN   (1'b0),
      .CEA1         (1'b0),
      .CEA2         (1'b0),
      .CEB1         (1'b0),
      .CEB2         (1'b0),
      .CEC          (1'b0),
      .CED          (1'b0),
      .CEAD         (1'b0),
      .CEM          (1'b0),
      .CEP          (1'b1),
      .CECTRL       (1'b0),
      .CEALUMODE    (1'b0),
      .CEINMODE     (1'b0),
      .CECARRYIN    (1'b0),
      .RSTA         (1'b0),
      .RSTB         (1'b0),
      .RSTC         (1'b0),
      .RSTD         (1'b0),
      .RSTM         (1'b0),
      .RSTP         (1'b0),
      .RSTCTRL      (1'b0),
      .RSTALUMODE   (1'b0),
      .RSTINMODE    (1'b0),
      .RSTALLCARRYIN(1'b0),
      .P            (difference)
  );

  for (genvar n = 0; n < Words; n++) begin : gen_less
    assign less_o[n] = ~difference[n][8];
  end

  logic unused_difference;
  assign unused_difference = ^difference;
`else
  logic [Words-1:0] less_q;

  always_ff @(posedge clk_i) begin
    for (int unsigned n = 0; n < Words; n++) less_q[n] <= a_i[n] < b_i[n];
  end

  assign less_o = less_q;
`endif
endmodule
