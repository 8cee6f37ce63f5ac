// Scores of the last layer, one at a time.
//
//   score[l][p] = scale[p] * acc[l][p] + offset[p]    (32-bit two's complement)
//
// Layout: acc_i[(l*Pe + p)*AccBits +: AccBits] unsigned; offset_i[p*32 +: 32];
// scale_i[p*16 +: 16] signed. valid_i is taken with ready_o and captures acc_i; offset_i and
// scale_i stay until ready_o is high again. Every score of the block comes out, p innermost,
// named by lane_o and pe_o: the receiver drops absent images and classes. An output holds until
// it is taken with score_ready_i.
//
// Latency: the first score is valid after edge t + 3 for sums sampled at edge t; one score per
// four cycles at best (one multiplier).
module bnn_score #(
    parameter int unsigned Pe = 4,
    parameter int unsigned Lanes = 4,
    parameter int unsigned AccBits = 16,
    localparam int unsigned PeBits = $clog2(Pe),
    localparam int unsigned LaneBits = $clog2(Lanes)
) (
    input  logic                        clk_i,
    input  logic                        rst_i,
    input  logic                        valid_i,
    output logic                        ready_o,
    input  logic [Lanes*Pe*AccBits-1:0] acc_i,
    input  logic [Pe*32-1:0]            offset_i,
    input  logic [Pe*16-1:0]            scale_i,
    output logic                        score_valid_o,
    input  logic                        score_ready_i,
    output logic [LaneBits-1:0]         lane_o,
    output logic [PeBits-1:0]           pe_o,
    output logic [31:0]                 score_o
);
  if (Pe < 2 || (Pe & (Pe - 1)) != 0 || Lanes < 2 || (Lanes & (Lanes - 1)) != 0) begin : gen_check
    $error("bnn_score: Pe = %0d, Lanes = %0d, must be powers of two, at least 2", Pe, Lanes);
  end
  if (AccBits > 16) begin : gen_check_acc
    $error("bnn_score: AccBits = %0d, must be at most 16", AccBits);
  end

  localparam int unsigned Last = Lanes * Pe - 1;

  typedef enum logic [2:0] {
    Idle,
    Select,
    Multiply,
    Add,
    Offer
  } state_e;

  state_e state_q;
  logic [LaneBits+PeBits-1:0] index_q;
  logic [Lanes*Pe*AccBits-1:0] acc_q;  // the next sum in the lowest bits
  logic [PeBits-1:0] pe;
  logic signed [16:0] factor_q;
  logic signed [15:0] scale_q;
  logic [31:0] offset_q, score_q;
  logic signed [32:0] product_q;

  assign pe = index_q[PeBits-1:0];

  always_ff @(posedge clk_i) begin
    factor_q  <= signed'(17'(acc_q[AccBits-1:0]));
    scale_q   <= scale_i[32'(pe)*16+:16];
    offset_q  <= offset_i[32'(pe)*32+:32];
    product_q <= 33'(factor_q) * 33'(scale_q);
    if (state_q == Add) score_q <= product_q[31:0] + offset_q;
    if (state_q == Idle) begin
      acc_q   <= acc_i;
      index_q <= '0;
    end else if (state_q == Offer && score_ready_i) begin
      acc_q   <= acc_q >> AccBits;
      index_q <= index_q + 1'b1;
    end
    if (rst_i) begin
      state_q <= Idle;
    end else begin
      unique case (state_q)
        Idle:     if (valid_i) state_q <= Select;
        Select:   state_q <= Multiply;
        Multiply: state_q <= Add;
        Add:      state_q <= Offer;
        Offer: begin
          if (score_ready_i) state_q <= (32'(index_q) == Last) ? Idle : Select;
        end
        default:  state_q <= Idle;
      endcase
    end
  end

  logic unused_product;
  assign unused_product = product_q[32];

  assign ready_o       = state_q == Idle;
  assign score_valid_o = state_q == Offer;
  assign lane_o        = index_q[PeBits+:LaneBits];
  assign pe_o          = pe;
  assign score_o       = score_q;
endmodule
