// Scores of the last layer and their addresses, one at a time.
//
//   memory[base + (image*classes + class)*4] = scale[p] * acc[l][p] + offset[p]
//
// in 32-bit two's complement. valid_i says that the sums of a block of Lanes images are in the
// array: sum_i[l*AccBits +: AccBits] is PE 0's of lane l, and shift_o asks for the next PE's, present
// ShiftWait cycles later. Headers are taken from weight_i: header0_i bits [31:0] of every PE as
// offset, header1_i bits [15:0] as signed scale. Blocks come in the order of images, then groups of Pe
// classes; absent images and classes give no output. block_done_o is a pulse after the last
// score of a block; headers and sums stay until then.
//
// start_i begins a layer with images_i images, classes_i classes and base_i; next_o is the
// address after the last image from the end of the first group on. An output holds until it is
// taken with score_ready_i. One score per five cycles at best (one multiplier).
module bnn_score #(
    parameter int unsigned Pe = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned AccBits = 17,
    parameter int unsigned ShiftWait = 6
) (
    input  logic                     clk_i,
    input  logic                     rst_i,
    input  logic                     start_i,
    input  logic [15:0]              images_i,
    input  logic [15:0]              classes_i,
    input  logic [63:0]              base_i,
    output logic [63:0]              next_o,
    input  logic                     header0_i,
    input  logic                     header1_i,
    input  logic [Pe*Simd-1:0]       weight_i,
    input  logic                     valid_i,
    input  logic [Lanes*AccBits-1:0] sum_i,
    output logic                     shift_o,
    output logic                     block_done_o,
    output logic                     score_valid_o,
    input  logic                     score_ready_i,
    output logic [63:0]              score_addr_o,
    output logic [31:0]              score_o
);
  localparam int unsigned PeBits = $clog2(Pe);
  localparam int unsigned LaneBits = $clog2(Lanes);
  localparam int unsigned WaitBits = $clog2(ShiftWait + 1);

  if (Pe < 2 || (Pe & (Pe - 1)) != 0 || Lanes < 2 || (Lanes & (Lanes - 1)) != 0) begin : gen_check
    $error("bnn_score: Pe = %0d, Lanes = %0d, must be powers of two, at least 2", Pe, Lanes);
  end

  typedef enum logic [2:0] {
    Idle,
    Wait,
    Select,
    Multiply,
    Product,
    Add,
    Offer
  } state_e;

  // ---- Headers: one word of each PE, picked while the sums are shifted -------------------------

  logic [Pe*16-1:0] low_q, high_q, scale_q;
  logic [15:0] low, high, scale;
  logic [PeBits-1:0] pe_q;

  for (genvar p = 0; p < Pe; p++) begin : gen_header
    always_ff @(posedge clk_i) begin
      if (header0_i) {high_q[p*16+:16], low_q[p*16+:16]} <= weight_i[p*Simd+:32];
      if (header1_i) scale_q[p*16+:16] <= weight_i[p*Simd+:16];
    end
  end

  bnn_pick #(
      .Words(Pe),
      .Bits (16)
  ) u_low (
      .clk_i,
      .select_i(pe_q),
      .word_i  (low_q),
      .data_o  (low)
  );
  bnn_pick #(
      .Words(Pe),
      .Bits (16)
  ) u_high (
      .clk_i,
      .select_i(pe_q),
      .word_i  (high_q),
      .data_o  (high)
  );
  bnn_pick #(
      .Words(Pe),
      .Bits (16)
  ) u_scale (
      .clk_i,
      .select_i(pe_q),
      .word_i  (scale_q),
      .data_o  (scale)
  );

  // ---- Scores: classes outside, lanes inside -----------------------------------------------------

  state_e state_q;
  logic [LaneBits-1:0] lane_q;
  logic [WaitBits-1:0] wait_q;
  logic signed [16:0] factor_q;
  logic signed [32:0] product_q;
  logic [31:0] score_q;
  logic [63:0] block_q, line_q, group_base_q, next_q;  // addresses: block, score, group
  logic [15:0] images_q, classes_q;  // still to come: of the group, of the layer
  logic [LaneBits:0] lanes_q;  // images of the block
  logic done_q, lane_last, class_last, images_last, first_group_q, last_block_q, take, block_end;

  assign lane_last = {1'b0, lane_q} + 1'b1 == lanes_q;
  assign class_last = (&pe_q) | (16'(pe_q) + 16'd1 == classes_q);
  assign images_last = images_q <= 16'(Lanes);
  assign take = (state_q == Offer) & score_ready_i;
  assign block_end = take & lane_last & class_last;

  always_ff @(posedge clk_i) begin
    factor_q  <= signed'(17'(sum_i[lane_q*AccBits+:16]));
    product_q <= 33'(factor_q) * 33'(signed'(scale));
    if (state_q == Add) score_q <= product_q[31:0] + {high, low};
    last_block_q <= images_last;
    lanes_q      <= images_last ? images_q[LaneBits:0] : (LaneBits + 1)'(Lanes);
    if (state_q == Idle) begin
      line_q <= block_q;
      lane_q <= '0;
      pe_q   <= '0;
      wait_q <= WaitBits'(3);
    end else begin
      if (state_q == Wait) wait_q <= wait_q - 1'b1;
      if (take) begin
        lane_q <= lane_last ? '0 : lane_q + 1'b1;
        line_q <= lane_last ? block_q + 64'({pe_q + 1'b1, 2'b00}) : line_q + 64'({classes_i, 2'b00});
        if (lane_last) begin
          pe_q   <= pe_q + 1'b1;
          wait_q <= WaitBits'(ShiftWait);
        end
      end
    end
    if (start_i) begin
      images_q      <= images_i;
      classes_q     <= classes_i;
      block_q       <= base_i;
      group_base_q  <= base_i;
      first_group_q <= 1'b1;
    end else if (block_end) begin
      if (last_block_q) begin
        images_q      <= images_i;
        classes_q     <= classes_q - 16'(Pe);
        block_q       <= group_base_q + 64'(Pe * 4);
        group_base_q  <= group_base_q + 64'(Pe * 4);
        first_group_q <= 1'b0;
      end else begin
        images_q <= images_q - 16'(Lanes);
        block_q  <= block_q + (64'({classes_i, 2'b00}) << LaneBits);
      end
    end
    // The last class of the last image of the first group: the line after it
    if (take && first_group_q && last_block_q && lane_last && pe_q == '0) begin
      next_q <= line_q + 64'({classes_i, 2'b00});
    end
    if (rst_i) begin
      state_q <= Idle;
      done_q  <= 1'b0;
    end else begin
      done_q <= block_end;
      unique case (state_q)
        Idle:     if (valid_i) state_q <= Wait;
        Wait:     if (wait_q == '0) state_q <= Select;
        Select:   state_q <= Multiply;
        Multiply: state_q <= Product;
        Product:  state_q <= Add;
        Add:      state_q <= Offer;
        Offer: begin
          if (score_ready_i) state_q <= block_end ? Idle : lane_last ? Wait : Select;
        end
        default:  state_q <= Idle;
      endcase
    end
  end

  logic unused_product;
  assign unused_product = ^{product_q[32], sum_i, weight_i};

  assign shift_o       = take & lane_last & ~class_last;
  assign block_done_o  = done_q;
  assign next_o        = next_q;
  assign score_valid_o = state_q == Offer;
  assign score_addr_o  = line_q;
  assign score_o       = score_q;
endmodule
