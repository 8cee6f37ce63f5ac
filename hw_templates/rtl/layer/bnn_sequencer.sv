// Steps of one array layer: for each step the read addresses, padding and markers.
//
//   for g < groups: for i < images: for y < rows (2*rows in steps of 2 with pool): for b < blocks:
//     for dy < 1 + pool, with by_image_i also dx: for outer: for inner: for ky, kx, c:  one step
//
// outer and inner go over bases and planes n, or with planes_outer_i over planes and bases. A step reads lane l's
// column b*Lanes + l + shift, shift = kx - pad, of row y*stride + dy + ky - pad: memory m is read at
//   source_base + i*image_stride + row*row_stride + (b + a)*record + n*cw + c,
// a = -1 for m >= Lanes + shift, a = 1 for m < shift, else 0. Where lanes are images (dense_i, by_image_i), all
// memories are read at column b*stride (2*b with pool_i) + dx + kx - pad in place of b + a, and shift is 0. pad_o[l]
// is set for a lane outside the image (never with dense_i), zero_plane_o in plane 0, tail_o on the last word of a
// tap. index_o counts the weights of the group's bases: from index_first_i on. first_o and last_o mark the first and
// last step of a sum, which is handed over after all passes, with hand_i 1 after each outer one, with 2 after each;
// second_o the lower row of a pool (dy = 1, not by_image_i), group_last_o the last step of a group.
//
// start_i takes a pulse two cycles after a reset or done_o, or later; the configuration is constant from two cycles
// before it (index_first_i: from the first step on) to done_o, and all limits are at least 1. The next step lies
// ready in registers; next_*_o say what it is. It is taken when next_valid_o and ready_i are high, unless wait_i and
// next_hold_o are: first steps of sums are held with hold_first_i, final ones with hold_final_i. done_o is a pulse in
// the cycle after the last step was taken.
//
// Latency: next_valid_o is there three cycles after start_i; the outputs of a step, with valid_o,
// are there 4 cycles after it was taken. One step per cycle.
module bnn_sequencer #(
    parameter int unsigned Lanes = 4,
    parameter int unsigned ActDepth = 1024,
    localparam int unsigned AddrBits = $clog2(ActDepth)
) (
    input  logic                      clk_i,
    input  logic                      rst_i,
    input  logic                      start_i,
    output logic                      done_o,
    // Configuration, from the descriptor
    input  logic [15:0]               tap_rows_i,
    input  logic [15:0]               tap_columns_i,
    input  logic [1:0]                pad_i,
    input  logic [4:0]                inner_i,  // passes of the inner loop
    input  logic [4:0]                outer_i,
    input  logic                      planes_outer_i,
    input  logic [1:0]                hand_i,
    input  logic                      pool_i,
    input  logic                      stride2_i,
    input  logic                      dense_i,
    input  logic                      by_image_i,
    input  logic                      hold_first_i,
    input  logic                      hold_final_i,
    input  logic [5:0]                index_first_i,
    input  logic [15:0]               groups_i,
    input  logic [15:0]               images_i,
    input  logic [15:0]               rows_i,
    input  logic [15:0]               blocks_i,
    input  logic [15:0]               cw_i,
    input  logic [AddrBits-1:0]       record_i,  // words of a pixel
    input  logic [15:0]               height_i,
    input  logic [15:0]               width_i,
    input  logic [AddrBits-1:0]       source_base_i,
    input  logic [AddrBits-1:0]       image_stride_i,
    input  logic [AddrBits-1:0]       row_stride_i,
    // The step that can be taken
    output logic                      next_valid_o,
    input  logic                      ready_i,
    input  logic                      wait_i,
    output logic                      next_hold_o,
    output logic                      next_last_o,
    output logic                      next_final_o,  // last, of the lower row if there are two
    output logic                      next_group_last_o,
    // Steps taken
    output logic                      valid_o,
    output logic [Lanes*AddrBits-1:0] read_addr_o,
    output logic [6:0]                shift_o,  // one-hot: 0, 1, 2, 3, 4, -1, -2
    output logic [Lanes-1:0]          pad_o,
    output logic                      zero_plane_o,
    output logic                      tail_o,
    output logic [15:0]               index_o,
    output logic                      first_o,
    output logic                      last_o,
    output logic                      second_o,
    output logic                      group_last_o
);
  localparam int unsigned LaneBits = $clog2(Lanes);

  if (Lanes < 2 || Lanes > 16 || (Lanes & (Lanes - 1)) != 0) begin : gen_check_lanes
    $error("bnn_sequencer: Lanes = %0d, must be a power of two from 2 to 16", Lanes);
  end
  if (ActDepth < 2 || ActDepth > 65536 || (ActDepth & (ActDepth - 1)) != 0) begin : gen_check_depth
    $error("bnn_sequencer: ActDepth = %0d, must be a power of two from 2 to 65536", ActDepth);
  end

  // ---- Loops -----------------------------------------------------------------------------------

  localparam int unsigned Loops = 10;
  localparam int unsigned C = 0, Kx = 1, Ky = 2, Inner = 3, Outer = 4, Pool = 5, Block = 6, Row = 7;
  localparam int unsigned Image = 8, Group = 9;

  logic [2:0] restart;  // of four loops each
  logic start_q, busy_q, take, first_q, end_c, end_kx, end_ky, end_inner, end_outer, end_pool, end_hand;
  logic end_block, end_row, end_image;
  logic each_pass_q, each_outer_q;  // when sums are handed over
  logic [Loops-1:0] last, go;
  logic [15:0] value[Loops];
  logic [15:0] limit[Loops];
  logic [15:0] index_q, base_index_q;  // the latter: where the base's weights begin
  logic index_reset, index_again;
  logic valid_q, next_hold_q;  // of the next step

  assign limit[C]     = cw_i;
  assign limit[Kx]    = tap_columns_i;
  assign limit[Ky]    = tap_rows_i;
  assign limit[Inner] = 16'(inner_i);
  assign limit[Outer] = 16'(outer_i);
  assign limit[Pool]  = !pool_i ? 16'd1 : by_image_i ? 16'd4 : 16'd2;
  assign limit[Block] = blocks_i;
  assign limit[Row]   = rows_i;
  assign limit[Image] = images_i;
  assign limit[Group] = groups_i;

  for (genvar i = 0; i < 3; i++) begin : gen_restart
    bnn_register u_restart (
        .clk_i,
        .data_i(start_i),
        .data_o(restart[i])
    );
  end

  bnn_sequencer_nest #(
      .Loops(Loops)
  ) u_nest (
      .busy_i (busy_q),
      .valid_i(valid_q),
      .ready_i,
      .wait_i,
      .hold_i (next_hold_q),
      .last_i (last),
      .go_o   (go)
  );

  for (genvar i = 0; i < Loops; i++) begin : gen_loop
    localparam int unsigned Bits = (i == Pool) ? 3 : (i == Inner || i == Outer) ? 5 : 16;
    bnn_loop #(
        .Bits(Bits)
    ) u_loop (
        .clk_i,
        .restart_i(restart[i/4]),
        .go_i     (go[i]),
        .limit_i  (limit[i][Bits-1:0]),
        .value_o  (value[i][Bits-1:0]),
        .last_o   (last[i])
    );
    if (Bits < 16) begin : gen_narrow
      assign value[i][15:Bits] = '0;
    end
  end

  assign end_c     = last[C];
  assign end_kx    = &last[Kx:C];
  assign end_ky    = &last[Ky:C];
  assign end_inner = &last[Inner:C];
  assign end_outer = &last[Outer:C];
  assign end_pool  = &last[Pool:C];
  assign end_block = &last[Block:C];
  assign end_row   = &last[Row:C];
  assign end_image = &last[Image:C];

  assign end_hand = end_ky & (last[Inner] | each_pass_q) & (last[Outer] | each_outer_q);
  // The planes of a base are given the same weights; with planes outside, all bases come again.
  assign index_reset = end_outer | (end_inner & planes_outer_i);
  assign index_again = end_ky & ~last[Inner] & ~planes_outer_i;

  always_ff @(posedge clk_i) begin
    each_pass_q  <= hand_i[1];
    each_outer_q <= |hand_i;
    if (start_q) begin
      index_q      <= '0;
      base_index_q <= '0;
      first_q      <= 1'b1;
    end else if (go[C]) begin
      index_q <= index_reset ? '0 : index_again ? base_index_q : index_q + 16'd1;
      if (end_inner) base_index_q <= index_reset ? '0 : index_q + 16'd1;
      first_q <= end_hand;
    end
    if (rst_i) begin
      start_q <= 1'b0;
      busy_q  <= 1'b0;
    end else begin
      start_q <= start_i;
      busy_q  <= start_q | (busy_q & ~(go[Group] & last[Group]));
    end
  end

  // ---- The next step, and which loop goes on after it ----------------------------------------------

  logic done_q;
  logic next_first_q, next_last_q, next_final_q, next_dy_q, next_dx_q, next_tail_q;
  logic next_group_last_q, next_over_q;
  logic [15:0] next_index_q, next_c_q;
  logic [2:0] next_kx_q;
  // Exclusive but the last
  logic image_then_q, row_then_q, block_then_q, dy_then_q, dx_then_q, outer_then_q, inner_then_q, ky_then_q, kx_then_q;
  logic row_over_q;

  assign take = valid_q & ready_i & ~(wait_i & next_hold_q);

  always_ff @(posedge clk_i) begin
    if (go[C]) begin
      next_hold_q       <= (first_q & hold_first_i) | (end_pool & hold_final_i);
      next_first_q      <= first_q;
      next_last_q       <= end_hand;
      next_final_q      <= end_pool;
      next_group_last_q <= end_image;
      next_over_q       <= &last;
      next_dy_q         <= value[Pool][0] & ~by_image_i;
      next_dx_q         <= value[Pool][0] & by_image_i;
      next_tail_q       <= end_c;
      next_index_q      <= index_q;
      next_c_q          <= value[C];
      next_kx_q         <= value[Kx][2:0];
      image_then_q      <= end_row & ~last[Image];
      row_then_q        <= end_block & ~last[Row];
      block_then_q      <= end_pool & ~last[Block];
      dy_then_q         <= end_outer & ~last[Pool] & (~by_image_i | value[Pool][0]);
      dx_then_q         <= end_outer & ~last[Pool] & by_image_i & ~value[Pool][0];
      outer_then_q      <= end_inner & ~last[Outer];
      inner_then_q      <= end_ky & ~last[Inner];
      ky_then_q         <= end_kx & ~last[Ky];
      kx_then_q         <= end_c & ~last[Kx];
      row_over_q        <= end_block;
    end
    if (rst_i) begin
      valid_q <= 1'b0;
      done_q  <= 1'b0;
    end else begin
      valid_q <= busy_q | (valid_q & ~take);
      done_q  <= take & next_over_q;
    end
  end

  // ---- Events: which loop goes on after the step of the cycle before ---------------------------------

  // Exclusive; begin also at the end of a group. One copy for each address and row that follows them.
  logic begin_d, image_d, row_d, block_d, dy_d, dx_d, outer_d, inner_d, again_d, ky_d, kx_d, step_q;
  logic image_begin, image_image, row_begin, row_image, row_row, y_begin, y_image, y_row;
  logic tap_begin, tap_image, tap_row, tap_block, tap_dy, tap_again, tap_ky;
  logic line_begin, line_image, line_row, line_block, line_dy;
  logic tap_y_begin, tap_y_image, tap_y_row, tap_y_block, tap_y_dy, tap_y_again, tap_y_ky;
  logic block_begin_q, block_step_q;
  logic dx_event_q, outer_event_q, inner_event_q, ky_event_q, kx_event_q;
  // The step itself
  logic first_d_q, last_d_q, dy_d_q, dx_d_q, tail_d_q, end_image_q;
  logic [15:0] index_d_q, c_d_q;
  logic [2:0] kx_d_q;

  assign begin_d = start_q | (take & next_group_last_q);
  assign image_d = take & image_then_q;
  assign row_d   = take & row_then_q;
  assign block_d = take & block_then_q;
  assign dy_d    = take & dy_then_q;
  assign dx_d    = take & dx_then_q;
  assign outer_d = take & outer_then_q;
  assign inner_d = take & inner_then_q;
  assign again_d = take & (dx_then_q | outer_then_q | inner_then_q);  // from the line's first tap on
  assign ky_d    = take & ky_then_q;
  assign kx_d    = take & kx_then_q;

  bnn_register #(
      .Bits(2)
  ) u_image_event (
      .clk_i,
      .data_i({begin_d, image_d}),
      .data_o({image_begin, image_image})
  );
  bnn_register #(
      .Bits(3)
  ) u_row_event (
      .clk_i,
      .data_i({begin_d, image_d, row_d}),
      .data_o({row_begin, row_image, row_row})
  );
  bnn_register #(
      .Bits(3)
  ) u_y_event (
      .clk_i,
      .data_i({begin_d, image_d, row_d}),
      .data_o({y_begin, y_image, y_row})
  );
  bnn_register #(
      .Bits(7)
  ) u_tap_event (
      .clk_i,
      .data_i({begin_d, image_d, row_d, block_d, dy_d, again_d, ky_d}),
      .data_o({tap_begin, tap_image, tap_row, tap_block, tap_dy, tap_again, tap_ky})
  );
  bnn_register #(
      .Bits(5)
  ) u_line_event (
      .clk_i,
      .data_i({begin_d, image_d, row_d, block_d, dy_d}),
      .data_o({line_begin, line_image, line_row, line_block, line_dy})
  );
  bnn_register #(
      .Bits(7)
  ) u_tap_y_event (
      .clk_i,
      .data_i({begin_d, image_d, row_d, block_d, dy_d, again_d, ky_d}),
      .data_o({tap_y_begin, tap_y_image, tap_y_row, tap_y_block, tap_y_dy, tap_y_again, tap_y_ky})
  );

  always_ff @(posedge clk_i) begin
    block_begin_q  <= start_q | (take & row_over_q);
    block_step_q   <= take & block_then_q;
    dx_event_q     <= dx_d;
    outer_event_q  <= outer_d;
    inner_event_q  <= inner_d;
    ky_event_q     <= ky_d;
    kx_event_q     <= kx_d;
    first_d_q      <= next_first_q;
    last_d_q       <= next_last_q;
    dy_d_q         <= next_dy_q;
    dx_d_q         <= next_dx_q;
    tail_d_q       <= next_tail_q;
    end_image_q    <= next_group_last_q;
    index_d_q      <= next_index_q;
    c_d_q          <= next_c_q;
    kx_d_q         <= next_kx_q;
    if (rst_i) step_q <= 1'b0;
    else step_q <= take;
  end

  // ---- Positions, as they are for the step of the cycle before ---------------------------------------

  logic [AddrBits-1:0] image_addr_q;  // row -pad of the image
  logic [AddrBits-1:0] row_addr_q;  // row y - pad
  logic [AddrBits-1:0] line_addr_q;  // row y + dy - pad
  logic [AddrBits-1:0] tap_addr_q;  // row y + dy + ky - pad
  logic [AddrBits-1:0] block_addr_q;  // of the block's first column, where lanes are images less the padding
  logic [AddrBits-1:0] column_addr_q, plane_addr_q;  // (dx + kx)*record where lanes are images; n*cw
  // Row -pad of the first image; two rows with a pool or a stride; what a block takes; column -pad
  logic [AddrBits-1:0] base_q, two_rows_q, block_words_q, before_words_q;
  logic [AddrBits-1:0] cw, next_image, next_row, next_tap;
  logic [15:0] left_q;  // columns from the block's first one on
  logic [15:0] block_columns_q;
  logic signed [16:0] y_q, line_row_q, tap_row_q;  // rows y - pad, y + dy - pad, y + dy + ky - pad
  logic signed [16:0] next_y;
  logic block_first_q, zero_plane_q;
  logic [1:0] before_q;  // columns before the block's first one, at most 3

  logic two, two_y, images;  // rows in steps of two; lanes are images
  logic [1:0] pad_y, pad_tap_y, pad_line_y;

  bnn_register u_two (.clk_i, .data_i(pool_i | stride2_i), .data_o(two));
  bnn_register u_two_y (.clk_i, .data_i(pool_i | stride2_i), .data_o(two_y));
  bnn_register u_images (.clk_i, .data_i(dense_i | by_image_i), .data_o(images));
  bnn_register #(.Bits(2)) u_pad_y (.clk_i, .data_i(pad_i), .data_o(pad_y));
  bnn_register #(.Bits(2)) u_pad_tap_y (.clk_i, .data_i(pad_i), .data_o(pad_tap_y));
  bnn_register #(.Bits(2)) u_pad_line_y (.clk_i, .data_i(pad_i), .data_o(pad_line_y));

  assign cw = cw_i[AddrBits-1:0];
  assign next_image = image_addr_q + image_stride_i;
  assign next_row = row_addr_q + (tap_row ? two_rows_q : row_stride_i);
  assign next_tap = tap_addr_q + row_stride_i;
  assign next_y = y_q + (tap_y_row && two_y ? 17'sd2 : 17'sd1);

  always_ff @(posedge clk_i) begin
    base_q          <= source_base_i - (pad_i[0] ? row_stride_i : pad_i[1] ? row_stride_i << 1 : '0);
    two_rows_q      <= two ? row_stride_i << 1 : row_stride_i;
    block_words_q   <= (images & two) ? record_i << 1 : record_i;
    before_words_q  <= !images ? '0 : pad_i[0] ? '0 - record_i : pad_i[1] ? '0 - (record_i << 1) : '0;
    block_columns_q <= !images ? 16'(Lanes) : two ? 16'd2 : 16'd1;
    if (image_begin) image_addr_q <= base_q;
    else if (image_image) image_addr_q <= next_image;
    if (row_begin) row_addr_q <= base_q;
    else if (row_image) row_addr_q <= next_image;
    else if (row_row) row_addr_q <= row_addr_q + two_rows_q;
    unique case (1'b1)
      tap_begin: tap_addr_q <= base_q;
      tap_image: tap_addr_q <= next_image;
      tap_row:   tap_addr_q <= next_row;
      tap_dy:    tap_addr_q <= next_row;
      tap_block: tap_addr_q <= row_addr_q;
      tap_again: tap_addr_q <= line_addr_q;
      tap_ky:    tap_addr_q <= next_tap;
      default: ;
    endcase
    unique case (1'b1)
      line_begin: line_addr_q <= base_q;
      line_image: line_addr_q <= next_image;
      line_row:   line_addr_q <= next_row;
      line_dy:    line_addr_q <= next_row;
      line_block: line_addr_q <= row_addr_q;
      default: ;
    endcase
    if (y_begin || y_image) y_q <= -17'(pad_y);
    else if (y_row) y_q <= y_q + (two_y ? 17'sd2 : 17'sd1);
    unique case (1'b1)
      tap_y_begin: tap_row_q <= -17'(pad_tap_y);
      tap_y_image: tap_row_q <= -17'(pad_tap_y);
      tap_y_row:   tap_row_q <= next_y;
      tap_y_dy:    tap_row_q <= next_y;
      tap_y_block: tap_row_q <= y_q;
      tap_y_again: tap_row_q <= line_row_q;
      tap_y_ky:    tap_row_q <= tap_row_q + 17'sd1;
      default: ;
    endcase
    unique case (1'b1)
      line_begin: line_row_q <= -17'(pad_line_y);
      line_image: line_row_q <= -17'(pad_line_y);
      line_row:   line_row_q <= next_y;
      line_dy:    line_row_q <= next_y;
      line_block: line_row_q <= y_q;
      default: ;
    endcase
    if (block_begin_q) begin
      block_addr_q  <= before_words_q;
      left_q        <= width_i;
      block_first_q <= 1'b1;
      before_q      <= '0;
    end else if (block_step_q) begin
      block_addr_q  <= block_addr_q + block_words_q;
      left_q        <= left_q - block_columns_q;
      block_first_q <= 1'b0;
      before_q      <= (before_q[1] | (before_q[0] & two_y)) ? 2'd3 : before_q + (two_y ? 2'd2 : 2'd1);
    end
    if (kx_event_q) column_addr_q <= images ? column_addr_q + record_i : '0;
    else if (dx_event_q) column_addr_q <= record_i;
    else if (ky_event_q || outer_event_q || inner_event_q) column_addr_q <= dx_d_q ? record_i : '0;
    else if (tap_begin || tap_image || tap_row || tap_block || tap_dy) column_addr_q <= '0;
    if (outer_event_q ? planes_outer_i : (inner_event_q & ~planes_outer_i)) begin
      plane_addr_q <= plane_addr_q + cw;
      zero_plane_q <= 1'b0;
    end else if (tap_begin || tap_image || tap_row || tap_block || tap_dy || dx_event_q || outer_event_q) begin
      plane_addr_q <= '0;
      zero_plane_q <= 1'b1;
    end
  end

  // ---- Pipeline: sums of addresses, positions against the edges -----------------------------------

  logic [2:0] valid_p;
  logic [1:0] first_p, last_p, second_p, group_last_p, tail_p, zero_plane_p;
  logic [15:0] index_p[2];
  logic signed [3:0] shift_d, shift_p[2];
  logic [AddrBits-1:0] here_p[2], column_p[2], c_p;
  logic row_above_p, row_below_p, column_out, out_p, block_first_p[2];
  logic signed [4:0] at_p;  // dx + kx - pad, of the column from the block's first one on
  logic [1:0] before_p;
  logic [LaneBits+1:0] left_p[2];  // min(left, 2*Lanes): lanes and a shift of at most 2

  always_ff @(posedge clk_i) begin
    first_p      <= {first_p[0], first_d_q};
    last_p       <= {last_p[0], last_d_q};
    second_p     <= {second_p[0], dy_d_q};
    group_last_p <= {group_last_p[0], end_image_q};
    tail_p       <= {tail_p[0], tail_d_q};
    zero_plane_p <= {zero_plane_p[0], zero_plane_q};
    index_p[0]   <= index_d_q;
    index_p[1]   <= index_p[0] + 16'(index_first_i);
    shift_p[0]   <= shift_d;
    shift_p[1]   <= shift_p[0];
    here_p[0]    <= tap_addr_q + block_addr_q;
    c_p          <= plane_addr_q + c_d_q[AddrBits-1:0];
    column_p[0]  <= column_addr_q;
    column_p[1]  <= column_p[0];
    here_p[1]    <= here_p[0] + c_p;
    row_above_p  <= tap_row_q[16];
    row_below_p  <= ~tap_row_q[16] & (tap_row_q[15:0] >= height_i);
    at_p         <= 5'(signed'({1'b0, kx_d_q})) + 5'(signed'({1'b0, dx_d_q})) - 5'(signed'({1'b0, pad_i}));
    before_p     <= before_q;
    out_p        <= ~dense_i & (row_above_p | row_below_p | (by_image_i & column_out));
    block_first_p[0] <= block_first_q;
    block_first_p[1] <= block_first_p[0];
    left_p[0]    <= (|left_q[15:LaneBits+1]) ? (LaneBits + 2)'(2 * Lanes)
        : {1'b0, left_q[LaneBits:0]};
    left_p[1]    <= left_p[0];
    if (rst_i) valid_p <= '0;
    else valid_p <= {valid_p[1:0], step_q};
  end

  logic [6:0] shift_q;
  logic tail_q, zero_plane_o_q, first_o_q, last_o_q, second_o_q, group_last_o_q;
  logic [15:0] index_o_q;

  assign column_out = at_p < 0 ? 5'(signed'({1'b0, before_p})) + at_p < 0
      : (LaneBits + 6)'(unsigned'(at_p[3:0])) >= (LaneBits + 6)'(left_p[0]);
  assign shift_d = images ? 4'sd0 : signed'({1'b0, kx_d_q}) - signed'({2'b00, pad_i});

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    bnn_sequencer_lane #(
        .Lane    (l),
        .Lanes   (Lanes),
        .AddrBits(AddrBits)
    ) u_lane (
        .clk_i,
        .images_i     (images),
        .shift_i      (shift_d),
        .out_i        (out_p),
        .block_first_i(block_first_p[1]),
        .left_i       (left_p[1]),
        .here_i       (here_p[1]),
        .column_i     (column_p[1]),
        .record_i,
        .pad_o        (pad_o[l]),
        .addr_o       (read_addr_o[l*AddrBits+:AddrBits])
    );
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < 7; i++) shift_q[i] <= shift_p[1] == (i < 5 ? 4'(i) : 4'sd4 - 4'(i));
    tail_q         <= tail_p[1];
    zero_plane_o_q <= zero_plane_p[1];
    first_o_q      <= first_p[1];
    last_o_q       <= last_p[1];
    second_o_q     <= second_p[1];
    group_last_o_q <= group_last_p[1];
    index_o_q      <= index_p[1];
  end

  logic unused_sequencer;
  assign unused_sequencer = ^{c_d_q, value[Kx], value[Ky], value[Inner], value[Outer], value[Pool], value[Block],
                              value[Row], value[Image], value[Group]};

  assign done_o            = done_q;
  assign next_valid_o      = valid_q;
  assign next_hold_o       = next_hold_q;
  assign next_last_o       = next_last_q;
  assign next_final_o      = next_final_q;
  assign next_group_last_o = next_group_last_q;
  assign valid_o           = valid_p[2];
  assign shift_o           = shift_q;
  assign tail_o            = tail_q;
  assign zero_plane_o      = zero_plane_o_q;
  assign index_o           = index_o_q;
  assign first_o           = first_o_q;
  assign last_o            = last_o_q;
  assign second_o          = second_o_q;
  assign group_last_o      = group_last_o_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  // Configuration beside the loops' limits, which bnn_loop looks at
  localparam int unsigned Config = 2 + 1 + 2 + 4 + 2 + 2 * 16 + 5 * AddrBits;
  logic [Config-1:0] config_now, config_q;
  logic constant, constant_q, active;

  assign config_now = {pad_i, planes_outer_i, hand_i, pool_i, stride2_i, dense_i, by_image_i, hold_first_i,
                       hold_final_i,
                       height_i, width_i, source_base_i, image_stride_i, row_stride_i, record_i,
                       cw_i[AddrBits-1:0]};
  assign constant = config_now == config_q;
  assign active = start_q | busy_q | valid_q;

  always_ff @(posedge clk_i) begin
    config_q   <= config_now;
    constant_q <= constant;
  end

  start_when_idle: assert property (start_i |-> !active && !done_q && !$past(done_q))
      else $error("start_i during a layer, or less than two cycles after done_o");
  start_constant: assert property (start_i |-> constant && constant_q)
      else $error("configuration not constant from two cycles before start_i");
  layer_constant: assert property (active |-> constant)
      else $error("configuration changes before done_o");
  limits_not_zero: assert property (start_i |-> groups_i != '0 && images_i != '0 && rows_i != '0 && blocks_i != '0
      && cw_i != '0 && tap_rows_i != '0 && tap_columns_i != '0 && inner_i != '0 && outer_i != '0)
      else $error("groups_i = %0d, images_i = %0d, rows_i = %0d, blocks_i = %0d, cw_i = %0d, must be at least 1",
                  groups_i, images_i, rows_i, blocks_i, cw_i);
  dense_inside: assert property (dense_i && valid_o |-> pad_o == '0)
      else $error("pad_o with dense_i");
`endif
endmodule
