// Write-back: the bits of a layer into the activation memory.
//
// bit_i[l*Pe + p] with valid_i are the bits of one block, in the order of the sums: groups,
// images (blocks of images in dense layers), rows after the pool, column blocks. They go to
//
//   by pixel:     lane l, base + image*image_stride + row*row_stride + block*words + word
//   with pool_i:  half a block: lane (block odd ? Lanes/2 : 0) + l, block/2 in place of block
//   serial_i:     lane n mod Lanes, base + (n / Lanes)*image_stride + row*row_stride
//                 + column*words + word; n = in_batch_i + image; one column per cycle
//
// where word = (group*Pe) / Simd; in a dense layer image is a block of Lanes images, row and
// block are 0. The first group of a word writes the whole word, the other bits
// 0; the next ones their own Pe bits. Columns from columns_i on are not written.
//
// start_i comes at least two cycles before the first valid_i; the configuration is constant
// from the cycle before it to the last write. With serial_i the next valid_i comes after block_done_o, a
// pulse after the last column.
//
// Writes: all lanes of write_lane_o at the same address. Latency: a write is at the port after
// the edge that samples valid_i (serial: one more for every column).
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

  if (Pe % GroupBits != 0 || Simd % Pe != 0) begin : gen_check
    $error("bnn_writeback: GroupBits = %0d must divide Pe = %0d, and that Simd = %0d", GroupBits,
           Pe, Simd);
  end

  // Loops: the position of the next block.
  logic [15:0] image_q, row_q, block_q, left_q;  // left_q: columns not written of the row
  logic [SlotBits-1:0] slot_q;
  logic [AddrBits-1:0] word_q, image_addr_q, row_addr_q, block_addr_q, first_addr_q;
  logic [LaneBits-1:0] image_lane_q;
  logic [15:0] block_columns;
  logic next, end_block, end_row, end_image, slot_end;

  // Serial writes of a block.
  logic serial_q;
  logic [Lanes*Pe-1:0] hold_q;
  logic [LaneBits:0] column_q;
  logic serial_last;

  assign block_columns = pool_i ? 16'(Lanes / 2) : 16'(Lanes);
  assign slot_end = slot_q == SlotBits'(Slots - 1);
  assign serial_last = (16'(column_q) + 16'd1 == block_columns) | (16'(column_q) + 16'd1 == left_q);
  assign next = serial_i ? serial_q & serial_last : valid_i;
  assign end_block = block_q + 16'd1 == blocks_i;
  assign end_row = end_block & (row_q + 16'd1 == rows_i);
  assign end_image = end_row & (image_q + 16'd1 == images_i);

  always_ff @(posedge clk_i) begin
    // The product has two cycles: start_i comes early.
    first_addr_q <= base_i + (serial_i ? AddrBits'(in_batch_i >> LaneBits) * image_stride_i : '0);
    if (start_i) begin
      {image_q, row_q, block_q, slot_q, word_q} <= '0;
      left_q       <= columns_i;
      image_addr_q <= first_addr_q;
      row_addr_q   <= first_addr_q;
      block_addr_q <= first_addr_q;
      image_lane_q <= in_batch_i[LaneBits-1:0];
    end else begin
      if (serial_q) block_addr_q <= block_addr_q + words_i;
      if (next) begin
        block_q <= end_block ? '0 : block_q + 16'd1;
        left_q  <= end_block ? columns_i : left_q - block_columns;
        if (!serial_i && (!pool_i || block_q[0])) block_addr_q <= block_addr_q + words_i;
        if (end_block) begin
          row_q        <= end_row ? '0 : row_q + 16'd1;
          row_addr_q   <= row_addr_q + row_stride_i;
          block_addr_q <= row_addr_q + row_stride_i;
        end
        if (end_row) begin
          image_q      <= end_image ? '0 : image_q + 16'd1;
          image_lane_q <= image_lane_q + 1'b1;
          if (!serial_i || (&image_lane_q)) begin
            image_addr_q <= image_addr_q + image_stride_i;
            row_addr_q   <= image_addr_q + image_stride_i;
            block_addr_q <= image_addr_q + image_stride_i;
          end else begin
            row_addr_q   <= image_addr_q;
            block_addr_q <= image_addr_q;
          end
        end
        if (end_image) begin
          image_addr_q <= first_addr_q;
          row_addr_q   <= first_addr_q;
          block_addr_q <= first_addr_q;
          image_lane_q <= in_batch_i[LaneBits-1:0];
          slot_q       <= slot_end ? '0 : slot_q + 1'b1;
          if (slot_end) word_q <= word_q + 1'b1;
        end
      end
    end
    if (valid_i) hold_q <= bit_i;
    else if (serial_q) hold_q <= hold_q >> Pe;
    if (rst_i) begin
      serial_q <= 1'b0;
      column_q <= '0;
    end else begin
      serial_q <= serial_i & (valid_i | (serial_q & ~serial_last));
      column_q <= (serial_q && !serial_last) ? column_q + 1'b1 : '0;
    end
  end

  // The write, one register later.
  logic [Lanes-1:0] lane, lane_q;
  logic [Groups-1:0] group_q;
  logic [AddrBits-1:0] addr_q;
  logic [Lanes*Pe-1:0] bits, bits_q;
  logic [SlotBits-1:0] bit_slot_q;
  logic done_q;

  always_comb begin
    lane = '0;
    bits = bit_i;
    if (serial_i) begin
      lane[image_lane_q] = serial_q;
      bits = {Lanes{hold_q[Pe-1:0]}};
    end else if (pool_i) begin
      for (int unsigned l = 0; l < Lanes; l++) begin
        lane[l] = valid_i & ((l >= Lanes / 2) == block_q[0]) & (16'(l % (Lanes / 2)) < left_q);
      end
      bits = {2{bit_i[Lanes*Pe/2-1:0]}};
    end else begin
      for (int unsigned l = 0; l < Lanes; l++) lane[l] = valid_i & (16'(l) < left_q);
    end
  end

  always_ff @(posedge clk_i) begin
    addr_q     <= block_addr_q + word_q;
    bits_q     <= bits;
    bit_slot_q <= slot_q;
    if (rst_i) begin
      lane_q <= '0;
      done_q <= 1'b0;
    end else begin
      lane_q <= lane;
      done_q <= serial_i & next;
    end
  end

  for (genvar g = 0; g < Groups; g++) begin : gen_group
    always_ff @(posedge clk_i) group_q[g] <= (slot_q == '0) | (32'(slot_q) == g / PerSlot);
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    for (genvar s = 0; s < Slots; s++) begin : gen_slot
      assign write_data_o[l*Simd+s*Pe+:Pe] = (32'(bit_slot_q) == s) ? bits_q[l*Pe+:Pe] : '0;
    end
  end

  assign block_done_o  = done_q;
  assign write_lane_o  = lane_q;
  assign write_group_o = group_q;
  assign write_addr_o  = addr_q;
endmodule
