// Write-back: the bits of a layer into the activation memory.
//
// bit_i[l*Pe + p] are the bits of one block (with pool_i the pairs where bnn_array puts them); soon_i
// comes two cycles before them. Blocks come in the order of the sums: groups, images (blocks of
// images in dense layers), rows after the pool, column blocks. They go to
//
//   by pixel:     lane l, base + image*image_stride + row*row_stride + block*words + word
//   with pool_i:  half a block: lane (block odd ? Lanes/2 : 0) + l, block/2 in place of block
//   serial_i:     lane n mod Lanes, base + (n / Lanes)*image_stride + row*row_stride
//                 + column*words + word; n = in_batch_i + image; one column per cycle
//
// where word = (group*Pe) / Simd; in a dense layer image is a block of Lanes images, from in_batch_i / Lanes on, row
// and block are 0. in_batch_i is 0 by pixel. The first group of a word writes the whole word, the other bits 0; the
// next ones their own Pe bits. Columns from columns_i on, all in the last block, are not written.
//
// start_i comes at least six cycles before the first soon_i; the configuration is constant from
// two cycles before start_i to the one before the last write. With serial_i the bits hold and the next soon_i
// does not come before block_done_o, a pulse after the last column.
//
// With vector_i, constant as the configuration, writes are those of the vector unit: vector_bit_i to the lanes of
// vector_lane_i, two cycles before they are at the port. In a cycle before one without write read_i takes the port to
// read at read_addr_i.
//
// Writes: all lanes of write_lane_o at the same address. Latency: a write is at the port 3 cycles
// after its bits (serial: column n of a block n + 4 cycles); write_next_o is high one cycle before
// one.
module bnn_writeback
  import bnn_add_pkg::add, bnn_add_pkg::count;
#(
    parameter int unsigned Pe = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned ActDepth = 1024,
    localparam int unsigned AddrBits = $clog2(ActDepth),
    localparam int unsigned LaneBits = $clog2(Lanes),
    localparam int unsigned Groups = Simd / Pe,
    localparam int unsigned SlotBits = (Groups > 1) ? $clog2(Groups) : 1
) (
    input  logic                  clk_i,
    input  logic                  rst_i,
    input  logic                  start_i,
    // Configuration, from the descriptor
    input  logic                  pool_i,
    input  logic                  serial_i,
    input  logic [15:0]           images_i,
    input  logic [15:0]           rows_i,  // after the pool
    input  logic [15:0]           blocks_i,
    input  logic [LaneBits-1:0]   columns_i,  // after the pool, modulo Lanes
    input  logic [15:0]           in_batch_i,
    input  logic [AddrBits-1:0]   base_i,
    input  logic [AddrBits-1:0]   image_stride_i,
    input  logic [AddrBits-1:0]   row_stride_i,
    input  logic [AddrBits-1:0]   words_i,
    // Bits
    input  logic                  soon_i,
    input  logic [Lanes*Pe-1:0]   bit_i,
    output logic                  block_done_o,
    // Writes of the vector unit, and its reads at the same port
    input  logic [Lanes-1:0]      vector_lane_i,
    input  logic [AddrBits-1:0]   vector_addr_i,
    input  logic [SlotBits-1:0]   vector_slot_i,
    input  logic [Lanes*Pe-1:0]   vector_bit_i,
    input  logic                  vector_i,  // constant during a layer
    input  logic                  read_i,
    input  logic [AddrBits-1:0]   read_addr_i,
    // Write port
    output logic                  write_next_o,
    output logic [Lanes-1:0]      write_lane_o,
    output logic [Groups-1:0]     write_group_o,
    output logic [AddrBits-1:0]   write_addr_o,
    output logic [Lanes*Simd-1:0] write_data_o
);
  localparam int unsigned Slots = Simd / Pe;

  if (Simd % Pe != 0) begin : gen_check
    $error("bnn_writeback: Pe = %0d must divide Simd = %0d", Pe, Simd);
  end

  // ---- Configuration -----------------------------------------------------------------------------

  logic pool_q, serial_q, serial_write, serial_mask, serial_lane, pool_lane;
  logic [AddrBits-1:0] skipped_q, first_addr_q;
  logic [LaneBits:0] block_columns, last_columns_q, columns_left;  // columns of a block, of a row's last
  logic [Lanes-1:0] last_lane_q;  // lanes of the last block

  assign block_columns = pool_q ? (LaneBits + 1)'(Lanes / 2) : (LaneBits + 1)'(Lanes);
  assign columns_left = {1'b0, columns_i} & (block_columns - 1'b1);

  bnn_register u_serial_mask (
      .clk_i,
      .data_i(serial_i),
      .data_o(serial_mask)
  );
  bnn_register u_serial (
      .clk_i,
      .data_i(serial_i),
      .data_o(serial_write)
  );
  bnn_register #(
      .Bits(2)
  ) u_lane_mode (
      .clk_i,
      .data_i({serial_i, pool_i}),
      .data_o({serial_lane, pool_lane})
  );

  always_ff @(posedge clk_i) begin
    pool_q         <= pool_i;
    serial_q       <= serial_i;
    skipped_q      <= AddrBits'(in_batch_i >> LaneBits) * image_stride_i;
    first_addr_q   <= base_i + skipped_q;
    last_columns_q <= (columns_left == '0) ? block_columns : columns_left;
    for (int unsigned l = 0; l < Lanes; l++) begin
      last_lane_q[l] <= (pool_q ? l % (Lanes / 2) : l) < 32'(last_columns_q);
    end
  end

  // ---- Writes of a block: one, or with serial_i one for each column ---------------------------------

  logic block_last, start_q;
  logic column_valid_q, column_last_q, column_one_q, column_two_q, column_valid;
  logic column_more_q;  // there is one after this one
  logic count_one_q;  // that is the last
  logic [LaneBits-1:0] column_q;
  logic [LaneBits:0] columns_q, columns_less_q, count_q;  // of the block; one less; still to come after this one
  logic once_q, next, next_event;  // the one; the last of a block

  assign column_valid = (soon_i & serial_q) | column_more_q;

  always_ff @(posedge clk_i) begin
    // Settled when a block of serial writes comes
    columns_q     <= block_last ? last_columns_q : block_columns;
    columns_less_q <= (LaneBits + 1)'(count(32'(columns_q), 1'b0, 1'b1));
    column_one_q  <= columns_q == (LaneBits + 1)'(1);
    column_two_q  <= columns_q == (LaneBits + 1)'(2);
    count_q       <= column_valid_q ? (LaneBits + 1)'(count(32'(count_q), 1'b0, 1'b1)) : columns_less_q;
    count_one_q   <= column_valid_q ? count_q == (LaneBits + 1)'(2) : column_two_q;
    column_q      <= column_valid_q ? LaneBits'(count(32'(column_q), 1'b1, 1'b0)) : '0;
    column_last_q <= column_valid_q ? count_one_q : column_one_q;
    if (rst_i) begin
      start_q        <= 1'b0;
      once_q         <= 1'b0;
      column_valid_q <= 1'b0;
      column_more_q  <= 1'b0;
    end else begin
      start_q        <= start_i;
      once_q         <= soon_i & ~serial_q;
      column_valid_q <= column_valid;
      column_more_q  <= column_valid & ~(column_valid_q ? count_one_q : column_one_q);
    end
  end

  assign next = (soon_i & (~serial_q | column_one_q)) | (column_more_q & count_one_q);

  bnn_register u_next_event (
      .clk_i,
      .data_i(next),
      .data_o(next_event)
  );

  // ---- Loops: the position of the block ------------------------------------------------------------

  localparam int unsigned Loops = 3;
  localparam int unsigned Block = 0, Row = 1, Image = 2;

  logic odd_q, row_end, group_end;
  logic lane_last_q;  // the next image is in the first lane again
  logic [Loops-1:0] last, last_place;  // the latter for the position
  logic [1:0][Loops-1:0] last_gate;  // for the next loop, for that outside it
  logic [15:0] limit[Loops];
  logic [15:0] unused_value[Loops];
  logic [LaneBits-1:0] image_lane_q;

  assign limit[Block] = blocks_i;
  assign limit[Row]   = rows_i;
  assign limit[Image] = images_i;

  for (genvar i = 0; i < Loops; i++) begin : gen_loop
    logic [i:0] gate;
    logic restart;

    bnn_register #(
        .Bits(2)
    ) u_next (
        .clk_i,
        .data_i({start_i, next}),
        .data_o({restart, gate[0]})
    );
    if (i > 0) begin : gen_gate
      assign gate[i:1] = last_gate[i-1][i-1:0];
    end

    bnn_loop #(
        .Gates (i + 1),
        .Value (1'b0),
        .Copies(4)
    ) u_loop (
        .clk_i,
        .restart_i(restart),
        .go_i     (gate),
        .limit_i  (limit[i]),
        .value_o  (unused_value[i]),
        .last_o   ({last_place[i], last_gate[1][i], last_gate[0][i], last[i]})
    );
  end

  assign block_last = last[Block];

  always_ff @(posedge clk_i) begin
    lane_last_q <= ~serial_q | (&image_lane_q);
    if (start_q) odd_q <= 1'b0;
    else if (next_event) odd_q <= ~block_last & ~odd_q;
    if (start_q) image_lane_q <= in_batch_i[LaneBits-1:0];
    else if (row_end) begin
      image_lane_q <= last_place[Image] ? in_batch_i[LaneBits-1:0] : LaneBits'(count(32'(image_lane_q), 1'b1, 1'b0));
    end
  end

  // ---- Position of a write ---------------------------------------------------------------------------

  // An address is the sum of these; word_q, the group's word, begins at the first address. The next lane's image is in
  // the same place.
  logic [AddrBits-1:0] image_q, row_q, block_q, word_q;
  logic [SlotBits-1:0] slot_q;
  logic image_clear, image_step, row_clear, row_step, block_clear, block_step, slot_end_q, start_place;

  bnn_register u_start_place (
      .clk_i,
      .data_i(start_i),
      .data_o(start_place)
  );

  bnn_place_step u_step (
      .start_i      (start_place),
      .go_i         (next_event),
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

  assign block_step = column_valid_q | (once_q & (~pool_q | odd_q));

  always_ff @(posedge clk_i) begin
    if (image_clear) image_q <= '0;
    else if (image_step) image_q <= AddrBits'(add(32'(image_q), 32'(image_stride_i)));
    if (row_clear) row_q <= '0;
    else if (row_step) row_q <= AddrBits'(add(32'(row_q), 32'(row_stride_i)));
    if (block_clear) block_q <= '0;
    else if (block_step) block_q <= AddrBits'(add(32'(block_q), 32'(words_i)));
    if (start_q) word_q <= first_addr_q;
    else if (group_end && slot_end_q) word_q <= AddrBits'(add(32'(word_q), 32'd1));
    if (start_q) slot_q <= '0;
    else if (group_end) slot_q <= slot_end_q ? '0 : slot_q + 1'b1;
    if (start_q) slot_end_q <= Slots == 1;
    else if (group_end) slot_end_q <= slot_q == SlotBits'(Slots - 2) || Slots == 1;
  end

  // ---- Control of a write, in step with its data -------------------------------------------------

  localparam int unsigned ControlBits = Lanes + AddrBits + SlotBits;

  logic [Lanes-1:0] lane, lane_d_q, lane_now_q, lane_soon_q, lane_q;
  logic [SlotBits-1:0] slot_d_q, slot_now_q, slot_next_q, slot;
  logic [Lanes/2-1:0][SlotBits-1:0] lane_slot;
  logic [AddrBits-1:0] line_q, place_q, addr_now_q, addr_next_q, addr_q;
  logic [ControlBits-1:0] late_q, control;  // late_q: a column takes one cycle more than a block
  logic [Groups-1:0] group_q;
  logic [2:0] done_q;
  logic vector_mask, vector_write, vector_lane;
  logic write_next_q;  // any of lane_soon_q

  bnn_register u_vector_mask (
      .clk_i,
      .data_i(vector_i),
      .data_o(vector_mask)
  );
  bnn_register u_vector_write (
      .clk_i,
      .data_i(vector_i),
      .data_o(vector_write)
  );
  bnn_register u_vector_lane (
      .clk_i,
      .data_i(vector_i),
      .data_o(vector_lane)
  );

  always_comb begin
    lane = '0;
    if (serial_q) begin
      lane[image_lane_q] = column_valid_q;
    end else if (pool_q) begin
      for (int unsigned l = 0; l < Lanes; l++) begin
        lane[l] = once_q & ((l >= Lanes / 2) == odd_q) & (~block_last | last_lane_q[l]);
      end
    end else begin
      lane = {Lanes{once_q}} & (last_lane_q | {Lanes{~block_last}});
    end
  end

  assign control[SlotBits+AddrBits-1:0] =
      vector_write ? {vector_addr_i, vector_slot_i}
      : serial_write ? late_q[SlotBits+AddrBits-1:0] : {addr_now_q, slot_now_q};
  assign control[SlotBits+AddrBits+:Lanes] =
      vector_mask ? vector_lane_i : serial_mask ? late_q[SlotBits+AddrBits+:Lanes] : lane_now_q;
  assign slot = control[SlotBits-1:0];

  // For two lanes each, as it has many loads
  for (genvar l = 0; l < Lanes; l += 2) begin : gen_slot
    bnn_writeback_slot #(
        .Bits(SlotBits)
    ) u_slot (
        .vector_i     (vector_write),
        .serial_i     (serial_write),
        .vector_slot_i,
        .late_i       (late_q[SlotBits-1:0]),
        .now_i        (slot_now_q),
        .slot_o       (lane_slot[l/2])
    );
  end

  always_ff @(posedge clk_i) begin
    line_q      <= AddrBits'(add(32'(image_q), 32'(row_q)));
    place_q     <= AddrBits'(add(32'(block_q), 32'(word_q)));
    addr_now_q  <= AddrBits'(add(32'(line_q), 32'(place_q)));
    slot_d_q    <= slot_q;
    slot_now_q  <= slot_d_q;
    addr_next_q <= control[SlotBits+:AddrBits];
    slot_next_q <= slot;
    addr_q      <= read_i ? read_addr_i : addr_next_q;
    if (rst_i) begin
      lane_d_q      <= '0;
      lane_now_q    <= '0;
      late_q        <= '0;
      lane_soon_q   <= '0;
      write_next_q  <= 1'b0;
      lane_q        <= '0;
      done_q        <= '0;
    end else begin
      lane_d_q      <= lane;
      lane_now_q    <= lane_d_q;
      late_q        <= {lane_now_q, addr_now_q, slot_now_q};
      lane_soon_q   <= control[SlotBits+AddrBits+:Lanes];
      write_next_q  <= |control[SlotBits+AddrBits+:Lanes];
      lane_q        <= lane_soon_q;
      done_q        <= {done_q[1:0], column_valid_q & column_last_q};
    end
  end

  for (genvar g = 0; g < Groups; g++) begin : gen_group
    always_ff @(posedge clk_i) begin
      group_q[g] <= (slot_next_q == '0) | (32'(slot_next_q) == g);
    end
  end

  // ---- Data: the column of a serial write, then lanes in parts -------------------------------------

  logic [Pe-1:0] serial_bit;
  logic [Lanes*Pe-1:0] bit_q;
  logic [LaneBits-1:0] source;

  always_ff @(posedge clk_i) bit_q <= bit_i;

  // Where pair j lies: two pairs in the first half of each tile of four lanes
  assign source = pool_q ? LaneBits'({column_q >> 1, 1'b0, column_q[0]}) : column_q;

  bnn_pick #(
      .Words(Lanes),
      .Bits (Pe)
  ) u_pick (
      .clk_i,
      .select_i(source),
      .word_i  (bit_i),
      .data_o  (serial_bit)
  );

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    bnn_writeback_lane #(
        .Pe   (Pe),
        .Slots(Slots)
    ) u_lane (
        .clk_i,
        .serial_i    (serial_lane),
        .pool_i      (pool_lane),
        .vector_i    (vector_lane),
        .slot_i      (lane_slot[l/2]),
        .lane_i      (bit_q[l*Pe+:Pe]),
        .pair_i      (bit_q[(l%(Lanes/2)/2*4+l%(Lanes/2)%2)*Pe+:Pe]),
        .serial_bit_i(serial_bit),
        .vector_bit_i(vector_bit_i[l*Pe+:Pe]),
        .data_o      (write_data_o[l*Simd+:Simd])
    );
  end

  assign block_done_o  = done_q[2];
  assign write_next_o  = write_next_q;
  assign write_lane_o  = lane_q;
  assign write_group_o = group_q;
  assign write_addr_o  = addr_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  // Configuration beside the loops' limits, which bnn_loop looks at
  localparam int unsigned Config = 2 + 16 + LaneBits + 4 * AddrBits;
  logic [Config-1:0] config_now, config_q;
  logic constant, constant_q;
  logic [4:0] start_before_q;  // ones: cycles since start_i
  logic [Lanes*Pe-1:0] bit_before_q;
  logic pending_q;  // a block of serial writes is at work
  logic [1:0] soon_before_q;
  logic hold_q;  // its bits are there

  assign config_now = {pool_i, serial_i, columns_i, in_batch_i, base_i, image_stride_i, row_stride_i, words_i};
  assign constant = config_now == config_q;

  always_ff @(posedge clk_i) begin
    config_q         <= config_now;
    constant_q       <= constant;
    start_before_q   <= {start_before_q[3:0], start_i};
    bit_before_q     <= bit_i;
    pending_q        <= ~rst_i & ((soon_i & serial_i) | (pending_q & ~block_done_o));
    soon_before_q    <= rst_i ? '0 : {soon_before_q[0], soon_i & serial_i};
    hold_q           <= ~rst_i & (soon_before_q[1] | (hold_q & ~block_done_o));
  end

  soon_late: assert property (soon_i |-> !start_i && start_before_q == '0)
      else $error("soon_i less than six cycles after start_i");
  start_constant: assert property (start_i |-> constant && constant_q)
      else $error("configuration not constant from two cycles before start_i");
  writes_constant: assert property (soon_i || once_q || column_valid_q || lane_d_q != '0 || lane_now_q != '0
      || lane_soon_q != '0 |-> constant)
      else $error("configuration changes before the last write");
  serial_in_turn: assert property (soon_i && serial_i |-> !pending_q || block_done_o)
      else $error("soon_i before block_done_o with serial_i");
  serial_bits_hold: assert property (hold_q |-> bit_i == bit_before_q)
      else $error("bit_i changes before block_done_o with serial_i");
`endif
endmodule
