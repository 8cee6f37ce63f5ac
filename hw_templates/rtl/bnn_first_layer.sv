// First-layer engine: images from memory to the activation memory, ahead of the array.
//
// Convolution mode: the images go through the pixel table into an image buffer (two images, one
// is filled while the other is read). Columns of three rows (four with a pool) are read into a
// patch of 4x4 pixels; for every position of it all channels are computed, FirstPe at a time,
// so a pixel takes max(3, groups) cycles, a quad of a pool max(8, 4*groups + 1).
// Pack mode: every byte becomes the sign of its table entry; eight bits a cycle.
// Both follow docs/ARCHITECTURE.md, "The first layer".
//
// load_*: the beats of the program's first-layer block in order, load_index_i from 0.
// start_i: a pulse before a run, after the block is loaded; the configuration is constant from
// then on. count_i images are read from images_i on, in sub-batches of sub_batch_i (the last
// may be smaller), to base_even_i and base_odd_i in turn. done_o is a pulse at least one cycle after
// the last write of a sub-batch was taken. consumed_i is a pulse when the array has read a
// sub-batch: at most two sub-batches are done and not consumed.
//
// Writes: all lanes of write_lane_o at the same address, FirstPe bits per bit of write_group_o,
// taken with write_ready_i.
module bnn_first_layer #(
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned ActDepth = 1024,
    parameter int unsigned FirstPe = 4,
    parameter int unsigned ImagePixels = 1024,
    localparam int unsigned AddrBits = $clog2(ActDepth),
    localparam int unsigned Groups = Simd / FirstPe
) (
    input  logic                clk_i,
    input  logic                rst_i,
    // First-layer block of the program
    input  logic                load_valid_i,
    input  logic [9:0]          load_index_i,
    input  logic [63:0]         load_data_i,
    // Configuration, from the program header
    input  logic                pad_i,
    input  logic                pool_i,
    input  logic [15:0]         channels_out_i,  // 0: pack mode
    input  logic [2:0]          channels_in_i,
    input  logic [15:0]         height_i,
    input  logic [15:0]         width_i,
    input  logic [15:0]         pixels_i,
    input  logic [15:0]         rows_i,
    input  logic [15:0]         columns_i,
    input  logic [31:0]         image_bytes_i,
    input  logic [31:0]         elements_i,
    input  logic [AddrBits-1:0] base_even_i,
    input  logic [AddrBits-1:0] base_odd_i,
    input  logic [AddrBits-1:0] image_stride_i,
    input  logic [AddrBits-1:0] row_stride_i,
    input  logic [AddrBits-1:0] words_i,
    input  logic [15:0]         sub_batch_i,
    // Run
    input  logic                start_i,
    input  logic [31:0]         count_i,
    input  logic [63:0]         images_i,
    input  logic                consumed_i,
    output logic                done_o,
    // Reads of images
    output logic                command_valid_o,
    input  logic                command_ready_i,
    output logic [63:0]         command_addr_o,
    output logic [31:0]         command_beats_o,
    input  logic                beat_valid_i,
    input  logic [63:0]         beat_i,
    output logic                beat_give_o,
    output logic                hungry_o,  // half of the queue or more is free
    // Writes
    output logic                write_valid_o,
    input  logic                write_ready_i,
    output logic [Lanes-1:0]    write_lane_o,
    output logic [Groups-1:0]   write_group_o,
    output logic [AddrBits-1:0] write_addr_o,
    output logic [Simd-1:0]     write_data_o
);
  localparam int unsigned PixelBits = $clog2(ImagePixels);
  localparam int unsigned LaneBits = $clog2(Lanes);
  localparam int unsigned FirstGroups = 512 / FirstPe;
  localparam int unsigned GroupBits = $clog2(FirstGroups);
  localparam int unsigned PeBits = $clog2(FirstPe);
  localparam int unsigned SlotBits = (Groups > 1) ? $clog2(Groups) : 1;
  localparam int unsigned BeatFifo = 128;
  localparam int unsigned OutFifo = 16;
  localparam int unsigned ColumnFifo = 8;

  logic clear, pack;
  assign clear = rst_i | start_i;
  assign pack = channels_out_i == '0;

  // ---- Program: pixel table and channels -----------------------------------------------------

  (* ram_style = "distributed" *) logic [63:0] table_mem[32];
  logic channel_load;
  logic [8:0] channel_index;

  assign channel_load = load_valid_i & (load_index_i >= 10'd32);
  assign channel_index = 9'(load_index_i - 10'd32);

  always_ff @(posedge clk_i) begin
    if (load_valid_i && load_index_i < 10'd32) table_mem[load_index_i[4:0]] <= load_data_i;
  end

  // ---- Commands and the queue of beats -------------------------------------------------------

  logic [31:0] command_left_q;
  logic [63:0] command_addr_q;
  logic beat_valid, beat_pop, unused_room;
  logic [63:0] beat;  // at the head of the queue

  always_ff @(posedge clk_i) begin
    if (start_i) command_addr_q <= images_i;
    else if (command_valid_o && command_ready_i) begin
      command_addr_q <= command_addr_q + 64'(image_bytes_i);
    end
    if (rst_i) command_left_q <= '0;
    else if (start_i) command_left_q <= count_i;
    else if (command_valid_o && command_ready_i) command_left_q <= command_left_q - 32'd1;
  end

  assign command_valid_o = command_left_q != '0;
  assign command_addr_o  = command_addr_q;
  assign command_beats_o = image_bytes_i >> 3;
  assign beat_give_o     = beat_pop;

  logic [$clog2(BeatFifo):0] level_q;
  logic hungry_q;

  always_ff @(posedge clk_i) begin
    if (clear) level_q <= '0;
    else level_q <= level_q + ($bits(level_q))'(beat_valid_i) - ($bits(level_q))'(beat_pop);
    hungry_q <= level_q <= ($bits(level_q))'(BeatFifo / 2);
  end

  assign hungry_o = hungry_q;

  bnn_fifo #(
      .Width(64),
      .Depth(BeatFifo)
  ) u_beats (
      .clk_i,
      .rst_i  (clear),
      .push_i (beat_valid_i),
      .data_i (beat_i),
      .room_o (unused_room),
      .valid_o(beat_valid),
      .pop_i  (beat_pop),
      .data_o (beat)
  );

  // ---- Sub-batches ---------------------------------------------------------------------------

  // Engine and output count them separately: the output lags behind.
  logic [1:0] ahead_q;  // sub-batches begun and not consumed
  logic [31:0] left_q;  // images not begun
  logic [15:0] sub_left_q;  // images of the sub-batch not begun
  logic sub_begin, image_begin, pack_begin;

  assign sub_begin = (sub_left_q == '0) & (left_q != '0) & (ahead_q != 2'd2);

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      ahead_q    <= '0;
      left_q     <= '0;
      sub_left_q <= '0;
    end else if (start_i) begin
      ahead_q    <= '0;
      left_q     <= count_i;
      sub_left_q <= '0;
    end else begin
      ahead_q <= ahead_q + 2'(sub_begin) - 2'(consumed_i);
      if (sub_begin) sub_left_q <= (left_q < 32'(sub_batch_i)) ? left_q[15:0] : sub_batch_i;
      else if (image_begin) sub_left_q <= sub_left_q - 16'd1;
      if (image_begin) left_q <= left_q - 32'd1;
    end
  end

  // ---- Convolution: pixels into the image buffer ---------------------------------------------

  logic unpack_take, pixel_valid, pixel_ready, pixel_last;
  logic [31:0] pixel;

  bnn_unpack u_unpack (
      .clk_i,
      .rst_i       (clear | pack),
      .channels_i  (channels_in_i),
      .pixels_i,
      .beat_valid_i(beat_valid & ~pack),
      .beat_take_o (unpack_take),
      .beat_i      (beat),
      .valid_o     (pixel_valid),
      .ready_i     (pixel_ready),
      .last_o      (pixel_last),
      .pixel_o     (pixel)
  );

  (* ram_style = "block" *) logic [31:0] image_mem[2*ImagePixels];
  logic [1:0] full_q;
  logic fill_half_q, read_half_q, image_read_last;
  logic [PixelBits-1:0] fill_q;
  logic stored_q, stored_half_q;
  logic [PixelBits-1:0] stored_addr_q;
  logic [31:0] stored_pixel_q, looked_up;

  assign pixel_ready = ~full_q[fill_half_q];

  for (genvar c = 0; c < 4; c++) begin : gen_lookup
    logic [63:0] row;
    assign row = table_mem[pixel[8*c+3+:5]];
    assign looked_up[8*c+:8] = (3'(c) < channels_in_i) ? row[{pixel[8*c+:3], 3'b000}+:8] : 8'd0;
  end

  always_ff @(posedge clk_i) begin
    stored_pixel_q <= looked_up;
    stored_addr_q <= fill_q;
    stored_half_q <= fill_half_q;
    if (stored_q) image_mem[{stored_half_q, stored_addr_q}] <= stored_pixel_q;
    if (clear) begin
      full_q      <= '0;
      fill_half_q <= 1'b0;
      fill_q      <= '0;
      stored_q    <= 1'b0;
    end else begin
      stored_q <= pixel_valid & pixel_ready;
      if (pixel_valid && pixel_ready) begin
        fill_q <= pixel_last ? '0 : fill_q + 1'b1;
        if (pixel_last) fill_half_q <= ~fill_half_q;
      end
      if (pixel_valid && pixel_ready && pixel_last) full_q[fill_half_q] <= 1'b1;
      if (image_read_last) full_q[read_half_q] <= 1'b0;
    end
  end

  // ---- Convolution: columns of the patch -----------------------------------------------------

  // Reads of column x = cx - pad, rows y - pad + 0 .. 2 or 3.
  logic scan_q, column_room, scan_step, end_row, end_column, end_image;
  logic [15:0] y_q, cx_q;
  logic [1:0] r_q, r_last;
  logic [PixelBits-1:0] line_q, addr_q;
  logic signed [17:0] scan_row, scan_column;
  logic in_image;
  logic [3:0] column_credit_q;
  logic column_pop, column_valid;

  assign r_last = pool_i ? 2'd3 : 2'd2;
  assign column_room = column_credit_q != '0;
  assign scan_step = scan_q & (r_q != '0 | column_room);
  assign end_column = r_q == r_last;
  assign end_row = end_column & (cx_q == columns_i + 16'd1);
  assign end_image = end_row & (y_q + (pool_i ? 16'd2 : 16'd1) == rows_i);
  assign scan_row = 18'(y_q) + 18'(r_q) - 18'(pad_i);
  assign scan_column = 18'(cx_q) - 18'(pad_i);
  assign in_image = (scan_row >= 0) & (scan_row < 18'(height_i)) & (scan_column >= 0)
      & (scan_column < 18'(width_i));
  assign image_read_last = scan_step & end_image;
  assign image_begin = ~pack ? (~scan_q & full_q[read_half_q] & (sub_left_q != '0))
                             : pack_begin;

  always_ff @(posedge clk_i) begin
    if (image_begin) begin
      {y_q, cx_q, r_q} <= '0;
      line_q <= pad_i ? '0 - width_i[PixelBits-1:0] - 1'b1 : '0;
      addr_q <= pad_i ? '0 - width_i[PixelBits-1:0] - 1'b1 : '0;
    end else if (scan_step) begin
      r_q <= end_column ? '0 : r_q + 2'd1;
      if (end_column) cx_q <= end_row ? '0 : cx_q + 16'd1;
      if (end_row) begin
        y_q    <= y_q + (pool_i ? 16'd2 : 16'd1);
        line_q <= line_q + (pool_i ? width_i[PixelBits-1:0] << 1 : width_i[PixelBits-1:0]);
        addr_q <= line_q + (pool_i ? width_i[PixelBits-1:0] << 1 : width_i[PixelBits-1:0]);
      end else if (end_column) begin
        addr_q <= line_q + cx_q[PixelBits-1:0] + 1'b1;
      end else begin
        addr_q <= addr_q + width_i[PixelBits-1:0];
      end
    end
    if (clear || pack) begin
      scan_q          <= 1'b0;
      read_half_q     <= 1'b0;
      column_credit_q <= 4'(ColumnFifo);
    end else begin
      scan_q <= image_begin | (scan_q & ~image_read_last);
      if (image_read_last) read_half_q <= ~read_half_q;
      column_credit_q <= column_credit_q - 4'(scan_step && r_q == '0) + 4'(column_pop);
    end
  end

  // Two cycles of the memory, then the column is put together.
  logic [2:0] read_valid_q, read_inside_q, read_last_q;
  logic [PixelBits:0] read_addr_q;
  logic [31:0] read_q, read_data_q;
  logic [127:0] column_q, column_head;
  logic column_push_q, unused_column_room;

  always_ff @(posedge clk_i) begin
    read_addr_q   <= {read_half_q, addr_q};
    read_q        <= image_mem[read_addr_q];
    read_data_q   <= read_q;
    read_inside_q <= {read_inside_q[1:0], in_image};
    read_last_q   <= {read_last_q[1:0], end_column};
    if (read_valid_q[2]) column_q <= {read_inside_q[2] ? read_data_q : 32'd0, column_q[127:32]};
    if (clear) begin
      read_valid_q  <= '0;
      column_push_q <= 1'b0;
    end else begin
      read_valid_q  <= {read_valid_q[1:0], scan_step};
      column_push_q <= read_valid_q[2] & read_last_q[2];
    end
  end

  bnn_fifo #(
      .Width(128),
      .Depth(ColumnFifo)
  ) u_columns (
      .clk_i,
      .rst_i  (clear),
      .push_i (column_push_q),
      .data_i (column_q),
      .room_o (unused_column_room),
      .valid_o(column_valid),
      .pop_i  (column_pop),
      .data_o (column_head)
  );

  // ---- Convolution: windows of the patch -----------------------------------------------------

  // patch_q[x][y]: the newest column is x = 3. Three rows lie in y = 1 .. 3 (shifted in from the
  // top), four in y = 0 .. 3.
  logic [3:0][3:0][31:0] patch_q;
  logic [15:0] column_count_q;
  logic busy_q, issue, step_last, window_first, window_last, out_room, complete;
  logic [GroupBits:0] group_q, group_end;
  logic [1:0] quad_q;
  logic [4:0] out_credit_q;
  logic out_pop;

  assign group_end = (GroupBits + 1)'(channels_out_i >> PeBits);
  assign window_first = ~pool_i | quad_q == 2'd0;
  assign window_last = ~pool_i | quad_q == 2'd3;
  assign out_room = out_credit_q != '0;
  assign issue = busy_q & (~window_last | out_room);
  assign step_last = window_last & (group_q + 1'b1 == group_end);
  assign column_pop = column_valid & (~busy_q | (issue & step_last));
  assign complete = column_count_q >= (pool_i ? 16'd3 : 16'd2) & (~pool_i | column_count_q[0]);

  always_ff @(posedge clk_i) begin
    if (column_pop) begin
      patch_q <= {column_head, patch_q[3:1]};
    end
    if (clear) begin
      busy_q         <= 1'b0;
      column_count_q <= '0;
      group_q        <= '0;
      quad_q         <= '0;
      out_credit_q   <= 5'(OutFifo);
    end else begin
      if (column_pop) begin
        column_count_q <= (column_count_q == columns_i + 16'd1) ? '0 : column_count_q + 16'd1;
        busy_q         <= complete;
      end else if (issue && step_last) begin
        busy_q <= 1'b0;
      end
      if (issue) begin
        if (pool_i) quad_q <= quad_q + 2'd1;
        if (window_last) group_q <= step_last ? '0 : group_q + 1'b1;
      end
      out_credit_q <= out_credit_q - 5'(issue & window_last) + 5'(out_pop);
    end
  end

  logic [36*8-1:0] window;
  logic [FirstPe*64-1:0] channel;
  logic [3:0][3:0][31:0] patch_d_q;  // with the select registers of the taps
  logic [1:0] window_valid_q, window_first_q, window_last_q;
  logic [1:0] select;
  logic [1:0][GroupBits-1:0] channel_addr_q;
  logic bits_valid;
  logic [FirstPe-1:0] bits;

  // Position {dy, dx}; without a pool it is the newest column, three rows shifted in from the top.
  assign select = pool_i ? quad_q : 2'd3;

  for (genvar ky = 0; ky < 3; ky++) begin : gen_ky
    for (genvar kx = 0; kx < 3; kx++) begin : gen_kx
      for (genvar h = 0; h < 2; h++) begin : gen_half
        bnn_first_tap #(
            .Bits(16)
        ) u_tap (
            .clk_i,
            .select_i  (select),
            .position_i({
              patch_d_q[kx+1][ky+1][16*h+:16], patch_d_q[kx][ky+1][16*h+:16],
              patch_d_q[kx+1][ky][16*h+:16], patch_d_q[kx][ky][16*h+:16]
            }),
            .data_o    (window[(3*ky+kx)*32+16*h+:16])
        );
      end
    end
  end

  // The beats of the channels come two cycles after their window.
  for (genvar p = 0; p < FirstPe; p++) begin : gen_channel
    bnn_first_channel #(
        .Depth(FirstGroups)
    ) u_channel (
        .clk_i,
        .write_i     (channel_load && channel_index[PeBits-1:0] == PeBits'(p)),
        .write_addr_i(channel_index[PeBits+:GroupBits]),
        .write_data_i(load_data_i),
        .address_i   (channel_addr_q[1]),
        .data_o      (channel[p*64+:64])
    );
  end

  always_ff @(posedge clk_i) begin
    patch_d_q      <= patch_q;
    channel_addr_q <= {channel_addr_q[0], group_q[GroupBits-1:0]};
    window_first_q <= {window_first_q[0], window_first};
    window_last_q  <= {window_last_q[0], window_last};
    if (clear) window_valid_q <= '0;
    else window_valid_q <= {window_valid_q[0], issue};
  end

  bnn_first_array #(
      .FirstPe(FirstPe)
  ) u_array (
      .clk_i,
      .rst_i    (clear),
      .valid_i  (window_valid_q[1]),
      .first_i  (window_first_q[1]),
      .last_i   (window_last_q[1]),
      .window_i (window),
      .channel_i(channel),
      .valid_o  (bits_valid),
      .bit_o    (bits)
  );

  logic out_valid, unused_out_room;
  logic [FirstPe-1:0] out_bits;

  bnn_fifo #(
      .Width(FirstPe),
      .Depth(OutFifo)
  ) u_out (
      .clk_i,
      .rst_i  (clear),
      .push_i (bits_valid),
      .data_i (bits),
      .room_o (unused_out_room),
      .valid_o(out_valid),
      .pop_i  (out_pop),
      .data_o (out_bits)
  );

  // ---- Pack mode: sign bits into words -------------------------------------------------------

  logic pack_q, pack_beat, word_valid_q, word_done, pack_end, write, write_room, write_valid_q;
  logic [31:0] pack_left_q;  // elements of the image still to come
  logic [Simd-1:0] word_q;
  logic [$clog2(Simd/8)-1:0] byte_q;
  logic [7:0] signs;

  assign pack_begin = ~pack_q & ~word_valid_q & (sub_left_q != '0) & beat_valid;
  assign pack_beat = pack & pack_q & beat_valid & (~word_valid_q | write);
  assign pack_end = pack_left_q <= 32'd8;
  assign word_done = pack_end | (&byte_q);
  assign beat_pop = pack ? pack_beat : (beat_valid & unpack_take);

  for (genvar i = 0; i < 8; i++) begin : gen_sign
    logic [63:0] row;
    assign row = table_mem[beat[8*i+3+:5]];
    // table > 0: not negative and not zero; the table holds -1 and +1 only
    assign signs[i] = ~row[{beat[8*i+:3], 3'b111}] & (pack_left_q > 32'(i));
  end

  always_ff @(posedge clk_i) begin
    if (pack_begin) begin
      pack_left_q <= elements_i;
      byte_q      <= '0;
    end else if (pack_beat) begin
      pack_left_q <= pack_end ? '0 : pack_left_q - 32'd8;
      byte_q      <= word_done ? '0 : byte_q + 1'b1;
    end
    if (pack_beat) begin
      if (byte_q == '0) word_q <= Simd'(signs);
      else word_q[byte_q*8+:8] <= signs;
    end
    if (clear || !pack) begin
      pack_q       <= 1'b0;
      word_valid_q <= 1'b0;
    end else begin
      pack_q <= pack_begin | (pack_q & ~(pack_beat & pack_end));
      if (pack_beat) word_valid_q <= word_done;
      else if (write) word_valid_q <= 1'b0;
    end
  end

  // ---- Output addresses ----------------------------------------------------------------------

  logic parity_q, end_sub, ended_q, out_end_x, out_end_y, out_end_group, out_end_image, word_last;
  logic [31:0] out_left_q;
  logic [15:0] out_sub_q, x_q, out_y_q, out_columns, out_rows;
  logic [LaneBits-1:0] lane_q;
  logic [Groups-1:0] here_q;  // slot_q, one-hot
  logic [GroupBits:0] out_group_q;
  logic [SlotBits-1:0] slot_q;
  logic slot_end;
  logic [AddrBits-1:0] image_base_q, row_base_q, pixel_base_q, word_index_q;
  logic [2:0] done_q;

  assign out_columns = pool_i ? columns_i >> 1 : columns_i;
  assign out_rows = pool_i ? rows_i >> 1 : rows_i;
  assign write_room = ~write_valid_q | write_ready_i;
  assign write = write_room & (out_sub_q != '0) & (pack ? word_valid_q : out_valid);
  assign out_pop = write & ~pack;
  assign slot_end = slot_q == SlotBits'(Groups - 1);
  assign out_end_group = out_group_q + 1'b1 == group_end;
  assign out_end_x = out_end_group & (x_q + 16'd1 == out_columns);
  assign out_end_y = out_end_x & (out_y_q + 16'd1 == out_rows);
  assign word_last = word_index_q + 1'b1 == words_i;
  assign out_end_image = pack ? word_last : out_end_y;
  assign end_sub = write & out_end_image & (out_sub_q == 16'd1);

  always_ff @(posedge clk_i) begin
    if (out_sub_q == '0) begin  // between sub-batches
      {x_q, out_y_q, lane_q, out_group_q, slot_q, word_index_q} <= '0;
      here_q <= Groups'(1);
      image_base_q <= parity_q ? base_odd_i : base_even_i;
      row_base_q   <= parity_q ? base_odd_i : base_even_i;
      pixel_base_q <= parity_q ? base_odd_i : base_even_i;
    end else if (write && pack) begin
      word_index_q <= word_last ? '0 : word_index_q + 1'b1;
      if (word_last) begin
        lane_q <= lane_q + 1'b1;
        if (&lane_q) pixel_base_q <= pixel_base_q + image_stride_i;
      end
    end else if (write) begin
      slot_q      <= (out_end_group || slot_end) ? '0 : slot_q + 1'b1;
      here_q      <= (out_end_group || slot_end) ? Groups'(1) : here_q << 1;
      out_group_q <= out_end_group ? '0 : out_group_q + 1'b1;
      if (out_end_group) word_index_q <= '0;
      else if (slot_end) word_index_q <= word_index_q + 1'b1;
      if (out_end_group) begin
        x_q    <= out_end_x ? '0 : x_q + 16'd1;
        lane_q <= out_end_x ? '0 : lane_q + 1'b1;
        if (&lane_q) pixel_base_q <= pixel_base_q + words_i;
      end
      if (out_end_x) begin
        out_y_q      <= out_end_y ? '0 : out_y_q + 16'd1;
        row_base_q   <= row_base_q + row_stride_i;
        pixel_base_q <= row_base_q + row_stride_i;
      end
      if (out_end_y) begin
        image_base_q <= image_base_q + image_stride_i;
        row_base_q   <= image_base_q + image_stride_i;
        pixel_base_q <= image_base_q + image_stride_i;
      end
    end
    if (rst_i) begin
      out_left_q <= '0;
      out_sub_q  <= '0;
      parity_q   <= 1'b0;
      done_q     <= '0;
      ended_q    <= 1'b0;
    end else if (start_i) begin
      out_left_q <= count_i;
      out_sub_q  <= '0;
      parity_q   <= 1'b0;
      done_q     <= '0;
      ended_q    <= 1'b0;
    end else begin
      ended_q <= end_sub | (ended_q & ~write_ready_i);  // the last write waits
      done_q  <= {done_q[1:0], ended_q & write_ready_i};
      if (out_sub_q == '0) begin
        out_sub_q <= (out_left_q < 32'(sub_batch_i)) ? out_left_q[15:0] : sub_batch_i;
      end else if (write && out_end_image) begin
        out_sub_q  <= out_sub_q - 16'd1;
        out_left_q <= out_left_q - 32'd1;
        if (end_sub) parity_q <= ~parity_q;
      end
    end
  end

  // The write, registered: it waits for the array's.
  logic [Lanes-1:0] write_lane_q;
  logic [Groups-1:0] write_group_q;
  logic [AddrBits-1:0] write_addr_q;

  always_ff @(posedge clk_i) begin
    if (write_room) begin
      write_lane_q  <= Lanes'(1) << lane_q;
      write_addr_q  <= pixel_base_q + word_index_q;
      write_group_q <= (pack || slot_q == '0) ? '1 : here_q;
    end
    if (rst_i || start_i) write_valid_q <= 1'b0;
    else if (write_room) write_valid_q <= write;
  end

  for (genvar g = 0; g < Groups; g++) begin : gen_out
    bnn_first_slice #(
        .Bits(FirstPe)
    ) u_slice (
        .clk_i,
        .enable_i (write_room),
        .pack_i   (pack),
        .here_i   (here_q[g]),
        .channel_i(out_bits),
        .word_i   (word_q[g*FirstPe+:FirstPe]),
        .data_o   (write_data_o[g*FirstPe+:FirstPe])
    );
  end

  assign done_o        = done_q[2];
  assign write_valid_o = write_valid_q;
  assign write_lane_o  = write_lane_q;
  assign write_group_o = write_group_q;
  assign write_addr_o  = write_addr_q;
endmodule
