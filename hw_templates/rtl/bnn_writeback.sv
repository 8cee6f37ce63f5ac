// Write-back: the bits of a layer into the activation memory.
//
// bit_i[l*Pe + p] with valid_i are the bits of one block (with pool_i the pairs where bnn_array
// puts them), in the order of the sums: groups,
// images (blocks of images in dense layers), rows after the pool, column blocks. They go to
//
//   by pixel:     lane l, base + image*image_stride + row*row_stride + block*words + word
//   with pool_i:  half a block: lane (block odd ? Lanes/2 : 0) + l, block/2 in place of block
//   serial_i:     lane n mod Lanes, base + (n / Lanes)*image_stride + row*row_stride
//                 + column*words + word; n = in_batch_i + image; one column per cycle
//
// where word = (group*Pe) / Simd; in a dense layer image is a block of Lanes images, row and
// block are 0. The first group of a word writes the whole word, the other bits 0; the next ones
// their own Pe bits. Columns from columns_i on are not written.
//
// start_i comes at least two cycles before the first valid_i; the configuration is constant
// from the cycle before it to the last write. With serial_i the bits hold and the next valid_i
// comes after block_done_o, a pulse after the last column.
//
// Writes: all lanes of write_lane_o at the same address. Latency: a write is at the port 3 cycles
// after valid_i (serial: the first one 6).
module bnn_writeback #(
    parameter int unsigned Pe = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned ActDepth = 1024,
    parameter int unsigned GroupBits = 4,
    localparam int unsigned AddrBits = $clog2(ActDepth),
    localparam int unsigned Groups = Simd / GroupBits
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
    input  logic [15:0]           columns_i,  // after the pool
    input  logic [15:0]           in_batch_i,
    input  logic [AddrBits-1:0]   base_i,
    input  logic [AddrBits-1:0]   image_stride_i,
    input  logic [AddrBits-1:0]   row_stride_i,
    input  logic [AddrBits-1:0]   words_i,
    // Bits
    input  logic                  valid_i,
    input  logic [Lanes*Pe-1:0]   bit_i,
    output logic                  block_done_o,
    // Write port
    output logic [Lanes-1:0]      write_lane_o,
    output logic [Groups-1:0]     write_group_o,
    output logic [AddrBits-1:0]   write_addr_o,
    output logic [Lanes*Simd-1:0] write_data_o
);
  localparam int unsigned LaneBits = $clog2(Lanes);
  localparam int unsigned Slots = Simd / Pe;
  localparam int unsigned SlotBits = (Slots > 1) ? $clog2(Slots) : 1;
  localparam int unsigned PerSlot = Pe / GroupBits;
  localparam int unsigned SerialLatency = 3;  // more than that of the other modes

  if (Pe % GroupBits != 0 || Simd % Pe != 0) begin : gen_check
    $error("bnn_writeback: GroupBits = %0d must divide Pe = %0d, and that Simd = %0d", GroupBits,
           Pe, Simd);
  end

  // ---- Loops: the position of the next block ---------------------------------------------------

  logic [15:0] image_q, row_q, block_q, left_q;  // still to come; left_q: columns of the row
  logic image_last_q, row_last_q, block_last_q, odd_q;
  logic [SlotBits-1:0] slot_q;
  logic [AddrBits-1:0] word_q, image_addr_q, row_addr_q, block_addr_q, first_addr_q;
  logic [AddrBits-1:0] next_row, next_image;
  logic [LaneBits-1:0] image_lane_q;
  logic [15:0] block_columns;
  logic next, end_row, end_image, slot_end;

  // Serial writes of a block
  logic serial_q, serial_last;
  logic [LaneBits-1:0] column_q, source;
  logic [LaneBits:0] count_q;  // columns of the block still to come

  assign block_columns = pool_i ? 16'(Lanes / 2) : 16'(Lanes);
  assign slot_end = slot_q == SlotBits'(Slots - 1);
  assign serial_last = count_q == (LaneBits + 1)'(1);
  assign next = serial_i ? serial_q & serial_last : valid_i;
  assign end_row = block_last_q & row_last_q;
  assign end_image = block_last_q & row_last_q & image_last_q;
  assign next_row = row_addr_q + row_stride_i;
  assign next_image = image_addr_q + image_stride_i;

  always_ff @(posedge clk_i) begin
    first_addr_q <= base_i + (serial_i ? AddrBits'(in_batch_i >> LaneBits) * image_stride_i : '0);
    if (start_i || (next && block_last_q)) begin
      block_q      <= blocks_i;
      block_last_q <= blocks_i == 16'd1;
      left_q       <= columns_i;
      odd_q        <= 1'b0;
    end else if (next) begin
      block_q      <= block_q - 16'd1;
      block_last_q <= block_q == 16'd2;
      left_q       <= left_q - block_columns;
      odd_q        <= ~odd_q;
    end
    if (start_i || (next && end_row)) begin
      row_q      <= rows_i;
      row_last_q <= rows_i == 16'd1;
    end else if (next && block_last_q) begin
      row_q      <= row_q - 16'd1;
      row_last_q <= row_q == 16'd2;
    end
    if (start_i || (next && end_image)) begin
      image_q      <= images_i;
      image_last_q <= images_i == 16'd1;
      image_lane_q <= in_batch_i[LaneBits-1:0];
    end else if (next && end_row) begin
      image_q      <= image_q - 16'd1;
      image_last_q <= image_q == 16'd2;
      image_lane_q <= image_lane_q + 1'b1;
    end
    if (start_i || (next && end_image)) begin
      image_addr_q <= first_addr_q;
      row_addr_q   <= first_addr_q;
      block_addr_q <= first_addr_q;
    end else if (next && end_row) begin
      if (!serial_i || (&image_lane_q)) begin
        image_addr_q <= next_image;
        row_addr_q   <= next_image;
        block_addr_q <= next_image;
      end else begin
        row_addr_q   <= image_addr_q;
        block_addr_q <= image_addr_q;
      end
    end else if (next && block_last_q) begin
      row_addr_q   <= next_row;
      block_addr_q <= next_row;
    end else if (serial_i ? serial_q : next && (!pool_i || odd_q)) begin
      block_addr_q <= block_addr_q + words_i;
    end
    if (start_i) begin
      slot_q <= '0;
      word_q <= '0;
    end else if (next && end_image) begin
      slot_q <= slot_end ? '0 : slot_q + 1'b1;
      if (slot_end) word_q <= word_q + 1'b1;
    end
    if (!serial_q) count_q <= (left_q < block_columns) ? left_q[LaneBits:0] : block_columns[LaneBits:0];
    else count_q <= count_q - 1'b1;
    if (rst_i) begin
      serial_q <= 1'b0;
      column_q <= '0;
    end else begin
      serial_q <= serial_i & (valid_i | (serial_q & ~serial_last));
      column_q <= (serial_q && !serial_last) ? column_q + 1'b1 : '0;
    end
  end

  // ---- Control of a write, in step with its data -------------------------------------------------

  localparam int unsigned ControlBits = Lanes + AddrBits + SlotBits;

  logic [Lanes-1:0] lane, lane_now_q, lane_q;
  logic [SlotBits-1:0] slot_now_q;
  logic [AddrBits-1:0] addr_now_q, addr_q;
  logic [SerialLatency-2:0][ControlBits-1:0] late_q;
  logic [ControlBits-1:0] control;
  logic [Groups-1:0] group_q;
  logic [SerialLatency:0] done_q;
  logic [SlotBits-1:0] slot;

  always_comb begin
    lane = '0;
    if (serial_i) begin
      lane[image_lane_q] = serial_q;
    end else if (pool_i) begin
      for (int unsigned l = 0; l < Lanes; l++) begin
        lane[l] = valid_i & ((l >= Lanes / 2) == odd_q) & (16'(l % (Lanes / 2)) < left_q);
      end
    end else begin
      for (int unsigned l = 0; l < Lanes; l++) lane[l] = valid_i & (16'(l) < left_q);
    end
  end

  // late_q ends SerialLatency - 1 cycles after lane_now_q
  assign control = serial_i ? late_q[SerialLatency-2] : {lane_now_q, addr_now_q, slot_now_q};
  assign slot = control[SlotBits-1:0];

  logic [Lanes-1:0] lane_next_q;
  logic [AddrBits-1:0] addr_next_q;
  logic [SlotBits-1:0] slot_next_q;

  always_ff @(posedge clk_i) begin
    addr_now_q  <= block_addr_q + word_q;
    slot_now_q  <= slot_q;
    addr_next_q <= control[SlotBits+:AddrBits];
    slot_next_q <= slot;
    addr_q      <= addr_next_q;
    if (rst_i) begin
      lane_now_q  <= '0;
      late_q      <= '0;
      lane_next_q <= '0;
      lane_q      <= '0;
      done_q      <= '0;
    end else begin
      lane_now_q  <= lane;
      late_q      <= {late_q[SerialLatency-3:0], {lane_now_q, addr_now_q, slot_now_q}};
      lane_next_q <= control[SlotBits+AddrBits+:Lanes];
      lane_q      <= lane_next_q;
      done_q      <= {done_q[SerialLatency-1:0], serial_i & next};
    end
  end

  for (genvar g = 0; g < Groups; g++) begin : gen_group
    always_ff @(posedge clk_i) begin
      group_q[g] <= (slot_next_q == '0) | (32'(slot_next_q) == g / PerSlot);
    end
  end

  // ---- Data: the column of a serial write, then lanes in parts -------------------------------------

  logic [Pe-1:0] serial_bit;
  logic [Lanes*Pe-1:0] bit_q;

  always_ff @(posedge clk_i) bit_q <= bit_i;

  // Where pair j lies: two pairs in the first half of each tile of four lanes
  assign source = pool_i ? LaneBits'({column_q >> 1, 1'b0, column_q[0]}) : column_q;

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
        .serial_i,
        .pool_i,
        .slot_i  (slot),
        .lane_i  (bit_q[l*Pe+:Pe]),
        .pair_i  (bit_q[(l%(Lanes/2)/2*4+l%(Lanes/2)%2)*Pe+:Pe]),
        .serial_bit_i(serial_bit),
        .data_o  (write_data_o[l*Simd+:Simd])
    );
  end

  assign block_done_o  = done_q[SerialLatency];
  assign write_lane_o  = lane_q;
  assign write_group_o = group_q;
  assign write_addr_o  = addr_q;
endmodule
