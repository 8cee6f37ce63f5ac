// Scores of the last layer and their addresses, one at a time.
//
//   memory[base + (image*classes + class)*4] = scale[p] * acc[l][p] + offset[p]
//
// in 32-bit two's complement. valid_i says that the sums of a block of Lanes images are in the
// array: sum_i[l*AccBits +: AccBits] is PE 0's of lane l, and shift_o asks for the next PE's, present
// ShiftWait cycles later. Headers are taken from weight_i: header0_i bits [31:0] of every PE as
// offset, header1_i bits [15:0] as signed scale. Blocks come in the order of images, then groups of Pe
// classes; absent images and classes give no output. The sums of a class are copied, then its scores
// leave one per cycle, lane after lane, while the next class's are shifted. block_done_o is a pulse when
// the last class of a block is copied; headers and sums stay until then. busy_o is high from
// valid_i until the last score has left.
//
// start_i begins a layer with images_i images, classes_i classes and base_i, constant from two
// cycles before it to the last score; next_o is the address after the last image, two cycles after
// these. After score_ready_i has fallen up to three more scores come.
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
    output logic                     busy_o,
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

  // ---- Classes of a block ------------------------------------------------------------------------

  logic start_q, active_q, settled_q, class_last_q, block_last_q, copy, shift_q, done_q;
  logic class_next_q, block_next_q, group_next_q;
  logic [WaitBits-1:0] wait_q;
  logic [15:0] images_q, classes_q;  // still to come: of the group, of the layer
  logic [LaneBits:0] lanes_q;  // images of the block
  logic lanes_one_q;

  // Addresses without the base: of an image's scores, of the block's first image, of a class in an
  // image's and of the group's first, the sum for the class
  logic [31:0] stride_q, block_q, line_begin_q;
  logic [17:0] class_q, group_q;

  // Scores of the copied class
  logic emit_q, emit, emit_last_q, free;
  logic [LaneBits:0] left_q;  // after this one
  logic [31:0] line_q;
  logic [Lanes*16-1:0] sum_q;
  logic signed [15:0] scale_class_q;
  logic [31:0] offset_class_q;

  assign emit = emit_q & score_ready_i;
  assign free = ~emit_q | (score_ready_i & emit_last_q);
  assign copy = active_q & settled_q & free;

  always_ff @(posedge clk_i) begin
    // Settled when the first class of a block is copied
    stride_q     <= 32'({classes_i, 2'b00});
    block_last_q <= images_q <= 16'(Lanes);
    lanes_q      <= block_last_q ? images_q[LaneBits:0] : (LaneBits + 1)'(Lanes);
    lanes_one_q  <= lanes_q == (LaneBits + 1)'(1);
    class_last_q <= (&pe_q) | (16'(pe_q) + 16'd1 == classes_q);
    line_begin_q <= block_q + 32'(class_q);
    // Which class, block or group comes after the one copied in the cycle before
    start_q      <= start_i;
    class_next_q <= copy & ~class_last_q;
    block_next_q <= copy & class_last_q & ~block_last_q;
    group_next_q <= copy & class_last_q & block_last_q;
    if (start_q || block_next_q || group_next_q) pe_q <= '0;
    else if (class_next_q) pe_q <= pe_q + 1'b1;
    if (start_q || group_next_q) images_q <= images_i;
    else if (block_next_q) images_q <= images_q - 16'(Lanes);
    if (start_q) classes_q <= classes_i;
    else if (group_next_q) classes_q <= classes_q - 16'(Pe);
    if (start_q || group_next_q) block_q <= '0;
    else if (block_next_q) block_q <= block_q + (stride_q << LaneBits);
    if (start_q) group_q <= '0;
    else if (group_next_q) group_q <= group_q + 18'(Pe * 4);
    if (start_q) class_q <= '0;
    else if (class_next_q) class_q <= class_q + 18'd4;
    else if (block_next_q) class_q <= group_q;
    else if (group_next_q) class_q <= group_q + 18'(Pe * 4);
    wait_q <= valid_i ? '0 : copy ? WaitBits'(ShiftWait - 1) : wait_q - 1'b1;
    if (rst_i) begin
      active_q  <= 1'b0;
      settled_q <= 1'b0;
      shift_q   <= 1'b0;
      done_q    <= 1'b0;
    end else begin
      active_q  <= valid_i | (active_q & ~(copy & class_last_q));
      settled_q <= ~valid_i & ~copy & (settled_q | wait_q == '0);
      shift_q   <= copy & ~class_last_q;
      done_q    <= copy & class_last_q;
    end
  end

  // ---- Lanes of a class ----------------------------------------------------------------------------

  always_ff @(posedge clk_i) begin
    if (copy) begin
      for (int unsigned l = 0; l < Lanes; l++) sum_q[l*16+:16] <= sum_i[l*AccBits+:16];
      scale_class_q  <= signed'(scale);
      offset_class_q <= {high, low};
      left_q         <= lanes_q - 1'b1;
      emit_last_q    <= lanes_one_q;
      line_q         <= line_begin_q;
    end else if (emit) begin
      sum_q       <= sum_q >> 16;
      left_q      <= left_q - 1'b1;
      emit_last_q <= left_q == (LaneBits + 1)'(1);
      line_q      <= line_q + stride_q;
    end
    if (rst_i) emit_q <= 1'b0;
    else emit_q <= copy | (emit_q & ~free);
  end

  // ---- Scores and their addresses ------------------------------------------------------------------

  logic [2:0] valid_q;
  logic signed [16:0] factor_q;
  logic signed [15:0] scale_d_q;
  logic signed [32:0] product_q;
  logic [31:0] offset_q, offset_d_q, score_q, line_d_q;
  logic [32:0] addr_low_q;  // of the address, with its carry
  logic [63:0] addr_q;

  always_ff @(posedge clk_i) begin
    factor_q  <= signed'({1'b0, sum_q[15:0]});
    scale_d_q  <= scale_class_q;
    offset_q  <= offset_class_q;
    line_d_q   <= line_q;
    product_q <= 33'(factor_q) * 33'(scale_d_q);
    offset_d_q <= offset_q;
    addr_low_q    <= 33'(base_i[31:0]) + 33'(line_d_q);
    score_q   <= product_q[31:0] + offset_d_q;
    addr_q    <= {base_i[63:32] + 32'(addr_low_q[32]), addr_low_q[31:0]};
    if (rst_i) valid_q <= '0;
    else valid_q <= {valid_q[1:0], emit};
  end

  // ---- Address after the layer ---------------------------------------------------------------------

  logic [31:0] scores_q;
  logic [63:0] next_q;

  always_ff @(posedge clk_i) begin
    scores_q <= 32'(images_i) * 32'(classes_i);
    next_q   <= base_i + 64'({scores_q, 2'b00});
  end

  logic unused_score;
  assign unused_score = ^{product_q[32], sum_i, weight_i};

  assign shift_o       = shift_q;
  assign block_done_o  = done_q;
  assign busy_o        = active_q | emit_q | (|valid_q);
  assign next_o        = next_q;
  assign score_valid_o = valid_q[2];
  assign score_addr_o  = addr_q;
  assign score_o       = score_q;
endmodule
