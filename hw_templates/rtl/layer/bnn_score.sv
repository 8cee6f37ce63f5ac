// Scores of the last layer and their addresses, up to two at a time.
//
//   memory[base + (image*classes + class)*4] = scale[p] * acc[l][p] + offset[p]
//
// in 32-bit two's complement. valid_i says that the sums of a block of Lanes images are in the
// array: sum_i[(p*Lanes + l)*SumBits +: SumBits] is that of PE p = 0, 1 of lane l; two cycles of
// shift_o ask for the next two PEs, present ShiftWait cycles after the first; in that one the sums hold.
// Headers are taken from weight_i in the cycle after header0_soon_i, bits [31:0] of every PE as offset, and after
// header1_soon_i, bits [15:0] as signed scale. Blocks come in the order of images, then groups of Pe classes; absent
// images and classes give no output.
//
// The sums of two classes are copied, then their scores leave lane after lane while the next
// sums are shifted: both in one beat of 64 bits where the first one's address is a multiple of 8, else
// one after the other. score_half_o tells which half of the beat at score_addr_o, a multiple of 8, is
// written. block_done_o is a pulse when the last class of a block is copied; headers and sums stay
// in that cycle too. busy_o is high from valid_i until the last score has left.
//
// start_i begins a layer with images_i images, classes_i classes and base_i, constant from two
// cycles before it to the last score; next_o is the address after the last image, four cycles after
// these. After score_ready_i has fallen up to five more beats come.
module bnn_score
  import bnn_add_pkg::add;
#(
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
  localparam int unsigned GroupShift = $clog2(Pe) + 2;  // from a group's number to its first class in bytes

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

  // ready_q: the next pair's sums are there and what is counted is settled
  logic active_q, ready_q, pair_full_q, pair_last_q, second_q, block_last_q, group_last_q, copy, pair_end, done_q;
  logic ready;  // of the next cycle
  // After a copy: go on to the next pair, block or group
  logic begin_pairs, begin_group, group_end, pair_clear, pair_clear_q, pair_step;
  logic image_clear, image_step, block_clear, block_step;
  logic class_clear, class_take, class_step, group_clear, group_step;
  logic [1:0] shift_q;
  logic [ShiftWait-2:0] wait_q;  // a one for each cycle to wait
  // Still to come: images of the group; classes of the layer, and those of them from this pair on
  logic [15:0] images_q, classes_q, left_classes_q;
  logic [15:0] less_images_q, less_classes_q;  // the same a step later, ready before it
  logic [15:1] less_left_q;
  logic [LaneBits:0] lanes_q;  // images of the block
  logic lanes_one_q;

  // Addresses without the base: from an image to the next, of the block's first image and of its
  // pair; in an image, of the pair, of the group's first one and of the next block's. And whether
  // the pair begins in the upper half of a beat, as the base does: Lanes is even.
  logic [31:2] stride_q;
  logic [31:2+LaneBits] block_q;
  logic [31:3] line_begin_q;
  logic [17:3] class_q;
  logic [17:GroupShift] group_q, class_first_q;
  logic upper_begin_q;

  // Beats of the copied pair
  logic emit_q, emit, emit_last_q, both_q, upper_q, whole_q, over_q, second_write_q, leave;  // over_q: the pair's last
  logic emit_last, whole, over;  // in the next cycle
  logic [LaneBits:0] left_q;  // lanes after this one

  bnn_score_step u_step (
      .start_i,
      .ready_i      (ready_q),
      .emit_i       (emit_q),
      .score_ready_i(score_ready_i),
      .whole_i      (whole_q),
      .over_i       (over_q),
      .pair_last_i  (pair_last_q),
      .group_last_i (group_last_q),
      .valid_i,
      .settled_i    (active_q & ~wait_q[0]),
      .emit_o       (emit),
      .leave_o      (leave),
      .copy_o       (copy),
      .ready_o      (ready),
      .pair_end_o   (pair_end),
      .group_end_o  (group_end),
      .begin_pairs_o(begin_pairs),
      .begin_group_o(begin_group)
  );

  bnn_register #(
      .Bits(4)
  ) u_pair_event (
      .clk_i,
      .data_i({begin_pairs, copy, begin_group, pair_end}),
      .data_o({pair_clear, pair_step, image_clear, image_step})
  );
  bnn_register #(
      .Bits(2)
  ) u_block_event (
      .clk_i,
      .data_i({begin_group, pair_end}),
      .data_o({block_clear, block_step})
  );
  bnn_register #(
      .Bits(5)
  ) u_class_event (
      .clk_i,
      .data_i({start_i, pair_end, copy, start_i, group_end}),
      .data_o({class_clear, class_take, class_step, group_clear, group_step})
  );

  always_ff @(posedge clk_i) begin
    // Settled when the first pair of a block is copied
    stride_q      <= 30'(classes_i);
    block_last_q  <= images_q <= 16'(Lanes);
    lanes_q       <= block_last_q ? images_q[LaneBits:0] : (LaneBits + 1)'(Lanes);
    lanes_one_q   <= lanes_q == (LaneBits + 1)'(1);
    group_last_q  <= pair_last_q & block_last_q;
    pair_clear_q  <= pair_clear;
    pair_last_q   <= pair_full_q | (left_classes_q[15:2] == '0 & ~(&left_classes_q[1:0]));
    second_q      <= left_classes_q[15:1] != '0;
    line_begin_q  <= 29'(class_q);
    line_begin_q[31:2+LaneBits] <= (30 - LaneBits)'(add(32'(block_q), 32'(class_q[17:2+LaneBits])));
    class_first_q <= (18 - GroupShift)'(add(32'(group_q), 32'(block_last_q)));
    upper_begin_q <= base_i[2];
    if (pair_clear) pair_full_q <= 1'b0;
    else if (pair_step) pair_full_q <= pair_q == PairBits'(Pe / 2 - 2);
    if (pair_clear) pair_q <= '0;
    else if (pair_step) pair_q <= PairBits'(add(32'(pair_q), 32'd1));
    if (pair_clear_q) left_classes_q <= classes_q;
    else if (pair_step) left_classes_q <= {less_left_q, left_classes_q[0]};
    less_left_q    <= left_classes_q[15:1] - 15'd1;
    less_images_q  <= images_q - 16'(Lanes);
    less_classes_q <= classes_q - 16'(Pe);
    if (image_clear) images_q <= images_i;
    else if (image_step) images_q <= less_images_q;
    if (group_clear) classes_q <= classes_i;
    else if (group_step) classes_q <= less_classes_q;
    if (block_clear) block_q <= '0;
    else if (block_step) block_q <= (30 - LaneBits)'(add(32'(block_q), 32'(stride_q)));
    if (group_clear) group_q <= '0;
    else if (group_step) group_q <= class_first_q;  // one further, as the group's last block is copied
    if (class_clear) class_q <= '0;
    else if (class_take) class_q <= {class_first_q, (GroupShift - 3)'(0)};
    else if (class_step) class_q <= 15'(add(32'(class_q), 32'd1));
    wait_q <= valid_i ? '0 : copy ? '1 : wait_q >> 1;
    if (rst_i) begin
      active_q <= 1'b0;
      ready_q  <= 1'b0;
      shift_q  <= '0;
      done_q   <= 1'b0;
    end else begin
      active_q <= valid_i | (active_q & ~pair_end);
      ready_q  <= ready;
      shift_q  <= {shift_q[0], copy & ~pair_last_q};
      done_q   <= pair_end;
    end
  end

  // ---- Beats of a pair -----------------------------------------------------------------------------

  bnn_score_beat u_beat (
      .ready_i      (ready_q),
      .emit_i       (emit_q),
      .score_ready_i(score_ready_i),
      .emit_last_i  (emit_last_q),
      .whole_i      (whole_q),
      .over_i       (over_q),
      .first_last_i (lanes_one_q),
      .first_whole_i(~(second_q & upper_begin_q)),
      .next_last_i  (left_q == (LaneBits + 1)'(1)),
      .next_whole_i (~(both_q & (upper_q ^ stride_q[2]))),
      .emit_last_o  (emit_last),
      .whole_o      (whole),
      .over_o       (over)
  );

  always_ff @(posedge clk_i) begin
    if (copy) begin
      left_q  <= lanes_q - 1'b1;
      both_q  <= second_q;
      upper_q <= upper_begin_q;
    end else if (leave) begin
      left_q  <= left_q - 1'b1;
      upper_q <= upper_q ^ stride_q[2];
    end
    emit_last_q <= emit_last;
    whole_q     <= whole;
    over_q      <= over;
    if (rst_i) begin
      emit_q         <= 1'b0;
      second_write_q <= 1'b0;
    end else begin
      emit_q         <= copy | (emit_q & ~(leave & emit_last_q));
      second_write_q <= emit ? ~whole_q : second_write_q;
    end
  end

  // ---- Data of a beat, a cycle later, so that an enable is a register of at most 64 loads -------------

  logic [1:0][Lanes*16-1:0] sum_q;
  logic signed [1:0][15:0] scale_pair_q;
  logic [1:0][31:0] offset_pair_q;
  logic [31:3] line_pair_q;
  logic [17+LaneBits:2] line_lane_q;  // from the pair's first one on
  logic scale_copy, offset_copy, line_copy, line_step;

  bnn_register u_scale_copy (.clk_i, .data_i(copy), .data_o(scale_copy));
  bnn_register u_offset_copy (.clk_i, .data_i(copy), .data_o(offset_copy));
  bnn_register #(
      .Bits(2)
  ) u_line (
      .clk_i,
      .data_i({copy, leave}),
      .data_o({line_copy, line_step})
  );

  always_ff @(posedge clk_i) begin
    if (scale_copy) scale_pair_q <= scale;
    if (offset_copy) offset_pair_q <= {high[1], low[1], high[0], low[0]};
    if (line_copy) line_pair_q <= line_begin_q;
    if (line_copy) line_lane_q <= '0;
    else if (line_step) line_lane_q <= (16 + LaneBits)'(add(32'(line_lane_q), 32'(stride_q)));
  end

  // Four bits of both sums at a time, with registers of their own for the copy and the lane
  logic [1:0][15:0] sum;

  for (genvar i = 0; i < 4; i++) begin : gen_sum
    logic sum_copy, lane_step;
    logic [LaneBits-1:0] lane_q;

    bnn_register #(
        .Bits(2)
    ) u_step (
        .clk_i,
        .data_i({copy, leave}),
        .data_o({sum_copy, lane_step})
    );

    always_ff @(posedge clk_i) begin
      if (sum_copy) begin
        for (int unsigned l = 0; l < Lanes; l++) begin
          sum_q[0][l*16+4*i+:4] <= sum_i[l*SumBits+4*i+:4];
          sum_q[1][l*16+4*i+:4] <= sum_i[(Lanes+l)*SumBits+4*i+:4];
        end
      end
      lane_q <= sum_copy ? '0 : LaneBits'(add(32'(lane_q), 32'(lane_step)));
    end

    for (genvar h = 0; h < 2; h++) begin : gen_class
      logic [Lanes*4-1:0] word;

      for (genvar l = 0; l < Lanes; l++) begin : gen_lane
        assign word[4*l+:4] = sum_q[h][16*l+4*i+:4];
      end
      bnn_mux #(
          .Words(Lanes),
          .Bits (4)
      ) u_mux (
          .select_i(lane_q),
          .word_i  (word),
          .data_o  (sum[h][4*i+:4])
      );
    end
  end

  // ---- Scores and their addresses ------------------------------------------------------------------

  logic [4:0] valid_q;
  logic signed [1:0][16:0] factor_q;
  logic signed [1:0][15:0] scale_d_q;
  logic [1:0][32:0] product_q;
  logic [1:0][31:0] offset_d_q, offset_d2_q, score_q;
  // Address, in words, in three parts: a part is a cycle behind the one below it, whose carry it takes
  logic [16:2] line_low_q;
  logic [31:17] line_high_q;
  logic [16:2] addr_low_q, addr_low;  // and a cycle later, in no shift register: they come from a carry chain
  logic [31:17] addr_high_q;
  logic [31:17] line_pair_d_q;
  logic [17+LaneBits:17] line_lane_d_q;
  logic line_carry_q, low_carry_q, high_carry_q;
  logic [3:0] unused_carry_q;
  logic [60:0] addr_q;  // in beats
  logic [63:0] data_q;
  logic [3:0][2:0] how_q;  // upper, both, second write
  logic [1:0] half_q, upper, second_write;

  bnn_register #(
      .Bits(15)
  ) u_addr_low (
      .clk_i,
      .data_i(addr_low_q),
      .data_o(addr_low)
  );

  for (genvar i = 0; i < 2; i++) begin : gen_how
    bnn_register #(
        .Bits(2)
    ) u_how (
        .clk_i,
        .data_i({how_q[2][2], how_q[2][0]}),
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
    {line_carry_q, line_low_q[16:3]} <= 15'(add(32'(line_pair_q[16:3]), 32'(line_lane_q[16:3])));
    line_low_q[2] <= line_lane_q[2];
    line_pair_d_q <= line_pair_q[31:17];
    line_lane_d_q <= line_lane_q[17+LaneBits:17];
    // The carry of two equal bits is one more, where there is one
    {line_high_q, unused_carry_q[0]} <= {line_pair_d_q, line_carry_q} + {15'(line_lane_d_q), line_carry_q};
    {low_carry_q, addr_low_q, unused_carry_q[1]} <= {1'b0, base_i[16:2], how_q[1][0]} + {1'b0, line_low_q, how_q[1][0]};
    {high_carry_q, addr_high_q, unused_carry_q[2]} <=
        {1'b0, base_i[31:17], low_carry_q} + {1'b0, line_high_q, low_carry_q};
    {addr_q[60:29], unused_carry_q[3]} <= {base_i[63:32], high_carry_q} + {32'd0, high_carry_q};
    addr_q[28:0] <= {addr_high_q, addr_low[16:3]};
    how_q       <= {how_q[2:0], {upper_q, both_q, second_write_q}};
    half_q      <= how_q[3][0] ? 2'b01 : how_q[3][2] ? 2'b10 : {how_q[3][1], 1'b1};
    if (rst_i) valid_q <= '0;
    else valid_q <= {valid_q[3:0], emit};
  end

  // ---- Address after the layer ---------------------------------------------------------------------

  // In halves; the carry of two equal bits is that of the lower one
  logic [31:0] scores_q, scores_d_q, high_next_q;
  logic [32:0] low_next_q;
  logic unused_next_q;

  always_ff @(posedge clk_i) begin
    scores_q    <= 32'(images_i) * 32'(classes_i);
    scores_d_q  <= scores_q;
    low_next_q  <= {31'(add(32'(base_i[31:2]), 32'(scores_d_q[29:0]))), base_i[1:0]};
    {high_next_q, unused_next_q} <= {base_i[63:32], low_next_q[32]} + {30'd0, scores_d_q[31:30], low_next_q[32]};
  end

  logic unused_score;
  assign unused_score = ^{product_q[1][32], product_q[0][32], unused_carry_q, unused_next_q, addr_low[2], sum_i,
                          weight_i};

  assign shift_o       = |shift_q;
  assign block_done_o  = done_q;
  assign busy_o        = active_q | emit_q | (|valid_q);
  assign next_o        = {high_next_q, low_next_q[31:0]};
  assign score_valid_o = valid_q[4];
  assign score_addr_o  = {addr_q, 3'b000};
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
  beats_in_time: assert property (score_valid_o && !score_ready_i |-> late_q < 3'd5)
      else $error("more than five beats after score_ready_i has fallen");
`endif
endmodule
