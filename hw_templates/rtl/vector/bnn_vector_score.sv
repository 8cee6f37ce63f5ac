// Scores that leave through the vector unit, one after the other, and their addresses.
//
//   memory[base + (image*classes + class)*4] = score_i[u*32 +: 32],  class = group*Pe + 8*u + channel_i
//
// begin_i: the scores of one channel of each unit are there for the first image of a block of Lanes; next_o[u] moves
// those of unit u on to the next image, in score_i three cycles later. done_o is a pulse behind the last. Absent images
// and classes give no output. block_i, between done_o and begin_i, goes on to the next block of images, group_i, with
// it, to the first one and to the next group. score_half_o tells which half of the beat at score_addr_o, a multiple of
// 8, is written.
//
// start_i begins a layer, the configuration constant from two cycles before it to the last score. After score_ready_i
// has fallen up to four more come.
module bnn_vector_score
  import bnn_add_pkg::add;
#(
    parameter int unsigned Pe = 8,
    parameter int unsigned Lanes = 4,
    localparam int unsigned Units = Pe / 8
) (
    input  logic                      clk_i,
    input  logic                      rst_i,
    input  logic                      start_i,
    input  logic [15:0]               images_i,
    input  logic [15:0]               classes_i,
    input  logic [63:0]               base_i,
    // Scores of a channel
    input  logic                      begin_i,
    input  logic [2:0]                channel_i,
    output logic [Units-1:0]          next_o,
    input  logic [Units*32-1:0]       score_i,
    output logic                      done_o,
    input  logic                      block_i,
    input  logic                      group_i,
    // Memory
    output logic                      score_valid_o,
    input  logic                      score_ready_i,
    output logic [63:0]               score_addr_o,
    output logic [1:0]                score_half_o,
    output logic [63:0]               score_o
);
  localparam int unsigned LaneBits = $clog2(Lanes);
  localparam int unsigned UnitBits = (Units > 1) ? $clog2(Units) : 1;
  localparam int unsigned ZeroBits = LaneBits + 2;  // of block_q

  logic start_q, busy_q, unit_end, class_end, begin_lanes, step, lane_last_q, last_q, done_q, absent_q;
  logic emit, busy, busy_d, emit_d;  // as they are in the next cycle with _d; busy: busy_q again, for images and lanes
  logic [1:0] lane_emit;  // emit again, for the lane and for its line
  logic [15:0] images_q, class_q, group_q;  // images still to come; class of the unit; the group's first one
  logic [15:LaneBits] next_images_q;  // behind the block
  logic more_images_q;  // than a block's
  logic [15:0] next_class_q;  // of the next unit, which is two cycles later at least
  logic [LaneBits-1:0] before_last_q, last_lane_q;  // of the block's images
  logic [LaneBits-1:0] lane_q;
  logic [3:0] valid_q;
  logic [2:0] last_d_q;
  // From an image to the next; of the block's first one, of this one, of the next, which is two cycles later at least
  logic [31:2] stride_q, line_q, next_line_q;
  logic line_step;  // line_q moves, or no channel is at work
  logic [31:ZeroBits] block_q;
  logic [Units-1:0] unit_q;  // one-hot

  // A unit whose class is absent takes one turn. Units' scores move on every second cycle at most: whether they do is
  // known a cycle ahead.
  assign unit_end = emit & (absent_q | lane_last_q);
  assign emit_d = ~rst_i & busy_q & ~emit & score_ready_i;
  assign busy_d = ~rst_i & (begin_i | (busy_q & ~(unit_end & last_q)));

  bnn_register #(
      .Bits(3)
  ) u_emit (
      .clk_i,
      .data_i({3{emit_d}}),
      .data_o({lane_emit, emit})
  );
  bnn_register u_busy (
      .clk_i,
      .data_i(busy_d),
      .data_o(busy)
  );
  bnn_register u_line_step (
      .clk_i,
      .data_i(~busy_d | emit_d),
      .data_o(line_step)
  );

  // The first lane is next; that, or the lane after this one
  bnn_vector_score_step u_begin (
      .busy_i     (busy),
      .emit_i     (lane_emit[0]),
      .absent_i   (absent_q),
      .lane_last_i(lane_last_q),
      .begin_o    (begin_lanes)
  );
  bnn_vector_score_step u_class (
      .busy_i     (1'b1),
      .emit_i     (emit),
      .absent_i   (absent_q),
      .lane_last_i(lane_last_q),
      .begin_o    (class_end)
  );
  assign step = ~busy | lane_emit[1];

  always_ff @(posedge clk_i) begin
    start_q  <= start_i;
    busy_q   <= busy_d;
    stride_q <= 30'(classes_i);
    next_line_q <= 30'(add(32'(line_q), 32'(stride_q)));
    next_class_q <= {13'(add(32'(class_q[15:3]), 32'd1)), class_q[2:0]};
    // Long before the next channel
    next_images_q <= (16 - LaneBits)'(add(32'(images_q[15:LaneBits]), '1));
    more_images_q <= images_q[15:LaneBits] != '0;
    before_last_q <= images_q[LaneBits-1:0] - 1'b1;
    last_lane_q   <= more_images_q ? '1 : before_last_q;
    absent_q <= class_q >= classes_i;
    lane_last_q <= lane_q == last_lane_q;
    last_q   <= unit_q[Units-1];
    if (start_q || group_i) images_q <= images_i;
    else if (block_i) images_q[15:LaneBits] <= next_images_q;
    if (start_q || group_i) block_q <= '0;
    else if (block_i) block_q <= (30 - LaneBits)'(add(32'(block_q), 32'(stride_q)));
    if (start_q) group_q <= '0;
    else if (group_i) group_q <= group_q + 16'(Pe);
    // Bits that are 0 for a block's first image are reset, by begin_lanes alone; the others are enabled by line_step alone
    if (begin_lanes) {line_q[ZeroBits-1:2], lane_q} <= '0;
    else if (step) {line_q[ZeroBits-1:2], lane_q} <= {next_line_q[ZeroBits-1:2], lane_q + 1'b1};
    if (line_step) line_q[31:ZeroBits] <= begin_lanes ? block_q : next_line_q[31:ZeroBits];
    if (!busy_q) begin
      class_q <= group_q + 16'(channel_i);
      unit_q  <= Units'(1);
    end else if (class_end) begin
      class_q <= next_class_q;
      unit_q  <= unit_q << 1;
    end
    if (rst_i) begin
      done_q <= 1'b0;
    end else begin
      done_q <= last_d_q[2];
    end
  end

  // ---- The way of a score ---------------------------------------------------------------------------

  logic [31:2] line_d_q, offset_q;
  logic [15:0] class_d_q;
  logic [30:0] low_q;  // in words, with a carry
  logic [63:0] addr_q;
  logic [1:0][UnitBits-1:0] unit_d_q;
  logic [UnitBits-1:0] unit, unit_dd_q;
  logic [Units-1:0] next_q;
  logic [31:0] data_q;

  always_comb begin
    unit = '0;
    for (int unsigned u = 0; u < Units; u++) if (unit_q[u]) unit |= UnitBits'(u);
  end

  always_ff @(posedge clk_i) begin
    unit_d_q  <= {unit_d_q[0], unit};
    unit_dd_q <= unit_d_q[1];
    data_q    <= score_i[32'(unit_dd_q)*32+:32];
    for (int unsigned u = 0; u < Units; u++) next_q[u] <= ~rst_i & emit & unit_q[u];
  end

  always_ff @(posedge clk_i) begin
    // The adders stand behind the delay, as one that follows them would not begin in their slices
    line_d_q   <= line_q;
    class_d_q  <= class_q;
    offset_q   <= 30'(add(32'(line_d_q), 32'(class_d_q)));
    low_q      <= 31'(add(32'(base_i[31:2]), 32'(offset_q)));
    addr_q     <= {add(base_i[63:32], 32'(low_q[30])), low_q[29:0], 2'b00};
    if (rst_i) begin
      valid_q  <= '0;
      last_d_q <= '0;
    end else begin
      valid_q  <= {valid_q[2:0], emit & ~absent_q};
      last_d_q <= {last_d_q[1:0], unit_end & last_q};
    end
  end

  logic unused_score;
  assign unused_score = ^{addr_q[1:0], base_i[1:0]};

  assign next_o        = next_q;
  assign done_o        = done_q;
  assign score_valid_o = valid_q[3];
  assign score_addr_o  = {addr_q[63:3], 3'b000};
  assign score_half_o  = addr_q[2] ? 2'b10 : 2'b01;
  assign score_o       = {data_q, data_q};

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  begin_in_turn: assert property (begin_i |-> !busy_q)
      else $error("begin_i before the last score of the channel before");
  block_in_turn: assert property (block_i || group_i |-> !busy_q)
      else $error("block_i or group_i before the last score of the channel");
  group_with_block: assert property (group_i |-> block_i)
      else $error("group_i without block_i");
`endif
endmodule
