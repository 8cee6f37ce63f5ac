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
// Latency: next_valid_o is there four cycles after start_i; the outputs of a step, with valid_o,
// are there 4 cycles after it was taken; index_o and group_last_o come a cycle before them, with soon_o. One step per
// cycle.
module bnn_sequencer
  import bnn_add_pkg::add;
#(
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
    input  logic [1:0]                ready_i,  // twice
    input  logic [1:0]                wait_i,
    output logic                      next_hold_o,
    output logic                      next_last_o,
    output logic                      next_final_o,  // last, of the lower row if there are two
    output logic                      next_group_last_o,
    output logic                      next_row_last_o,  // of a row, of an image's last one, of the layer
    output logic                      next_image_last_o,
    output logic                      next_over_o,
    // Steps taken
    output logic                      valid_o,
    output logic [Lanes*AddrBits-1:0] read_addr_o,
    output logic [6:0]                shift_o,  // one-hot: 0, 1, 2, 3, 4, -1, -2
    output logic [Lanes-1:0]          pad_o,
    output logic                      zero_plane_o,
    output logic                      tail_o,
    output logic                      first_o,
    output logic                      last_o,
    output logic                      second_o,
    output logic                      soon_o,
    output logic [15:0]               index_o,
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

  // In two stages, so that no more than six are looked through in a cycle: blocks and all outside them go on a cycle
  // after the others. Steps that cannot be taken wait in registers behind the second stage, two at most: `go`, with
  // which both stages go on, says in copies that there is room for one more.
  localparam int unsigned Inside = 6, Outside = 4;
  localparam int unsigned C = 0, Kx = 1, Ky = 2, Inner = 3, Outer = 4, Pool = 5;
  localparam int unsigned Block = 0, Row = 1, Image = 2, Group = 3;

  // A step, and which loops go on after it
  typedef struct packed {
    logic hold, first, last, final_step, dy, tail;
    logic signed [3:0] row_at, column_at;  // dy + ky - pad, dx + kx - pad
    // Exclusive: what the row of a tap, and the column where lanes are images, go on to
    logic tap_step, tap_set, tap_clear;
    logic column_step, column_set, column_clear;
    logic plane_step, plane_clear;
    logic index_clear, index_again, base_take;
  } inner_t;

  typedef struct packed {
    inner_t in;
    logic output_end, block, block_end, row, row_end, image, group_end, over;
  } step_t;

  logic start_q, busy_q;
  logic inner_valid_q, output_end, output_end_loop;  // of inner_q; the latter for the loops
  // For inner_q, blocks and rows, images and groups, the second step; the inner loops have theirs, two at a time
  logic [3:0] go;
  logic room;
  logic busy_d;
  logic [Inside/2-1:0][1:0] run;  // busy_q, and that there is room
  logic each_pass_q, each_outer_q;  // when sums are handed over
  logic by_image_q, planes_outer_q, hold_first_q, hold_final_q;
  // Of each loop, for the gates of loops and for what a step is
  logic [Inside/2-1:0][Inside-1:0] last_gate;  // for two of the inner loops each
  logic [Inside-1:0] last;
  logic [Outside-1:0] last_outside_gate, last_outside;
  logic [15:0] value[Inside], limit[Inside], limit_outside[Outside];
  logic [15:0] unused_value[Outside];

  assign limit[C]     = cw_i;
  assign limit[Kx]    = tap_columns_i;
  assign limit[Ky]    = tap_rows_i;
  assign limit[Inner] = 16'(inner_i);
  assign limit[Outer] = 16'(outer_i);
  assign limit[Pool]  = !pool_i ? 16'd1 : by_image_i ? 16'd4 : 16'd2;
  assign limit_outside[Block] = blocks_i;
  assign limit_outside[Row]   = rows_i;
  assign limit_outside[Image] = images_i;
  assign limit_outside[Group] = groups_i;

  for (genvar i = 0; i < 4; i++) begin : gen_go
    bnn_register u_go (.clk_i, .data_i(room), .data_o(go[i]));
  end

  for (genvar i = 0; i < Inside; i++) begin : gen_inside
    localparam int unsigned Bits = (i == Pool) ? 3 : (i == Inner || i == Outer) ? 5 : 16;
    logic [i+1:0] gate;
    logic restart;

    bnn_register u_restart (.clk_i, .data_i(start_i), .data_o(restart));

    if (i % 2 == 0) begin : gen_run
      bnn_register #(
          .Bits(2)
      ) u_run (
          .clk_i,
          .data_i({busy_d, room}),
          .data_o(run[i/2])
      );
    end
    assign gate[1:0] = run[i/2];
    if (i > 0) begin : gen_gate
      assign gate[i+1:2] = last_gate[i/2][i-1:0];
    end

    bnn_loop #(
        .Bits  (Bits),
        .Gates (i + 2),
        .Value (i == Kx || i == Ky || i == Pool),
        .Copies(4)
    ) u_loop (
        .clk_i,
        .restart_i(restart),
        .go_i     (gate),
        .limit_i  (limit[i][Bits-1:0]),
        .value_o  (value[i][Bits-1:0]),
        .last_o   ({last[i], last_gate[2][i], last_gate[1][i], last_gate[0][i]})
    );
    if (Bits < 16) begin : gen_narrow
      assign value[i][15:Bits] = '0;
    end
  end

  for (genvar i = 0; i < Outside; i++) begin : gen_outside
    logic [i+1:0] gate;
    logic restart;

    bnn_register u_restart (.clk_i, .data_i(start_i), .data_o(restart));

    assign gate[1:0] = {output_end_loop, go[1+i/2]};
    if (i > 0) begin : gen_gate
      assign gate[i+1:2] = last_outside_gate[i-1:0];
    end

    bnn_loop #(
        .Gates (i + 2),
        .Value (1'b0),
        .Again (i != Group),
        .Copies(2)
    ) u_loop (
        .clk_i,
        .restart_i(restart),
        .go_i     (gate),
        .limit_i  (limit_outside[i]),
        .value_o  (unused_value[i]),
        .last_o   ({last_outside[i], last_outside_gate[i]})
    );
  end

  // The inner loops' part of a step
  inner_t inner, inner_q;
  step_t behind;  // the step of inner_q
  logic first_q, images, end_c, end_kx, end_ky, end_inner, end_outer, end_output, output_end_d, over;
  logic half, lower, dx, tap_again, column_again, column_right;

  bnn_sequencer_ends #(
      .Loops(Inside)
  ) u_ends (
      .last_i(last),
      .end_o ({end_output, end_outer, end_inner, end_ky, end_kx, end_c})
  );

  bnn_sequencer_again u_again (
      .by_image_i  (by_image_q),
      .pool_i      (value[Pool][1:0]),
      .last_ky_i   (last[Ky]),
      .last_inner_i(last[Inner]),
      .last_outer_i(last[Outer]),
      .last_pool_i (last[Pool]),
      .tap_o       (tap_again),
      .column_o    (column_again),
      .right_o     (column_right)
  );

  assign half      = value[Pool][0];
  assign lower     = by_image_q ? value[Pool][1] : half;  // row of the pool
  assign dx        = half & by_image_q;

  // Tap plus half less padding, each bit one LUT
  function automatic logic [63:0] at_bits(input int unsigned place);
    for (int unsigned i = 0; i < 64; i++) begin
      at_bits[i] = 1'(((i % 8) + (i / 8) % 2 - i / 16) >> place);
    end
  endfunction

  for (genvar b = 0; b < 4; b++) begin : gen_at
    localparam logic [63:0] At = at_bits(b);
    assign inner.row_at[b]    = At[{pad_i, lower, value[Ky][2:0]}];
    assign inner.column_at[b] = At[{pad_i, dx, value[Kx][2:0]}];
  end

  assign inner.hold         = (first_q & hold_first_q) | (end_output & hold_final_q);
  assign inner.first        = first_q;
  assign inner.last         = end_ky & (last[Inner] | each_pass_q) & (last[Outer] | each_outer_q);
  assign inner.final_step   = end_output;
  assign inner.dy           = half & ~by_image_q;
  assign inner.tail         = end_c;
  // Passes stay in the row and column where they are; a pool goes on to its lower row, by image also to the right.
  assign inner.tap_step     = end_kx & ~last[Ky];
  assign inner.tap_set      = end_ky & tap_again;
  assign inner.tap_clear    = end_ky & ~tap_again;
  assign inner.column_step  = images & end_c & ~last[Kx];
  assign inner.column_set   = (end_kx & column_again) | (end_outer & column_right);
  assign inner.column_clear = end_kx & ~inner.column_set;
  // The planes of a base are given the same weights; with planes outside, all bases come again.
  assign inner.plane_step   = planes_outer_q ? end_inner & ~last[Outer] : end_ky & ~last[Inner];
  assign inner.plane_clear  = end_outer | (end_inner & ~planes_outer_q);
  assign inner.index_clear  = end_outer | (end_inner & planes_outer_q);
  assign inner.index_again  = end_ky & ~last[Inner] & ~planes_outer_q;
  assign inner.base_take    = end_inner;

  logic [Outside-1:0] end_outside;

  bnn_sequencer_ends #(
      .Loops(Outside + 1)
  ) u_ends_outside (
      .last_i({last_outside, output_end}),
      .end_o ({end_outside, behind.output_end})
  );

  assign behind.in        = inner_q;
  assign behind.block     = output_end & ~last_outside[Block];
  assign behind.block_end = end_outside[Block];
  assign behind.row       = output_end & last_outside[Block] & ~last_outside[Row];
  assign behind.row_end   = end_outside[Row];
  assign behind.image     = output_end & last_outside[Block] & last_outside[Row] & ~last_outside[Image];
  assign behind.group_end = end_outside[Image];
  assign behind.over      = end_outside[Group];

  assign busy_d = ~rst_i & (start_q | (busy_q & ~(go[0] & over)));

  always_ff @(posedge clk_i) begin
    each_pass_q  <= hand_i[1];
    each_outer_q <= |hand_i;
    by_image_q     <= by_image_i;
    planes_outer_q <= planes_outer_i;
    hold_first_q   <= hold_first_i;
    hold_final_q   <= hold_final_i;
    if (start_q) first_q <= 1'b1;
    else if (go[0] && busy_q) first_q <= inner.last;
    if (go[0]) inner_q <= inner;
    busy_q <= busy_d;
    if (rst_i) begin
      start_q        <= 1'b0;
      inner_valid_q <= 1'b0;
    end else begin
      start_q <= start_i;
      if (go[0]) begin
        inner_valid_q <= busy_q & ~over;
      end
    end
  end

  bnn_sequencer_end #(
      .Inside (Inside),
      .Outside(Outside)
  ) u_end (
      .busy_i        (busy_q),
      .last_i        (last),
      .output_end_i  (output_end),
      .last_outside_i(last_outside),
      .output_end_o  (output_end_d),
      .over_o        (over)
  );

  bnn_hold u_output_end (.clk_i, .enable_i(go[0]), .data_i(output_end_d), .data_o(output_end));
  bnn_hold u_output_end_loop (.clk_i, .enable_i(go[0]), .data_i(output_end_d), .data_o(output_end_loop));

  // ---- The next step ---------------------------------------------------------------------------------

  step_t next_q, second_q;  // the second one waits where the next one is not taken
  logic valid_q, valid_d, valid_room, valid_event, second_valid_q, second_valid, second, take, done_q;
  logic [1:0] move;  // the next one takes its place; for the loops' part, for the rest
  logic hold_event;  // next_q.in.hold again
  step_t following;

  bnn_sequencer_step u_step (
      .valid_i       (valid_q),
      .valid_room_i  (valid_room),
      .hold_i        (next_q.in.hold),
      .ready_i       (ready_i[0]),
      .wait_i        (wait_i[0]),
      .second_valid_i(second_valid),
      .inner_valid_i (inner_valid_q),
      .take_o        (take),
      .second_o      (second)
  );
  bnn_sequencer_room u_room (
      .valid_i       (valid_room),
      .hold_i        (next_q.in.hold),
      .ready_i       (ready_i[0]),
      .wait_i        (wait_i[0]),
      .second_valid_i(second_valid),
      .inner_valid_i (inner_valid_q),
      .room_o        (room)
  );

  assign valid_d = ~rst_i & ((valid_q & ~take) | second_valid_q | inner_valid_q);

  assign following = second_valid_q ? second_q : behind;

  for (genvar i = 0; i < 2; i++) begin : gen_move
    bnn_sequencer_move u_move (
        .valid_i(valid_q),
        .hold_i (next_q.in.hold),
        .ready_i(ready_i[0]),
        .wait_i (wait_i[0]),
        .move_o (move[i])
    );
  end

  bnn_hold u_hold_event (.clk_i, .enable_i(move[1]), .data_i(following.in.hold), .data_o(hold_event));
  bnn_register u_valid_room (.clk_i, .data_i(valid_d), .data_o(valid_room));
  bnn_register u_valid_event (.clk_i, .data_i(valid_d), .data_o(valid_event));
  bnn_register u_second_valid (.clk_i, .data_i(~rst_i & second), .data_o(second_valid));

  always_ff @(posedge clk_i) begin
    if (move[0]) next_q.in <= following.in;
    if (move[1]) {next_q.output_end, next_q.block, next_q.block_end, next_q.row, next_q.row_end, next_q.image,
                  next_q.group_end, next_q.over} <=
        {following.output_end, following.block, following.block_end, following.row, following.row_end, following.image,
         following.group_end, following.over};
    if (go[3]) second_q <= behind;
    valid_q <= valid_d;
    if (rst_i) begin
      second_valid_q <= 1'b0;
      done_q         <= 1'b0;
    end else begin
      second_valid_q <= second;
      done_q         <= take & next_q.over;
    end
  end

  // ---- Events: what goes on after the step of the cycle before ---------------------------------------

  // A part of an address each. A start begins a group.
  logic image_begin, image_step, row_clear, row_step, y_clear, y_step, block_begin, block_step, left_begin, left_go;
  logic tap_clear, tap_step, column_clear, column_step, plane_clear, plane_step;
  logic [1:0] tap_set, column_set;  // for the lowest bit, for the others
  logic [3:0] left_next_begin;  // for four bits each
  logic index_clear, index_again, base_take, c_clear, step_q;
  // The step itself
  logic first_d_q, last_d_q, dy_d_q, tail_d_q, group_end_q;
  logic signed [3:0] row_at_q, column_at_q;

  localparam int unsigned Events = 28;
  localparam logic [Events-1:0] Starts = 28'b101010_10111111_1000_1000_10_1011;  // a start is one too
  logic [Events-1:0] marks, events;

  assign marks = {
    next_q.group_end, next_q.image, next_q.row_end, next_q.row, next_q.block_end, next_q.block,
    next_q.row_end, next_q.row, {5{next_q.block_end}}, next_q.output_end,
    next_q.in.tap_clear, {2{next_q.in.tap_set}}, next_q.in.tap_step,
    next_q.in.column_clear, {2{next_q.in.column_set}}, next_q.in.column_step,
    next_q.in.plane_clear, next_q.in.plane_step,
    next_q.in.index_clear, next_q.in.index_again, next_q.in.base_take, next_q.in.tail
  };
  assign {
    image_begin, image_step, row_clear, row_step, block_begin, block_step,
    y_clear, y_step, left_begin, left_next_begin, left_go,
    tap_clear, tap_set, tap_step,
    column_clear, column_set, column_step,
    plane_clear, plane_step,
    index_clear, index_again, base_take, c_clear
  } = events;

  for (genvar i = 0; i < Events; i++) begin : gen_event
    bnn_sequencer_event u_event (
        .clk_i,
        .start_i(Starts[i] & start_q),
        .valid_i(valid_event),
        .hold_i (hold_event),
        .ready_i(ready_i[1]),
        .wait_i (wait_i[1]),
        .end_i  (marks[i]),
        .event_o(events[i])
    );
  end

  always_ff @(posedge clk_i) begin
    first_d_q   <= next_q.in.first;
    last_d_q    <= next_q.in.last;
    dy_d_q      <= next_q.in.dy;
    tail_d_q    <= next_q.in.tail;
    group_end_q <= next_q.group_end;
    row_at_q    <= next_q.in.row_at;
    column_at_q <= next_q.in.column_at;
    if (rst_i) step_q <= 1'b0;
    else step_q <= take;
  end

  // ---- Positions, as they are for the step of the cycle before ---------------------------------------

  // An address is the sum of these and begin_q: image; row of the block; dy and ky; block; dx and kx where lanes are
  // images; plane; word of the tap.
  logic [AddrBits-1:0] image_q, row_q, tap_q, block_q, column_q, plane_q, c_q;
  // Constants; begin_q is the source's base at row -pad and, where lanes are images, column -pad
  logic [AddrBits-1:0] pad_rows_q, base_q, before_words_q, begin_q, two_rows_q, block_words_q;
  logic [AddrBits-1:0] next_record_q, previous_record_q;
  logic [15:0] index_q, base_index_q;  // the latter: of the base's first weight, less one
  logic [15:0] left_q, left_next_q, left;  // columns from the block's first one on; from the next one's
  logic [15:0] block_less_q;  // less a block's columns
  logic [16:0] y_q;  // row of the block, less 8
  logic [17:0] row_limit_q;  // no row is outside where lanes are images of a vector
  logic block_first_q, zero_plane_q;
  logic [1:0] before_q;  // columns before the block's first one, at most 3
  logic two, two_y;  // rows in steps of two
  // tap_q and column_q where they go on from 0 or from what they are, as bnn_add_pkg adds, whose masks would be shared
  logic [AddrBits-1:1] tap_kept, column_kept;
  logic tap_carry, column_carry;
  logic [1:0] unused_low;

  assign tap_kept     = tap_set[1] ? '0 : tap_q[AddrBits-1:1];
  assign tap_carry    = tap_q[0] & ~tap_set[1] & row_stride_i[0];
  assign column_kept  = column_set[1] ? '0 : column_q[AddrBits-1:1];
  assign column_carry = column_q[0] & ~column_set[1] & record_i[0];

  for (genvar i = 0; i < 4; i++) begin : gen_left
    assign left[4*i+:4] = left_next_begin[i] ? width_i[4*i+:4] : left_next_q[4*i+:4];
  end

  bnn_register u_two (.clk_i, .data_i(pool_i | stride2_i), .data_o(two));
  bnn_register u_two_y (.clk_i, .data_i(pool_i | stride2_i), .data_o(two_y));
  bnn_register u_images (.clk_i, .data_i(dense_i | by_image_i), .data_o(images));  // lanes are images

  always_ff @(posedge clk_i) begin
    pad_rows_q      <= pad_i[0] ? row_stride_i : pad_i[1] ? row_stride_i << 1 : '0;
    base_q          <= source_base_i - pad_rows_q;
    before_words_q  <= !images ? '0 : pad_i[0] ? record_i : pad_i[1] ? record_i << 1 : '0;
    begin_q         <= base_q - before_words_q;
    two_rows_q      <= two ? row_stride_i << 1 : row_stride_i;
    block_words_q   <= (images & two) ? record_i << 1 : record_i;
    block_less_q    <= !images ? -16'(Lanes) : two ? -16'd2 : -16'd1;
    next_record_q   <= AddrBits'(add(32'(begin_q), 32'(record_i)));
    previous_record_q <= begin_q - record_i;
    row_limit_q     <= {dense_i, 1'b0, height_i};
    if (image_begin) image_q <= '0;
    else if (image_step) image_q <= AddrBits'(add(32'(image_q), 32'(image_stride_i)));
    if (row_clear) row_q <= '0;
    else if (row_step) row_q <= AddrBits'(add(32'(row_q), 32'(two_rows_q)));
    if (y_clear) y_q <= -17'd8;
    else if (y_step) y_q <= 17'(add(32'(y_q), two_y ? 32'd2 : 32'd1));
    if (tap_clear) tap_q <= '0;
    else if (tap_set[0] || tap_step) begin
      tap_q[0] <= (tap_q[0] & ~tap_set[0]) ^ row_stride_i[0];
      {tap_q[AddrBits-1:1], unused_low[0]} <= {tap_kept, tap_carry} + {row_stride_i[AddrBits-1:1], tap_carry};
    end
    if (column_clear) column_q <= '0;
    else if (column_set[0] || column_step) begin
      column_q[0] <= (column_q[0] & ~column_set[0]) ^ record_i[0];
      {column_q[AddrBits-1:1], unused_low[1]} <= {column_kept, column_carry} + {record_i[AddrBits-1:1], column_carry};
    end
    if (plane_clear) plane_q <= '0;
    else if (plane_step) plane_q <= AddrBits'(add(32'(plane_q), 32'(cw_i[AddrBits-1:0])));
    if (plane_clear) zero_plane_q <= 1'b1;
    else if (plane_step) zero_plane_q <= 1'b0;
    if (c_clear) c_q <= '0;
    else if (step_q) c_q <= AddrBits'(add(32'(c_q), 32'd1));
    if (index_clear) index_q <= '0;
    else if (step_q) index_q <= 16'(add(32'(index_again ? base_index_q : index_q), 32'd1));
    if (base_take) base_index_q <= index_clear ? '1 : index_q;
    if (block_begin) block_q <= '0;
    else if (block_step) block_q <= AddrBits'(add(32'(block_q), 32'(block_words_q)));
    if (left_go) begin
      left_q      <= left_begin ? width_i : left_next_q;
      left_next_q <= 16'(add(32'(left), 32'(block_less_q)));
    end
    if (block_begin) begin
      block_first_q <= 1'b1;
      before_q      <= '0;
    end else if (block_step) begin
      block_first_q <= 1'b0;
      before_q      <= (before_q[1] | (before_q[0] & two_y)) ? 2'd3 : two_y ? 2'd2 : {before_q[0], ~before_q[0]};
    end
  end

  // ---- Pipeline: sums of addresses, positions against the edges -----------------------------------

  logic [2:0] valid_p;
  logic [1:0] first_p, last_p, second_p, group_last_p, tail_p, zero_plane_p;
  logic [15:0] index_p[2];
  logic signed [3:0] shift_d, shift_p[2];
  logic [AddrBits-1:0] line_p, place_p;
  logic [AddrBits-1:0] word_p[2], here_p[2], column_p[2];  // for halves of the lanes
  logic [16:0] tap_row_p;
  logic row_out_p, column_out, column_out_p, block_first_p[2];
  logic signed [3:0] at_p;  // column from the block's first one on
  logic [1:0] before_p;
  logic [LaneBits+1:0] left_p;  // min(left, 2*Lanes): lanes and a shift of at most 2
  logic signed [LaneBits+2:0] gap_p;  // left less shift
  logic [7:0] ends;  // whether a column is behind the last one

  always_ff @(posedge clk_i) begin
    first_p      <= {first_p[0], first_d_q};
    last_p       <= {last_p[0], last_d_q};
    second_p     <= {second_p[0], dy_d_q};
    group_last_p <= {group_last_p[0], group_end_q};
    tail_p       <= {tail_p[0], tail_d_q};
    zero_plane_p <= {zero_plane_p[0], zero_plane_q};
    index_p[0]   <= index_q;
    index_p[1]   <= 16'(add(32'(index_p[0]), 32'(index_first_i)));
    shift_p[0]   <= shift_d;
    shift_p[1]   <= shift_p[0];
    line_p       <= AddrBits'(add(32'(image_q), 32'(row_q)));
    place_p      <= AddrBits'(add(32'(tap_q), 32'(block_q)));
    tap_row_p    <= 17'(add(32'(y_q), 32'({~row_at_q[3], row_at_q[2:0]})));  // by 8 too large, without a sign
    row_out_p    <= {1'b0, tap_row_p} >= row_limit_q;  // also before the first
    at_p         <= column_at_q;
    before_p     <= before_q;
    column_out_p <= by_image_q & column_out;
    block_first_p[0] <= block_first_q;
    block_first_p[1] <= block_first_p[0];
    left_p       <= (|left_q[15:LaneBits+1]) ? (LaneBits + 2)'(2 * Lanes) : {1'b0, left_q[LaneBits:0]};
    gap_p        <= signed'({1'b0, left_p}) - (LaneBits + 3)'(shift_p[0]);
    if (rst_i) valid_p <= '0;
    else valid_p <= {valid_p[1:0], step_q};
  end

  logic [6:0] shift_q;
  logic tail_q, zero_plane_o_q, first_o_q, last_o_q, second_o_q;

  for (genvar i = 0; i < 8; i++) begin : gen_end
    assign ends[i] = i + 1 > 32'(left_p);
  end

  // Before the first column, by one or two; behind the last
  assign column_out = at_p[3] ? ~before_p[1] & (~at_p[0] | ~before_p[0]) : ends[at_p[2:0]];
  assign shift_d = images ? 4'sd0 : column_at_q;

  for (genvar i = 0; i < 2; i++) begin : gen_half
    bnn_sum #(
        .Bits(AddrBits)
    ) u_word (
        .clk_i,
        .a_i  (plane_q),
        .b_i  (c_q),
        .sum_o(word_p[i])
    );
    bnn_sum #(
        .Bits(AddrBits)
    ) u_here (
        .clk_i,
        .a_i  (line_p),
        .b_i  (place_p),
        .sum_o(here_p[i])
    );
    bnn_sum #(
        .Bits(AddrBits)
    ) u_column (
        .clk_i,
        .a_i  (column_q),
        .b_i  (begin_q),
        .sum_o(column_p[i])
    );
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    bnn_sequencer_lane #(
        .Lane    (l),
        .Lanes   (Lanes),
        .AddrBits(AddrBits)
    ) u_lane (
        .clk_i,
        .images_i      (images),
        .shift_i       (shift_d),
        .out_i         (row_out_p | column_out_p),
        .block_first_i (block_first_p[1]),
        .gap_i         (gap_p),
        .here_i        (here_p[l%2]),
        .word_i        (word_p[l%2]),
        .column_i      (column_p[l%2]),
        .next_i        (next_record_q),
        .previous_i    (previous_record_q),
        .pad_o         (pad_o[l]),
        .addr_o        (read_addr_o[l*AddrBits+:AddrBits])
    );
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < 7; i++) shift_q[i] <= shift_p[1] == (i < 5 ? 4'(i) : 4'sd4 - 4'(i));
    tail_q         <= tail_p[1];
    zero_plane_o_q <= zero_plane_p[1];
    first_o_q      <= first_p[1];
    last_o_q       <= last_p[1];
    second_o_q     <= second_p[1];
  end

  logic unused_sequencer;
  assign unused_sequencer = ^{value[C], value[Kx], value[Ky], value[Inner], value[Outer], value[Pool],
                              unused_value[Block], unused_value[Row], unused_value[Image], unused_value[Group], cw_i,
                              last_gate[0][Inside-1:Kx], last_gate[1][Inside-1:Inner], last_gate[2][Pool],
                              last_outside_gate[Group]};

  assign done_o            = done_q;
  assign next_valid_o      = valid_room;
  assign next_hold_o       = next_q.in.hold;
  assign next_last_o       = next_q.in.last;
  assign next_final_o      = next_q.in.final_step;
  assign next_group_last_o = next_q.group_end;
  assign next_row_last_o   = next_q.block_end;
  assign next_image_last_o = next_q.row_end;
  assign next_over_o       = next_q.over;
  assign valid_o           = valid_p[2];
  assign shift_o           = shift_q;
  assign tail_o            = tail_q;
  assign zero_plane_o      = zero_plane_o_q;
  assign soon_o            = valid_p[1];
  assign index_o           = index_p[1];
  assign first_o           = first_o_q;
  assign last_o            = last_o_q;
  assign second_o          = second_o_q;
  assign group_last_o      = group_last_p[1];

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
  assign active = start_q | busy_q | inner_valid_q | valid_q;

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
