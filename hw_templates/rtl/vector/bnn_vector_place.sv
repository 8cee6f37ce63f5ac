// Places of the blocks of a layer, in the order in which the vector unit has them: groups, images, rows, blocks.
//
//   addr_o = base + image*image_stride + row*row_stride + block*words         half_i: block/2 in place of block
//   images_i: in_batch_i / Lanes + image in place of image, by pixel in_batch_i is 0
//   serial_i: in_batch_i + image, of which lane_o has the lane, / Lanes in place of image, column in place of block
//
// go_i goes on to the next block, with serial_i to the next column of the block unless column_last_i is there. Then
// lane_o is one lane, else those that the block has: half_i has a half of them, odd blocks the upper one, the last
// block columns_i of them (modulo Lanes or half of it); images_i, lanes that are images, has all. slot_o and word_o:
// which Pe bits of which word of SIMD channels are the group's.
//
// start_i begins, at least six cycles before the first go_i; the configuration is constant from three cycles before
// it. Latency, from go_i: block_columns_o, the columns of the block, and group_last_o, whether it is the last of a
// group, 3 cycles, the others 4. go_i comes 4 cycles apart at least.
module bnn_vector_place
  import bnn_add_pkg::add;
#(
    parameter int unsigned Pe = 8,
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned AddrBits = 10,
    parameter bit Serial = 1'b1,  // else serial_i is never there
    localparam int unsigned LaneBits = $clog2(Lanes),
    localparam int unsigned Slots = Simd / Pe,
    localparam int unsigned SlotBits = (Slots > 1) ? $clog2(Slots) : 1
) (
    input  logic                clk_i,
    input  logic                rst_i,
    input  logic                start_i,
    // Configuration
    input  logic                half_i,
    input  logic                serial_i,
    input  logic                images_i,
    input  logic [15:0]         units_i,  // images, or blocks of them
    input  logic [15:0]         rows_i,
    input  logic [15:0]         blocks_i,
    input  logic [LaneBits-1:0] columns_i,
    input  logic [15:0]         in_batch_i,
    input  logic [AddrBits-1:0] base_i,
    input  logic [AddrBits-1:0] image_stride_i,
    input  logic [AddrBits-1:0] row_stride_i,
    input  logic [AddrBits-1:0] words_i,
    // Blocks
    input  logic                go_i,
    input  logic                column_last_i,
    output logic [LaneBits:0]   block_columns_o,
    output logic                group_last_o,
    output logic [AddrBits-1:0] addr_o,
    output logic [Lanes-1:0]    lane_o,
    output logic [SlotBits-1:0] slot_o,
    output logic [AddrBits-1:0] word_o
);
  // ---- Configuration -----------------------------------------------------------------------------

  logic half_q, serial_q, images_q;
  logic [AddrBits-1:0] skipped_q, first_addr_q, image_stride_q, row_stride_q, words_q;
  logic [LaneBits:0] all_columns, last_columns_q, columns_left;
  logic [Lanes-1:0] last_lane_q;

  assign all_columns = half_q ? (LaneBits + 1)'(Lanes / 2) : (LaneBits + 1)'(Lanes);
  assign columns_left = {1'b0, columns_i} & (all_columns - 1'b1);

  always_ff @(posedge clk_i) begin
    half_q         <= half_i;
    serial_q       <= Serial & serial_i;
    images_q       <= images_i;
    image_stride_q <= image_stride_i;
    row_stride_q   <= row_stride_i;
    words_q        <= words_i;
    skipped_q      <= AddrBits'(in_batch_i >> LaneBits) * image_stride_i;
    first_addr_q   <= base_i + skipped_q;
    last_columns_q <= (columns_left == '0) ? all_columns : columns_left;
    for (int unsigned l = 0; l < Lanes; l++) begin
      last_lane_q[l] <= images_q | ((half_q ? l % (Lanes / 2) : l) < 32'(last_columns_q));
    end
  end

  // ---- Loops -----------------------------------------------------------------------------------------

  localparam int unsigned Block = 0, Row = 1, Image = 2;

  logic start_q, go_q, odd_q, row_end, group_end;
  logic lane_last_q;  // the next image is in the first lane again
  logic end_block, end_block_event;  // the block ends; a register
  logic [2:0] last, last_place;  // the latter for the position
  logic [15:0] unused_value[3];
  logic [LaneBits-1:0] image_lane_q;

  assign end_block = ~rst_i & go_i & (~serial_q | column_last_i);

  bnn_register u_event_go (
      .clk_i,
      .data_i(end_block),
      .data_o(end_block_event)
  );

  for (genvar i = 0; i < 3; i++) begin : gen_loop
    logic [i:0] gate;

    bnn_register u_go (
        .clk_i,
        .data_i(end_block),
        .data_o(gate[0])
    );
    if (i > 0) begin : gen_gate
      assign gate[i:1] = last[i-1:0];
    end

    bnn_loop #(
        .Gates (i + 1),
        .Value (1'b0),
        .Copies(2)
    ) u_loop (
        .clk_i,
        .restart_i(start_q),
        .go_i     (gate),
        .limit_i  (i == Block ? blocks_i : i == Row ? rows_i : units_i),
        .value_o  (unused_value[i]),
        .last_o   ({last_place[i], last[i]})
    );
  end

  always_ff @(posedge clk_i) begin
    lane_last_q <= ~serial_q | (&image_lane_q);
    if (start_q) odd_q <= 1'b0;
    else if (end_block_event) odd_q <= ~last[Block] & ~odd_q;
    if (start_q) image_lane_q <= in_batch_i[LaneBits-1:0];
    else if (row_end) begin
      image_lane_q <= last_place[Image] ? in_batch_i[LaneBits-1:0] : image_lane_q + 1'b1;
    end
    if (rst_i) begin
      start_q <= 1'b0;
      go_q    <= 1'b0;
    end else begin
      start_q <= start_i;
      go_q    <= go_i;
    end
  end

  // ---- Position of a block -----------------------------------------------------------------------------

  // An address is the sum of these and the first one. The next lane's image is in the same place.
  logic [AddrBits-1:0] image_q, row_q, block_q, line_q, place_q, addr_q;
  logic image_clear, image_step, row_clear, row_step, block_clear, block_step, group_next_q;
  logic [SlotBits-1:0] slot_q, slot_d_q;
  logic [AddrBits-1:0] word_q, word_out_q;
  logic slot_end, block_last_q, odd_d_q, group_last_q;
  logic [LaneBits:0] block_columns_q;
  logic [LaneBits-1:0] image_lane_d_q;
  logic [Lanes-1:0] lane, lane_out_q;

  bnn_place_step u_step (
      .start_i      (start_q),
      .go_i         (end_block_event),
      .lane_last_i  (lane_last_q),
      .last_i       (last_place),
      .block_clear_o(block_clear),
      .row_step_o   (row_step),
      .row_clear_o  (row_clear),
      .row_end_o    (row_end),
      .image_step_o (image_step),
      .image_clear_o(image_clear),
      .group_end_o  (group_end)
  );

  assign block_step = go_q & (~half_q | odd_q | serial_q);
  assign slot_end = slot_q == SlotBits'(Slots - 1);

  always_comb begin
    lane = '0;
    if (serial_q) begin
      lane[image_lane_d_q] = 1'b1;
    end else begin
      for (int unsigned l = 0; l < Lanes; l++) begin
        lane[l] = (~half_q | ((l >= Lanes / 2) == odd_d_q)) & (~block_last_q | last_lane_q[l]);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    group_next_q <= group_end;
    if (image_clear) image_q <= '0;
    else if (image_step) image_q <= AddrBits'(add(32'(image_q), 32'(image_stride_q)));
    if (row_clear) row_q <= '0;
    else if (row_step) row_q <= AddrBits'(add(32'(row_q), 32'(row_stride_q)));
    if (block_clear) block_q <= '0;
    else if (block_step) block_q <= AddrBits'(add(32'(block_q), 32'(words_q)));
    line_q  <= AddrBits'(add(32'(image_q), 32'(row_q)));
    place_q <= AddrBits'(add(32'(block_q), 32'(first_addr_q)));
    addr_q  <= AddrBits'(add(32'(line_q), 32'(place_q)));
    if (start_q) begin
      slot_q <= '0;
      word_q <= '0;
    end else if (group_next_q) begin
      slot_q <= slot_end ? '0 : slot_q + 1'b1;
      if (slot_end) word_q <= word_q + 1'b1;
    end
    block_last_q    <= last[Block];
    odd_d_q         <= odd_q;
    image_lane_d_q  <= image_lane_q;
    group_last_q    <= &last;
    block_columns_q <= last[Block] ? last_columns_q : all_columns;
    lane_out_q      <= lane;
    slot_d_q        <= slot_q;
    word_out_q      <= word_q;
  end

  assign block_columns_o = block_columns_q;
  assign group_last_o    = group_last_q;
  assign addr_o          = addr_q;
  assign lane_o          = lane_out_q;
  assign slot_o          = slot_d_q;
  assign word_o          = word_out_q;

  logic unused_place;
  assign unused_place = ^{unused_value[0], unused_value[1], unused_value[2]};

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  logic [2:0] go_before_q;  // ones: cycles since go_i

  always_ff @(posedge clk_i) go_before_q <= rst_i ? '0 : {go_before_q[1:0], go_i};

  go_apart: assert property (go_i |-> go_before_q == '0)
      else $error("go_i less than four cycles after the last");
`endif
endmodule
