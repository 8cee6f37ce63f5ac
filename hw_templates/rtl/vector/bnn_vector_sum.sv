// One product a cycle added to a sum, with an offset: two DSP48E1, one above the other.
//
//   op_i, as OPMODE:  Load   total = offset_i + a                            a = 2 * coefficient_i * acc_i
//                     Add    total += a
//                     Plus   total += offset_i, with minus_i -=
//                     Link   total = link_i
//   total_o = total,  shifted_o = far_i ? total >> 17 : total
//
// op_i is done with valid_i, else the total stays. A total is twice the sum, and the offset counts twice too: far_i
// drops 16 bits of the sum. link_o is shifted_o, on the wires between neighbours: linked units take each other's
// totals, every second cycle at most.
//
// Latency: total_o 3 cycles from acc_i and coefficient_i, 2 from the rest, which comes a cycle later; shifted_o one
// more. far_i is constant while totals are on their way. Data only, no reset.
//
// No tool infers all of this, so that cells are named for synthesis; a bench holds their model against the lines that
// stand for them in simulation.
(* keep_hierarchy = "yes" *)
module bnn_vector_sum (
    input  logic               clk_i,
    input  logic               far_i,
    // Product
    input  logic signed [24:0] coefficient_i,
    input  logic signed [16:0] acc_i,
    // A cycle later
    input  logic               valid_i,
    input  logic        [ 6:0] op_i,
    input  logic               minus_i,
    input  logic signed [31:0] offset_i,
    // Neighbours
    input  logic        [47:0] link_i,
    output logic        [47:0] link_o,
    output logic signed [47:0] total_o,
    output logic signed [47:0] shifted_o
);
  /* verilator no_inline_module */
  logic valid_q;

  always_ff @(posedge clk_i) valid_q <= valid_i;

`ifdef SYNTHESIS
  logic [47:0] link;

  DSP48E1 #(
      .AREG      (1),
      .BREG      (1),
      .CREG      (1),
      .DREG      (0),
      .ADREG     (0),
      .MREG      (1),
      .PREG      (1),
      .OPMODEREG (1),
      .ALUMODEREG(1),
      .USE_MULT  ("MULTIPLY"),
      .USE_DPORT ("FALSE")
  ) u_total (
      .CLK          (clk_i),
      .A            ({{5{coefficient_i[24]}}, coefficient_i}),
      .B            ({acc_i, 1'b0}),
      .C            ({{15{offset_i[31]}}, offset_i, 1'b0}),
      .D            ('0),
      .PCIN         (link_i),
      .OPMODE       (op_i),
      .ALUMODE      ({2'b00, minus_i, minus_i}),  // 0011: Z less the others
      .INMODE       ('0),
      .CARRYINSEL   ('0),
      .CARRYIN      (1'b0),
      .ACIN         ('0),
      .BCIN         ('0),
      .CARRYCASCIN  (1'b0),
      .MULTSIGNIN   (1'b0),
      .CEA1         (1'b0),
      .CEA2         (1'b1),
      .CEB1         (1'b0),
      .CEB2         (1'b1),
      .CEC          (1'b1),
      .CED          (1'b0),
      .CEAD         (1'b0),
      .CEM          (1'b1),
      .CEP          (valid_q),
      .CECTRL       (1'b1),
      .CEALUMODE    (1'b1),
      .CEINMODE     (1'b1),
      .CECARRYIN    (1'b1),
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
      .P            (total_o),
      .PCOUT        (link)
  );

  DSP48E1 #(
      .AREG      (1),
      .BREG      (1),
      .CREG      (1),
      .DREG      (0),
      .ADREG     (0),
      .MREG      (0),
      .PREG      (1),
      .OPMODEREG (1),
      .ALUMODEREG(1),
      .USE_MULT  ("NONE"),
      .USE_DPORT ("FALSE")
  ) u_shifted (
      .CLK          (clk_i),
      .A            ('1),
      .B            ('1),
      .C            ('1),
      .D            ('0),
      .PCIN         (link),
      .OPMODE       ({far_i, 6'b010000}),  // Z is PCIN, or PCIN >> 17
      .ALUMODE      ('0),
      .INMODE       ('0),
      .CARRYINSEL   ('0),
      .CARRYIN      (1'b0),
      .ACIN         ('0),
      .BCIN         ('0),
      .CARRYCASCIN  (1'b0),
      .MULTSIGNIN   (1'b0),
      .CEA1         (1'b0),
      .CEA2         (1'b1),
      .CEB1         (1'b0),
      .CEB2         (1'b1),
      .CEC          (1'b1),
      .CED          (1'b0),
      .CEAD         (1'b0),
      .CEM          (1'b0),
      .CEP          (1'b1),
      .CECTRL       (1'b1),
      .CEALUMODE    (1'b1),
      .CEINMODE     (1'b1),
      .CECARRYIN    (1'b1),
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
      .P            (shifted_o),
      .PCOUT        (link_o)
  );
`else
  logic signed [24:0] coefficient_q;
  logic signed [17:0] acc_q;
  logic signed [42:0] product_q;
  logic signed [47:0] offset_q, total_q, shifted_q, z, y;
  logic [6:0] op_q;
  logic minus_q, far_q;

  always_comb begin
    unique case (op_q[6:4])
      3'b011:  z = offset_q;
      3'b010:  z = total_q;
      default: z = signed'(link_i);
    endcase
    unique case (op_q[3:0])
      4'b0101: y = 48'(product_q);
      4'b1100: y = offset_q;
      default: y = '0;
    endcase
  end

  always_ff @(posedge clk_i) begin
    coefficient_q <= coefficient_i;
    acc_q         <= {acc_i, 1'b0};
    product_q     <= coefficient_q * acc_q;
    offset_q      <= 48'(signed'({offset_i, 1'b0}));
    op_q          <= op_i;
    minus_q       <= minus_i;
    far_q         <= far_i;
    if (valid_q) total_q <= minus_q ? z - y : z + y;
    shifted_q <= far_q ? total_q >>> 17 : total_q;
  end

  assign total_o   = total_q;
  assign shifted_o = shifted_q;
  assign link_o    = shifted_q;
`endif
endmodule
