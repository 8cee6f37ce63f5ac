// Scores of the last layer and their addresses, one at a time.
//
//   memory[base + (image*classes + class)*4] = scale[p] * acc[l][p] + offset[p]
//
// in 32-bit two's complement. Layout: acc_i[(l*Pe + p)*AccBits +: AccBits] unsigned; offset_i[p*32 +: 32];
// scale_i[p*16 +: 16] signed. valid_i captures the sums of a block of Lanes images with idle_o;
// offset_i and scale_i stay until block_done_o, a pulse. Blocks come in the order of images,
// then groups of Pe classes; absent images and classes give no output.
//
// start_i begins a layer with images_i images, classes_i classes and base_i; next_o is the
// address after the last image from the end of the first group on. An output holds until it is
// taken with score_ready_i.
//
// Latency: the first score is valid after edge t + 4 for sums sampled at edge t; one score per
// four cycles at best (one multiplier).
module bnn_score #(
    parameter int unsigned Pe = 4,
    parameter int unsigned Lanes = 4,
    parameter int unsigned AccBits = 16
) (
    input  logic                        clk_i,
    input  logic                        rst_i,
    input  logic                        start_i,
    input  logic [15:0]                 images_i,
    input  logic [15:0]                 classes_i,
    input  logic [63:0]                 base_i,
    output logic [63:0]                 next_o,
    input  logic                        valid_i,
    output logic                        idle_o,
    output logic                        block_done_o,
    input  logic [Lanes*Pe*AccBits-1:0] acc_i,
    input  logic [Pe*32-1:0]            offset_i,
    input  logic [Pe*16-1:0]            scale_i,
    output logic                        score_valid_o,
    input  logic                        score_ready_i,
    output logic [63:0]                 score_addr_o,
    output logic [31:0]                 score_o
);
  localparam int unsigned PeBits = $clog2(Pe);
  localparam int unsigned LaneBits = $clog2(Lanes);

  if (Pe < 2 || (Pe & (Pe - 1)) != 0 || Lanes < 2 || (Lanes & (Lanes - 1)) != 0) begin : gen_check
    $error("bnn_score: Pe = %0d, Lanes = %0d, must be powers of two, at least 2", Pe, Lanes);
  end
  if (AccBits > 16) begin : gen_check_acc
    $error("bnn_score: AccBits = %0d, must be at most 16", AccBits);
  end

  typedef enum logic [2:0] {
    Idle,
    Lane,
    Select,
    Multiply,
    Add,
    Offer
  } state_e;

  state_e state_q;
  logic [PeBits-1:0] pe_q;
  logic [LaneBits-1:0] lane_q;
  logic [Lanes*Pe*AccBits-1:0] acc_q;  // the next lane in the lowest bits
  logic [Pe*AccBits-1:0] row_q;  // the next sum in the lowest bits
  logic signed [16:0] factor_q;
  logic signed [15:0] scale_q;
  logic [31:0] offset_q, score_q;
  logic signed [32:0] product_q;
  logic [63:0] line_q, group_base_q, next_q;  // of the image, of the group
  logic [15:0] images_q, classes_q;  // still to come: of the group, of the layer
  logic done_q, lane_last, block_last, images_last, first_group_q;

  assign lane_last = (&pe_q) | (16'(pe_q) + 16'd1 == classes_q);
  assign images_last = images_q == 16'd1;
  assign block_last = lane_last & ((&lane_q) | images_last);

  always_ff @(posedge clk_i) begin
    factor_q  <= signed'(17'(row_q[AccBits-1:0]));
    scale_q   <= scale_i[32'(pe_q)*16+:16];
    offset_q  <= offset_i[32'(pe_q)*32+:32];
    product_q <= 33'(factor_q) * 33'(scale_q);
    if (state_q == Add) score_q <= product_q[31:0] + offset_q;
    unique case (state_q)
      Idle: begin
        acc_q  <= acc_i;
        lane_q <= '0;
      end
      Lane: begin
        row_q <= acc_q[Pe*AccBits-1:0];
        acc_q <= acc_q >> (Pe * AccBits);
        pe_q  <= '0;
      end
      Offer: begin
        if (score_ready_i) begin
          row_q <= row_q >> AccBits;
          pe_q  <= pe_q + 1'b1;
          if (lane_last) lane_q <= lane_q + 1'b1;
        end
      end
      default: ;
    endcase
    if (start_i) begin
      images_q      <= images_i;
      classes_q     <= classes_i;
      line_q        <= base_i;
      group_base_q  <= base_i;
      first_group_q <= 1'b1;
    end else if (state_q == Offer && score_ready_i && lane_last) begin
      images_q <= images_last ? images_i : images_q - 16'd1;
      line_q   <= line_q + {46'd0, classes_i, 2'b00};
      if (images_last) begin
        line_q        <= group_base_q + 64'(Pe * 4);
        group_base_q  <= group_base_q + 64'(Pe * 4);
        classes_q     <= classes_q - 16'(Pe);
        first_group_q <= 1'b0;
        if (first_group_q) next_q <= line_q + {46'd0, classes_i, 2'b00};
      end
    end
    if (rst_i) begin
      state_q <= Idle;
      done_q  <= 1'b0;
    end else begin
      done_q <= (state_q == Offer) & score_ready_i & block_last;
      unique case (state_q)
        Idle:     if (valid_i) state_q <= Lane;
        Lane:     state_q <= Select;
        Select:   state_q <= Multiply;
        Multiply: state_q <= Add;
        Add:      state_q <= Offer;
        Offer: begin
          if (score_ready_i) state_q <= block_last ? Idle : lane_last ? Lane : Select;
        end
        default:  state_q <= Idle;
      endcase
    end
  end

  logic unused_product;
  assign unused_product = product_q[32];

  assign idle_o        = state_q == Idle;
  assign block_done_o  = done_q;
  assign next_o        = next_q;
  assign score_valid_o = state_q == Offer;
  assign score_addr_o  = line_q + 64'({pe_q, 2'b00});
  assign score_o       = score_q;
endmodule
