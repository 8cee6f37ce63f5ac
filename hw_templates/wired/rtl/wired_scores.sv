// Results of the last layer as an AXI4-Stream of scores: Classes beats per image, tlast on the last.
//
//   score[c] = Scale[c] * acc[c] + Offset[c], 32-bit two's complement
//
// valid_i must not come while Images vectors wait: wired_input sees to it with done_o, which is high for a cycle
// when a vector leaves the queue. One multiplier.
module wired_scores #(
    parameter int unsigned Classes = 10,
    parameter int unsigned AccBits = 8,
    parameter int unsigned Images = 4,
    parameter logic [Classes*16-1:0] Scale = '0,
    parameter logic [Classes*32-1:0] Offset = '0
) (
    input  logic                            clk_i,
    input  logic                            rst_ni,
    input  logic                            valid_i,
    input  logic [Classes*AccBits-1:0]      acc_i,
    output logic                            done_o,
    output logic                            m_axis_tvalid,
    input  logic                            m_axis_tready,
    output logic [31:0]                     m_axis_tdata,
    output logic                            m_axis_tlast
);
  localparam int unsigned ClassBits = Classes > 1 ? $clog2(Classes) : 1;
  localparam int unsigned Depth = Images > 1 ? 1 << $clog2(Images) : 2;

  logic [Classes*AccBits-1:0] oldest;
  logic [ClassBits-1:0] class_q;
  logic waiting, enable, last, pop;
  logic valid1_q, valid2_q, last1_q, last2_q;
  logic signed [15:0] scale_q;
  logic [31:0] offset1_q, offset2_q;
  logic signed [AccBits:0] acc_q;
  logic signed [AccBits+16:0] product_q;

  assign enable = !m_axis_tvalid || m_axis_tready;
  assign last = class_q == ClassBits'(Classes - 1);
  assign pop = enable && waiting && last;

  wired_queue #(
      .Bits(Classes * AccBits),
      .Depth(Depth)
  ) i_queue (
      .clk_i,
      .rst_ni,
      .valid_i,
      .data_i (acc_i),
      .valid_o(waiting),
      .data_o (oldest),
      .ready_i(enable && last)
  );

  always_ff @(posedge clk_i) begin
    if (enable) begin
      acc_q <= {1'b0, oldest[class_q*AccBits+:AccBits]};
      scale_q <= Scale[class_q*16+:16];
      offset1_q <= Offset[class_q*32+:32];
      last1_q <= last;
      product_q <= acc_q * scale_q;
      offset2_q <= offset1_q;
      last2_q <= last1_q;
      m_axis_tdata <= 32'(product_q) + offset2_q;
      m_axis_tlast <= last2_q;
    end
    done_o <= rst_ni && pop;
    if (!rst_ni) begin
      class_q <= '0;
      valid1_q <= 1'b0;
      valid2_q <= 1'b0;
      m_axis_tvalid <= 1'b0;
    end else begin
      if (enable) begin
        if (waiting) class_q <= last ? '0 : class_q + 1'b1;
        valid1_q <= waiting;
        valid2_q <= valid1_q;
        m_axis_tvalid <= valid2_q;
      end
    end
  end
endmodule
