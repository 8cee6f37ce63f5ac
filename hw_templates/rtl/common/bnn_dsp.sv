// A DSP48E1 as modules name it for synthesis: what none of them uses is tied here.
//
// AReg: A and B are registered, which rst_ab_i clears; CReg, MReg, OpReg likewise C, the product, and OPMODE with ALUMODE;
// P is always. Mult and Simd are USE_MULT and USE_SIMD. Benches hold yosys' model of the cell against what stands for it
// in simulation, where there is no such module.
module bnn_dsp #(
    parameter bit AReg = 1'b1,
    parameter bit CReg = 1'b1,
    parameter bit MReg = 1'b0,
    parameter bit OpReg = 1'b1,
    parameter Mult = "NONE",  // verilog_lint: waive explicit-parameter-storage-type
    parameter Simd = "ONE48"  // verilog_lint: waive explicit-parameter-storage-type
) (
    input  logic        clk_i,
    input  logic [29:0] a_i,
    input  logic [17:0] b_i,
    input  logic [47:0] c_i,
    input  logic [47:0] link_i,
    input  logic [ 6:0] op_i,
    input  logic [ 3:0] alu_i,
    input  logic        rst_ab_i,
    input  logic        take_c_i,
    input  logic        take_p_i,
    output logic [47:0] p_o,
    output logic [47:0] link_o
);
`ifdef SYNTHESIS
  DSP48E1 #(
      .AREG      (int'(AReg)),
      .BREG      (int'(AReg)),
      .ACASCREG  (int'(AReg)),
      .BCASCREG  (int'(AReg)),
      .CREG      (int'(CReg)),
      .DREG      (0),
      .ADREG     (0),
      .MREG      (int'(MReg)),
      .PREG      (1),
      .OPMODEREG (int'(OpReg)),
      .ALUMODEREG(int'(OpReg)),
      .USE_MULT  (Mult),
      .USE_DPORT ("FALSE"),
      .USE_SIMD  (Simd)
  ) u_slice (
      .CLK          (clk_i),
      .A            (a_i),
      .B            (b_i),
      .C            (c_i),
      .D            ('0),
      .PCIN         (link_i),
      .OPMODE       (op_i),
      .ALUMODE      (alu_i),
      .INMODE       ('0),
      .CARRYINSEL   ('0),
      .CARRYIN      (1'b0),
      .ACIN         ('0),
      .BCIN         ('0),
      .CARRYCASCIN  (1'b0),
      .MULTSIGNIN   (1'b0),
      .CEA1         (1'b0),
      .CEA2         (AReg),
      .CEB1         (1'b0),
      .CEB2         (AReg),
      .CEC          (take_c_i),
      .CED          (1'b0),
      .CEAD         (1'b0),
      .CEM          (MReg),
      .CEP          (take_p_i),
      .CECTRL       (OpReg),
      .CEALUMODE    (OpReg),
      .CEINMODE     (1'b1),
      .CECARRYIN    (1'b1),
      .RSTA         (rst_ab_i),
      .RSTB         (rst_ab_i),
      .RSTC         (1'b0),
      .RSTD         (1'b0),
      .RSTM         (1'b0),
      .RSTP         (1'b0),
      .RSTCTRL      (1'b0),
      .RSTALUMODE   (1'b0),
      .RSTINMODE    (1'b0),
      .RSTALLCARRYIN(1'b0),
      .P            (p_o),
      .PCOUT        (link_o)
  );
`endif
endmodule
