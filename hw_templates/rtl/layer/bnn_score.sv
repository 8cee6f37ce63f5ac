// Scores of the last layer and their addresses, up to two at a time.
//
//   memory[base + (image*classes + class)*4] = scale[p] * acc[l][p] + offset[p]
//
// in 32-bit two's complement. valid_i says that the sums of a block of Lanes images are in the
// array: sum_i[(p*Lanes + l)*SumBits +: SumBits] is that of PE p = 0, 1 of lane l; two cycles of
// shift_o ask for the next two PEs, present ShiftWait cycles after the first. Headers are taken from
// weight_i in the cycle after header0_soon_i, bits [31:0] of every PE as offset, and after header1_soon_i, bits
// [15:0] as signed scale. Blocks come in the order of images, then groups of Pe classes; absent images and classes
// give no output.
//
// The sums of two classes are copied, then their scores leave lane after lane while the next
// sums are shifted: both in one beat of 64 bits where the first one's address is a multiple of 8, else
// one after the other. score_half_o tells which half of the beat at score_addr_o, a multiple of 8, is
// written. block_done_o is a pulse when the last class of a block is copied; headers and sums stay
// until then. busy_o is high from valid_i until the last score has left.
//
// start_i begins a layer with images_i images, classes_i classes and base_i, constant from two
// cycles before it to the last score; next_o is the address after the last image, two cycles after
// these. After score_ready_i has fallen up to four more beats come.
module bnn_score #(
    parameter int unsigned Pe = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned SumBits = 17,
    parameter int unsigned ShiftWait = 7
) (
    input  logic                     clk_i,
    input  logic                     rst_i,
    input  logic                     start_i,
    input  logic [15:0]              images_i,
    input  logic [15:0]              classes_i,
    input  logic [63:0]              base_i,
    output logic [63:0]              next_o,
    input  logic                     header0_soon_i,
    input  logic                     header1_soon_i,
    input  logic [Pe*Simd-1:0]       weight_i,
    input  logic                     valid_i,
    input  logic [2*Lanes*SumBits-1:0] sum_i,
    output logic                     shift_o,
    output logic                     block_done_o,
    output logic                     busy_o,
    output logic                     score_valid_o,
    input  logic                     score_ready_i,
    output logic [63:0]              score_addr_o,
    output logic [1:0]               score_half_o,
    output logic [63:0]              score_o
);
  localparam int unsigned PairBits = $clog2(Pe / 2);
  localparam int unsigned LaneBits = $clog2(Lanes);
  localparam int unsigned WaitBits = $clog2(ShiftWait + 1);

  if (Pe < 4 || (Pe & (Pe - 1)) != 0 || Lanes < 2 || (Lanes & (Lanes - 1)) != 0) begin : gen_check
    $error("bnn_score: Pe = %0d, Lanes = %0d, must be powers of two, at least 4 and 2", Pe, Lanes);
  end

  // ---- Headers: one word of each PE, picked while the sums are shifted -------------------------

  // Of even PEs, then of odd ones: [0] belongs to the first class of a pair, [1] to the second.
  logic [1:0][Pe/2*16-1:0] low_q, high_q, scale_q;
  logic [1:0][15:0] low, high, scale;
  logic [PairBits-1:0] pair_q;

  for (genvar p = 0; p < Pe; p++) begin : gen_header
    logic header0, header1;

    bnn_register #(
        .Bits(2)
    ) u_control (
        .clk_i,
        .data_i({header1_soon_i, header0_soon_i}),
        .data_o({header1, header0})
    );

    always_ff @(posedge clk_i) begin
      if (header0) {high_q[p%2][p/2*16+:16], low_q[p%2][p/2*16+:16]} <= weight_i[p*Simd+:32];
      if (header1) scale_q[p%2][p/2*16+:16] <= weight_i[p*Simd+:16];
    end
  end

  for (genvar h = 0; h < 2; h++) begin : gen_pick
    bnn_pick #(
        .Words(Pe / 2),
        .Bits (16)
    ) u_low (
        .clk_i,
        .select_i(pair_q),
        .word_i  (low_q[h]),
        .data_o  (low[h])
    );
    bnn_pick #(
        .Words(Pe / 2),
        .Bits (16)
    ) u_high (
        .clk_i,
        .select_i(pair_q),
        .word_i  (high_q[h]),
        .data_o  (high[h])
    );
    bnn_pick #(
        .Words(Pe / 2),
        .Bits (16)
    ) u_scale (
        .clk_i,
        .select_i(pair_q),
        .word_i  (scale_q[h]),
        .data_o  (scale[h])
    );
  end

  // ---- Pairs of classes of a block ---------------------------------------------------------------

  logic start_q, active_q, settled_q, pair_last_q, second_q, block_last_q, copy, done_q;
  logic pair_next_q, block_next_q, group_next_q;
  logic [1:0] shift_q;
  logic [WaitBits-1:0] wait_q;
  logic [15:0] images_q, classes_q;  // still to come: of the group, of the layer
  logic [LaneBits:0] lanes_q;  // images of the block
  logic lanes_one_q;

  // Addresses without the base: from an image to the next, of the block's first image and of its
  // pair; in an image, of the pair, of the group's first one and of the next block's. And whether
  // the pair begins in the upper half of a beat.
  logic [31:0] stride_q, block_q, line_begin_q;
  logic [17:0] class_q, group_q, class_first_q;
  logic upper_begin_q;

  // Scores of the copied pair
  logic emit_q, emit, emit_last_q, both_q, upper_q, whole_q, second_write_q, leave, free;
  logic [LaneBits:0] left_q;  // lanes after this one
  logic [31:0] line_q;
  logic [1:0][Lanes*16-1:0] sum_q;
  logic signed [1:0][15:0] scale_pair_q;
  logic [1:0][31:0] offset_pair_q;

  assign emit = emit_q & score_ready_i;
  assign leave = emit & whole_q;  // the lane is done
  assign free = ~emit_q | (score_ready_i & emit_last_q & whole_q);
  assign copy = active_q & settled_q & free;

  always_ff @(posedge clk_i) begin
    // Settled when the first pair of a block is copied
    stride_q      <= 32'({classes_i, 2'b00});
    block_last_q  <= images_q <= 16'(Lanes);
    lanes_q       <= block_last_q ? images_q[LaneBits:0] : (LaneBits + 1)'(Lanes);
    lanes_one_q   <= lanes_q == (LaneBits + 1)'(1);
    pair_last_q   <= (&pair_q) | ((17'(pair_q) << 1) + 17'd2 >= 17'(classes_q));
    second_q      <= (17'(pair_q) << 1) + 17'd1 < 17'(classes_q);
    line_begin_q  <= block_q + 32'(class_q);
    class_first_q <= block_last_q ? group_q + 18'(Pe * 4) : group_q;
    upper_begin_q <= base_i[2] ^ block_q[2] ^ class_q[2];
    // Which pair, block or group comes after the one copied in the cycle before
    start_q      <= start_i;
    pair_next_q  <= copy & ~pair_last_q;
    block_next_q <= copy & pair_last_q & ~block_last_q;
    group_next_q <= copy & pair_last_q & block_last_q;
    if (start_q || block_next_q || group_next_q) pair_q <= '0;
    else if (pair_next_q) pair_q <= pair_q + 1'b1;
    if (start_q || group_next_q) images_q <= images_i;
    else if (block_next_q) images_q <= images_q - 16'(Lanes);
    if (start_q) classes_q <= classes_i;
    else if (group_next_q) classes_q <= classes_q - 16'(Pe);
    if (start_q || group_next_q) block_q <= '0;
    else if (block_next_q) block_q <= block_q + (stride_q << LaneBits);
    if (start_q) group_q <= '0;
    else if (group_next_q) group_q <= group_q + 18'(Pe * 4);
    if (start_q) class_q <= '0;
    else if (pair_next_q) class_q <= class_q + 18'd8;
    else if (block_next_q || group_next_q) class_q <= class_first_q;
    wait_q <= valid_i ? '0 : copy ? WaitBits'(ShiftWait - 1) : wait_q - 1'b1;
    if (rst_i) begin
      active_q  <= 1'b0;
      settled_q <= 1'b0;
      shift_q   <= '0;
      done_q    <= 1'b0;
    end else begin
      active_q  <= valid_i | (active_q & ~(copy & pair_last_q));
      settled_q <= ~valid_i & ~copy & (settled_q | wait_q == '0);
      shift_q   <= {shift_q[0], copy & ~pair_last_q};
      done_q    <= copy & pair_last_q;
    end
  end

  // ---- Lanes of a pair -----------------------------------------------------------------------------

  always_ff @(posedge clk_i) begin
    if (copy) begin
      for (int unsigned l = 0; l < Lanes; l++) begin
        sum_q[0][l*16+:16] <= sum_i[l*SumBits+:16];
        sum_q[1][l*16+:16] <= sum_i[(Lanes+l)*SumBits+:16];
      end
      scale_pair_q  <= scale;
      offset_pair_q <= {high[1], low[1], high[0], low[0]};
      left_q        <= lanes_q - 1'b1;
      emit_last_q   <= lanes_one_q;
      line_q        <= line_begin_q;
      both_q        <= second_q;
      upper_q       <= upper_begin_q;
      whole_q       <= ~(second_q & upper_begin_q);
    end else if (leave) begin
      left_q      <= left_q - 1'b1;
      emit_last_q <= left_q == (LaneBits + 1)'(1);
      line_q      <= line_q + stride_q;
      upper_q     <= upper_q ^ stride_q[2];
      whole_q     <= ~(both_q & (upper_q ^ stride_q[2]));
    end else if (emit) begin
      whole_q <= 1'b1;
    end
    if (rst_i) begin
      emit_q         <= 1'b0;
      second_write_q <= 1'b0;
    end else begin
      emit_q         <= copy | (emit_q & ~free);
      second_write_q <= emit ? ~whole_q : second_write_q;
    end
  end

  // Four bits of both sums at a time, with a register of their own for the lane
  logic [LaneBits-1:0] lane_next, lane[4];
  logic [1:0][15:0] sum;

  assign lane_next = copy ? '0 : lane[0] + LaneBits'(leave);

  for (genvar i = 0; i < 4; i++) begin : gen_sum
    bnn_register #(
        .Bits(LaneBits)
    ) u_lane (
        .clk_i,
        .data_i(lane_next),
        .data_o(lane[i])
    );

    for (genvar h = 0; h < 2; h++) begin : gen_class
      logic [Lanes*4-1:0] word;

      for (genvar l = 0; l < Lanes; l++) begin : gen_lane
        assign word[4*l+:4] = sum_q[h][16*l+4*i+:4];
      end
      bnn_mux #(
          .Words(Lanes),
          .Bits (4)
      ) u_mux (
          .select_i(lane[i]),
          .word_i  (word),
          .data_o  (sum[h][4*i+:4])
      );
    end
  end

  // ---- Scores and their addresses ------------------------------------------------------------------

  logic [3:0] valid_q;
  logic signed [1:0][16:0] factor_q;
  logic signed [1:0][15:0] scale_d_q;
  logic [1:0][32:0] product_q;
  logic [1:0][31:0] offset_d_q, offset_d2_q, score_q;
  logic [31:2] line_d_q;
  logic [30:0] addr_low_q;  // in words, with its carry
  logic unused_carry_q;
  logic [60:0] addr_q;  // in beats
  logic [63:0] addr_out_q, data_q;
  logic [2:0][2:0] how_q;  // upper, both, second write
  logic [1:0] half_q, upper, second_write;

  for (genvar i = 0; i < 2; i++) begin : gen_how
    bnn_register #(
        .Bits(2)
    ) u_how (
        .clk_i,
        .data_i({how_q[1][2], how_q[1][0]}),
        .data_o({upper[i], second_write[i]})
    );
    always_ff @(posedge clk_i) begin
      data_q[16*i+:16]    <= second_write[i] ? score_q[1][16*i+:16] : score_q[0][16*i+:16];
      data_q[32+16*i+:16] <= upper[i] ? score_q[0][16*i+:16] : score_q[1][16*i+:16];
    end
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned h = 0; h < 2; h++) begin
      factor_q[h]  <= {1'b0, sum[h]};
      product_q[h] <= 33'(signed'(factor_q[h])) * 33'(signed'(scale_d_q[h]));
      score_q[h]   <= product_q[h][31:0] + offset_d2_q[h];
    end
    scale_d_q   <= scale_pair_q;
    offset_d_q  <= offset_pair_q;
    offset_d2_q <= offset_d_q;
    line_d_q    <= line_q[31:2];
    // In words; the carry of two equal bits is the second write's one more
    {addr_low_q, unused_carry_q} <= {1'b0, base_i[31:2], how_q[0][0]} + {1'b0, line_d_q, how_q[0][0]};
    addr_q      <= {base_i[63:32] + 32'(addr_low_q[30]), addr_low_q[29:1]};
    addr_out_q  <= {addr_q, 3'b000};
    how_q       <= {how_q[1:0], {upper_q, both_q, second_write_q}};
    half_q      <= how_q[2][0] ? 2'b01 : how_q[2][2] ? 2'b10 : {how_q[2][1], 1'b1};
    if (rst_i) valid_q <= '0;
    else valid_q <= {valid_q[2:0], emit};
  end

  // ---- Address after the layer ---------------------------------------------------------------------

  logic [31:0] scores_q;
  logic [63:0] next_q;

  always_ff @(posedge clk_i) begin
    scores_q <= 32'(images_i) * 32'(classes_i);
    next_q   <= base_i + 64'({scores_q, 2'b00});
  end

  logic unused_score;
  assign unused_score = ^{product_q[1][32], product_q[0][32], unused_carry_q, addr_low_q[0], sum_i, weight_i};

  assign shift_o       = |shift_q;
  assign block_done_o  = done_q;
  assign busy_o        = active_q | emit_q | (|valid_q);
  assign next_o        = next_q;
  assign score_valid_o = valid_q[3];
  assign score_addr_o  = addr_out_q;
  assign score_half_o  = half_q;
  assign score_o       = data_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  logic [95:0] config_now, config_q;
  logic constant, constant_q;
  logic open_q;  // from the first header until the last sums are copied
  logic [2:0] late_q;  // beats since score_ready_i has fallen

  assign config_now = {images_i, classes_i, base_i};
  assign constant = config_now == config_q;

  always_ff @(posedge clk_i) begin
    config_q   <= config_now;
    constant_q <= constant;
    open_q     <= ~rst_i & (header0_soon_i | (open_q & ~(copy & pair_last_q & block_last_q & classes_q <= 16'(Pe))));
    late_q     <= (rst_i || score_ready_i) ? '0 : late_q + 3'(score_valid_o);
  end

  start_constant: assert property (start_i |-> constant && constant_q)
      else $error("images_i, classes_i or base_i not constant from two cycles before start_i");
  layer_constant: assert property (open_q || busy_o |-> constant)
      else $error("images_i, classes_i or base_i change before the last score");
  headers_hold: assert property (header0_soon_i || header1_soon_i |-> !active_q)
      else $error("a header before block_done_o");
  block_in_turn: assert property (valid_i |-> !active_q)
      else $error("valid_i before block_done_o");
  beats_in_time: assert property (score_valid_o && !score_ready_i |-> late_q < 3'd4)
      else $error("more than four beats after score_ready_i has fallen");
`endif
endmodule
