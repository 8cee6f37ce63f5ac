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
// cycles before it to the last score; next_o is the address after the last image, ten cycles after
// these. After score_ready_i has fallen up to five more beats come.
module bnn_score
  import bnn_add_pkg::add, bnn_add_pkg::count;
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
  logic [1:0] copies, leaves, moves;
  logic copy_again, leave_again;  // for what counts the pairs and lanes
  logic unused_move;
  logic active_q, ready_q, pair_full_q, pair_last_q, second_q, block_last_q, group_last_q, copy, pair_end, done_q;
  logic ready;  // of the next cycle
  // After a copy: go on to the next pair, block or group
  logic begin_pairs, begin_group, group_end, pair_clear, pair_clear_q, pair_step;
  logic image_clear, image_step, block_clear, block_step;
  logic class_clear, class_take, class_step, group_clear, group_step;
  logic [1:0] shift_q;
  logic [ShiftWait-2:0] wait_q;  // a one for each cycle to wait
  // Still to come: images of the group; classes of the layer, and those of them from this pair on
  logic [15:0] images_q, classes_q;
  logic [PairBits+1:0] left_classes_q;  // at most Pe
  logic more_classes_q, images_over_q, classes_over_q;  // more than Pe classes; twice Lanes images or more; twice Pe
  logic [15:LaneBits] less_images;
  logic [15:PairBits+1] less_classes;
  logic [LaneBits:0] lanes_q, lanes_less_q;  // images of the block; one less
  logic lanes_one_q;

  // Addresses: from an image to the next, of the block's first image without the base and with it, of the pair in that
  // image; in an image, of the pair, of the group's first one and of the next block's. And whether the pair begins in
  // the upper half of a beat, as the base does: Lanes is even.
  logic [17:2] stride_q, stride;  // the latter for the block
  logic [31:2+LaneBits] block_q, block_more;
  logic [63:2] block_begin, line_begin;
  logic [63:22] line_top_more;  // line_begin with a carry into that part
  logic [17:3] class_q, class_more;
  logic [17:GroupShift] group_q, group_more, class_first_q;
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
      .over_i       (over_q),
      .pair_last_i  (pair_last_q),
      .group_last_i (group_last_q),
      .valid_i,
      .settled_i    (active_q & ~wait_q[0]),
      .emit_o       (emit),
      .ready_o      (ready),
      .pair_end_o   (pair_end),
      .group_end_o  (group_end),
      .begin_pairs_o(begin_pairs),
      .begin_group_o(begin_group)
  );

  for (genvar i = 0; i < 2; i++) begin : gen_copy
    bnn_score_copy u_copy (
        .ready_i      (ready_q),
        .emit_i       (emit_q),
        .score_ready_i(score_ready_i),
        .whole_i      (whole_q),
        .over_i       (over_q),
        .copy_o       (copies[i]),
        .leave_o      (leaves[i]),
        .move_o       (moves[i])
    );
  end

  assign {copy_again, copy} = copies;
  assign {leave_again, leave} = leaves;
  assign unused_move = moves[0];

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
    stride_q      <= classes_i;
    images_over_q <= |images_q[15:LaneBits+1];
    block_last_q  <= ~images_over_q & (~images_q[LaneBits] | ~(|images_q[LaneBits-1:0]));
    lanes_q       <= block_last_q ? images_q[LaneBits:0] : (LaneBits + 1)'(Lanes);
    lanes_less_q  <= (LaneBits + 1)'(count(32'(lanes_q), 1'b0, 1'b1));
    lanes_one_q   <= lanes_q == (LaneBits + 1)'(1);
    group_last_q  <= pair_last_q & block_last_q;
    pair_clear_q  <= pair_clear;
    pair_last_q   <= pair_full_q | (~more_classes_q & ~(|left_classes_q[PairBits+1:2]) & ~(&left_classes_q[1:0]));
    second_q      <= more_classes_q | (|left_classes_q[PairBits+1:1]);
    class_first_q <= block_last_q ? group_more : group_q;
    upper_begin_q <= base_i[2];
    if (pair_clear) pair_full_q <= 1'b0;
    else if (pair_step) pair_full_q <= pair_q == PairBits'(Pe / 2 - 2);
    if (pair_clear) pair_q <= '0;
    else if (pair_step) pair_q <= PairBits'(count(32'(pair_q), 1'b1, 1'b0));
    if (pair_clear_q) left_classes_q <= classes_q[PairBits+1:0];
    else if (pair_step) begin
      left_classes_q[PairBits+1:1] <= (PairBits + 1)'(count(32'(left_classes_q[PairBits+1:1]), 1'b0, 1'b1));
    end
    classes_over_q <= |classes_q[15:PairBits+2];
    more_classes_q <= classes_over_q | (classes_q[PairBits+1] & (|classes_q[PairBits:0]));
    if (image_clear) images_q <= images_i;
    else if (image_step) images_q[15:LaneBits] <= less_images;
    if (group_clear) classes_q <= classes_i;
    else if (group_step) classes_q[15:PairBits+1] <= less_classes;
    if (block_clear) block_q <= '0;
    else if (block_step) block_q <= block_more;
    if (group_clear) group_q <= '0;
    else if (group_step) group_q <= class_first_q;  // one further, as the group's last block is copied
    if (class_clear) class_q <= '0;
    else if (class_take) class_q <= {class_first_q, (GroupShift - 3)'(0)};
    else if (class_step) class_q <= class_more;
    wait_q <= valid_i ? '0 : copy_again ? '1 : wait_q >> 1;
    if (rst_i) begin
      active_q <= 1'b0;
      ready_q  <= 1'b0;
      shift_q  <= '0;
      done_q   <= 1'b0;
    end else begin
      active_q <= valid_i | (active_q & ~pair_end);
      ready_q  <= ready;
      shift_q  <= {shift_q[0], copy_again & ~pair_last_q};
      done_q   <= pair_end;
    end
  end

  // What comes next, a pair, a block or a group later: there long before it is taken
  bnn_next #(
      .Bits(16 - LaneBits),
      .Down(1'b1)
  ) u_images (
      .clk_i,
      .value_i(images_q[15:LaneBits]),
      .more_o (less_images)
  );
  bnn_next #(
      .Bits(15 - PairBits),
      .Down(1'b1)
  ) u_classes (
      .clk_i,
      .value_i(classes_q[15:PairBits+1]),
      .more_o (less_classes)
  );
  bnn_next #(
      .Bits(15)
  ) u_class (
      .clk_i,
      .value_i(class_q),
      .more_o (class_more)
  );
  bnn_next #(
      .Bits(18 - GroupShift)
  ) u_group (
      .clk_i,
      .value_i(group_q),
      .more_o (group_more)
  );
  bnn_register #(
      .Bits(16)
  ) u_stride (
      .clk_i,
      .data_i(classes_i),
      .data_o(stride)
  );
  bnn_sum_late #(
      .Bits(30 - LaneBits)
  ) u_block (
      .clk_i,
      .a_i  ((30 - LaneBits)'(stride)),
      .b_i  (block_q),
      .sum_o(block_more)
  );
  bnn_sum_late #(
      .Bits(62)
  ) u_block_begin (
      .clk_i,
      .a_i  (62'({block_q, LaneBits'(0)})),
      .b_i  (base_i[63:2]),
      .sum_o(block_begin)
  );
  bnn_sum_late #(
      .Bits(62)
  ) u_line_begin (
      .clk_i,
      .a_i  (block_begin),
      .b_i  (62'({class_q, 1'b0})),
      .sum_o(line_begin)
  );
  bnn_next #(
      .Bits(42)
  ) u_line_top (
      .clk_i,
      .value_i(line_begin[63:22]),
      .more_o (line_top_more)
  );

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
    if (moves[1]) left_q <= copy_again ? lanes_less_q : (LaneBits + 1)'(count(32'(left_q), 1'b0, 1'b1));
    if (copy_again) begin
      both_q  <= second_q;
      upper_q <= upper_begin_q;
    end else if (leave_again) begin
      upper_q <= upper_q ^ stride_q[2];
    end
    emit_last_q <= emit_last;
    whole_q     <= whole;
    over_q      <= over;
    if (rst_i) begin
      emit_q         <= 1'b0;
      second_write_q <= 1'b0;
    end else begin
      emit_q         <= copy_again | (emit_q & ~(leave_again & emit_last_q));
      second_write_q <= emit ? ~whole_q : second_write_q;
    end
  end

  // ---- Data of a beat, a cycle later, so that an enable is a register of at most 64 loads -------------

  logic [1:0][Lanes*16-1:0] sum_q;
  logic signed [1:0][15:0] scale_pair_q;
  logic [1:0][31:0] offset_pair_q;
  // Address, in three parts: a part is a cycle or two behind the one below it, whose carry it takes. From the pair's
  // first lane on it is that of the lane.
  logic [11:2] pair_low_q, lane_low_q;
  logic [21:12] pair_high_q;
  logic [17+LaneBits:12] lane_high_q;
  logic [63:22] pair_top_q, pair_top_more_q;
  logic [1:0] line_copy_q, top_copy;  // the latter for halves of the last part
  logic line_step_q, lane_carry_q, unused_lane;
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
    line_copy_q <= {line_copy_q[0], line_copy};
    line_step_q <= line_step;
    if (line_copy) pair_low_q <= line_begin[11:2];
    if (line_copy_q[0]) pair_high_q <= line_begin[21:12];
    if (top_copy[0]) pair_top_q <= line_begin[63:22];
    if (top_copy[1]) pair_top_more_q <= line_top_more;
    if (line_copy) lane_low_q <= '0;
    else if (line_step) {lane_carry_q, lane_low_q} <= 11'(add(32'(lane_low_q), 32'(stride_q[11:2])));
    if (line_copy_q[0]) lane_high_q <= '0;
    else if (line_step_q) begin
      {lane_high_q, unused_lane} <= {lane_high_q, lane_carry_q} + {(6 + LaneBits)'(stride_q[17:12]), lane_carry_q};
    end
  end

  for (genvar i = 0; i < 2; i++) begin : gen_top_copy
    bnn_register u_copy (
        .clk_i,
        .data_i(line_copy_q[1]),
        .data_o(top_copy[i])
    );
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
      lane_q <= sum_copy ? '0 : LaneBits'(count(32'(lane_q), lane_step, 1'b0));
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
  // Address, in the parts above; and later, in no shift register: they come from a carry chain
  logic [11:2] addr_low_q, addr_low_d_q, addr_low;
  logic [21:12] addr_high_q, addr_high;
  logic low_carry_q, high_carry_q;
  logic [1:0] top_carry, unused_carry_q;
  logic [60:0] addr_q;  // in beats
  logic [63:0] data_q;
  logic [3:0][2:0] how_q;  // upper, both, second write
  logic [1:0] half_q, upper, second_write;

  bnn_register #(
      .Bits(20)
  ) u_addr (
      .clk_i,
      .data_i({addr_high_q, addr_low_d_q}),
      .data_o({addr_high, addr_low})
  );

  for (genvar i = 0; i < 2; i++) begin : gen_top
    bnn_register u_carry (
        .clk_i,
        .data_i(high_carry_q),
        .data_o(top_carry[i])
    );
    always_ff @(posedge clk_i) begin
      addr_q[19+21*i+:21] <= top_carry[i] ? pair_top_more_q[22+21*i+:21] : pair_top_q[22+21*i+:21];
    end
  end

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
    // The carry of two equal bits is one more, where there is one
    {low_carry_q, addr_low_q, unused_carry_q[0]} <=
        {1'b0, pair_low_q, how_q[0][0]} + {1'b0, lane_low_q, how_q[0][0]};
    {high_carry_q, addr_high_q, unused_carry_q[1]} <=
        {1'b0, pair_high_q, low_carry_q} + {1'b0, 10'(lane_high_q), low_carry_q};
    addr_low_d_q <= addr_low_q;
    addr_q[18:0] <= {addr_high, addr_low[11:3]};
    how_q       <= {how_q[2:0], {upper_q, both_q, second_write_q}};
    half_q      <= how_q[3][0] ? 2'b01 : how_q[3][2] ? 2'b10 : {how_q[3][1], 1'b1};
    if (rst_i) valid_q <= '0;
    else valid_q <= {valid_q[3:0], emit};
  end

  // ---- Address after the layer ---------------------------------------------------------------------

  logic [15:0] images_d_q, classes_d_q;
  logic [31:0] scores_q, scores;

  always_ff @(posedge clk_i) begin
    images_d_q  <= images_i;
    classes_d_q <= classes_i;
    scores_q    <= 32'(images_d_q) * 32'(classes_d_q);
  end

  bnn_register #(
      .Bits(32)
  ) u_scores (
      .clk_i,
      .data_i(scores_q),
      .data_o(scores)
  );
  bnn_sum_late #(
      .Bits(62)
  ) u_next (
      .clk_i,
      .a_i  (62'(scores)),
      .b_i  (base_i[63:2]),
      .sum_o(next_o[63:2])
  );
  assign next_o[1:0] = base_i[1:0];

  logic unused_score;
  assign unused_score = ^{product_q[1][32], product_q[0][32], unused_carry_q, unused_lane, addr_low[2], sum_i,
                          weight_i};

  assign shift_o       = |shift_q;
  assign block_done_o  = done_q;
  assign busy_o        = active_q | emit_q | (|valid_q);
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
