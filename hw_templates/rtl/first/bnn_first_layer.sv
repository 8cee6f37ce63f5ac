// First-layer engine: images from memory to the activation memory, ahead of the array.
//
// Convolution mode: the images go through the pixel table into an image buffer (two images, one
// is filled while the other is read). Columns of three rows (four with a pool) are read into a
// patch of 4x4 pixels; for every position of it all channels are computed, FirstPe at a time,
// so a pixel takes max(3, groups) cycles, a quad of a pool max(8, 4*groups + 1).
// Pack mode: every byte becomes the sign of its table entry; eight bits a cycle, and one cycle more
// for each word.
// Both follow docs/ARCHITECTURE.md, "The first layer".
//
// load_*: the beats of the program's first-layer block in order, load_index_i from 0.
// start_i: a pulse before a run, after the block is loaded; the configuration is constant from
// then on. count_i images are read from images_i on, in sub-batches of sub_batch_i (the last
// may be smaller), to base_even_i and base_odd_i in turn. done_o is a pulse at least one cycle after
// the last write of a sub-batch was taken. consumed_i is a pulse when the array has read a
// sub-batch: at most two sub-batches are done and not consumed.
//
// With FirstWired the sums are those of bnn_first_wired, a generated module with the weights of one first layer; wrong_o
// tells that the program's is another.
//
// Writes: a word to all lanes of write_lane_o at the same address, once for every FirstPe channels,
// those to come 0; taken with write_ready_i; write_soon_i is that of the next cycle.
module bnn_first_layer #(
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned ActDepth = 1024,
    parameter int unsigned FirstPe = 4,
    parameter int unsigned ImagePixels = 1024,
    parameter bit FirstWired = 1'b0,
    localparam int unsigned AddrBits = $clog2(ActDepth),
    localparam int unsigned Groups = Simd / FirstPe
) (
    input  logic                clk_i,
    input  logic                rst_i,
    // First-layer block of the program
    input  logic                load_valid_i,
    input  logic [9:0]          load_index_i,
    input  logic [63:0]         load_data_i,
    output logic                wrong_o,
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
    input  logic                write_soon_i,
    output logic [Lanes-1:0]    write_lane_o,
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
  // More than the sums that are on their way: those of a wired engine take longer
  localparam int unsigned OutFifo = FirstWired ? 32 : 16;
  localparam int unsigned CreditBits = $clog2(OutFifo) + 1;
  localparam int unsigned ColumnFifo = 8;

  // ---- Configuration, as it is used; a run begins two cycles after start_i -------------------------

  // A copy of the mode for each part.
  localparam int unsigned Parts = 5;
  localparam int unsigned Beats = 0, Scan = 1, Window = 2, Out = 3, Write = 4;

  logic [Parts-1:0] clear, pack, pool;
  logic [2:0] channels_q;
  logic pad, start_q, run_q;
  logic [15:0] out_columns_q, out_rows_q;
  logic [GroupBits:0] group_end_q;

  for (genvar i = 0; i < Parts; i++) begin : gen_part
    bnn_register #(
        .Bits(3)
    ) u_mode (
        .clk_i,
        .data_i({rst_i | start_i, channels_out_i == '0, pool_i}),
        .data_o({clear[i], pack[i], pool[i]})
    );
  end

  always_ff @(posedge clk_i) begin
    channels_q    <= channels_in_i;
    pad           <= pad_i;
    group_end_q   <= (GroupBits + 1)'(channels_out_i >> PeBits);
    out_columns_q <= pool[Beats] ? columns_i >> 1 : columns_i;
    out_rows_q    <= pool[Out] ? rows_i >> 1 : rows_i;
    start_q       <= start_i & ~rst_i;
    run_q         <= ~rst_i & (start_q | run_q);
  end

  // ---- Program: pixel table and channels -----------------------------------------------------

  logic channel_load;
  logic [8:0] channel_index;

  logic [63:0] load_data_q, table_data_q;
  logic table_load_q;
  logic [4:0] table_index_q;

  assign channel_load = load_valid_i & (load_index_i >= 10'd32);
  assign channel_index = 9'(load_index_i - 10'd32);

  always_ff @(posedge clk_i) begin
    load_data_q   <= load_data_i;
    table_load_q  <= load_valid_i & (load_index_i < 10'd32);
    table_index_q <= load_index_i[4:0];
    table_data_q  <= load_data_q;
  end

  // Bytes looked up: of a beat in pack mode, of a pixel else
  logic [7:0][7:0] looked_at, looked_up;

  for (genvar i = 0; i < 8; i++) begin : gen_lookup
    // The last four are used for signs only
    localparam int unsigned Bits = (i < 4) ? 8 : 1;
    if (i >= 4) begin : gen_sign_only
      assign looked_up[i][6:0] = '0;
    end
    bnn_first_lookup #(
        .Bits(Bits)
    ) u_lookup (
        .clk_i,
        .write_i      (table_load_q),
        .write_index_i(table_index_q),
        .write_data_i (table_data_q),
        .byte_i       (looked_at[i]),
        .data_o       (looked_up[i][7-:Bits])
    );
  end

  // ---- Commands and the queue of beats -------------------------------------------------------

  // The address is the sum of images_i and of what came before, in two steps; the command waits for it.
  logic [31:0] asked_q;  // commands given
  logic [31:0] offset_q;
  logic [32:0] addr_low_q;
  logic [31:0] addr_high_q, addr_low_d_q;
  logic [2:0] settle_q;
  logic more_q, command_valid_q, given;
  logic beat_valid, beat_pop, beat_give_q;
  logic [63:0] beat;  // at the head of the queue

  assign given = command_valid_q & command_ready_i;

  always_ff @(posedge clk_i) begin
    addr_low_q   <= {1'b0, images_i[31:0]} + {1'b0, offset_q};
    addr_low_d_q <= addr_low_q[31:0];
    addr_high_q  <= images_i[63:32] + 32'(addr_low_q[32]);
    more_q       <= asked_q != count_i;
    if (clear[Beats]) begin
      asked_q  <= '0;
      offset_q <= '0;
    end else if (given) begin
      asked_q  <= asked_q + 32'd1;
      offset_q <= offset_q + image_bytes_i;
    end
    if (rst_i) begin
      settle_q        <= '0;
      command_valid_q <= 1'b0;
    end else begin
      settle_q        <= {settle_q[1:0], start_q | given};
      command_valid_q <= (settle_q[2] & more_q) | (command_valid_q & ~command_ready_i);
    end
  end

  assign command_valid_o = command_valid_q;
  assign command_addr_o  = {addr_high_q, addr_low_d_q};
  assign command_beats_o = image_bytes_i >> 3;
  assign beat_give_o     = beat_give_q;

  logic [$clog2(BeatFifo):0] level_q;
  logic hungry_q;

  always_ff @(posedge clk_i) begin
    if (clear[Beats]) level_q <= '0;
    else level_q <= level_q + ($bits(level_q))'(beat_valid_i) - ($bits(level_q))'(beat_give_q);
    beat_give_q <= beat_valid & beat_pop & ~clear[Beats];
    hungry_q <= level_q <= ($bits(level_q))'(BeatFifo / 2);
  end

  assign hungry_o = hungry_q;

  bnn_fifo_block #(
      .Width(64),
      .Depth(BeatFifo)
  ) u_beats (
      .clk_i,
      .rst_i  (clear[Beats]),
      .push_i (beat_valid_i),
      .data_i (beat_i),
      .valid_o(beat_valid),
      .pop_i  (beat_pop),
      .data_o (beat)
  );

  // ---- Sub-batches ---------------------------------------------------------------------------

  // Engine and output count them separately: the output lags behind.
  logic [1:0] ahead_q;  // sub-batches begun and not consumed
  logic [31:0] left;  // images of the sub-batches not begun
  logic [15:0] sub_left_q, sub_next;  // images of the sub-batch not begun, of the next one
  logic sub_some_q, sub_last_q, left_some_q, sub_begin, image_begin, pack_begin;
  logic [2:0] sub_settle_q;  // sub_next is that of the next one

  bnn_sub_batch u_begun (
      .clk_i,
      .restart_i(clear[Scan]),
      .step_i   (sub_begin),
      .count_i,
      .size_i   (sub_batch_i),
      .left_o   (left),
      .images_o (sub_next)
  );

  assign sub_begin = ~sub_some_q & sub_settle_q[2] & left_some_q & ~ahead_q[1];

  always_ff @(posedge clk_i) begin
    left_some_q <= left != '0;
    if (sub_begin) begin
      sub_left_q <= sub_next;
      sub_last_q <= sub_next == 16'd1;
    end else if (image_begin) begin
      sub_left_q <= sub_left_q - 16'd1;
      sub_last_q <= sub_left_q == 16'd2;
    end
    if (rst_i || clear[Scan]) begin
      ahead_q      <= '0;
      sub_some_q   <= 1'b0;
      sub_settle_q <= '0;
    end else begin
      ahead_q      <= ahead_q + 2'(sub_begin) - 2'(consumed_i);
      sub_some_q   <= sub_begin | (sub_some_q & ~(image_begin & sub_last_q));
      sub_settle_q <= image_begin ? '0 : {sub_settle_q[1:0], run_q};
    end
  end

  // ---- Convolution: pixels into the image buffer ---------------------------------------------

  logic unpack_take, pixel_valid, pixel_ready, pixel_last;
  logic [31:0] pixel;

  bnn_unpack u_unpack (
      .clk_i,
      .rst_i       (clear[Scan] | pack[Scan]),
      .channels_i  (channels_q),
      .pixels_i,
      .beat_valid_i(beat_valid & ~pack[Beats]),
      .beat_take_o (unpack_take),
      .beat_i      (beat),
      .valid_o     (pixel_valid),
      .ready_i     (pixel_ready),
      .last_o      (pixel_last),
      .pixel_o     (pixel)
  );

  (* ram_style = "block" *) logic [31:0] image_mem[2*ImagePixels];
  logic [1:0] full_q, full;
  logic fill_free_q, half_filled, fill_half, fill_half_q, read_half_q, image_read_last;
  logic [PixelBits-1:0] fill_q;
  logic stored_q, stored_half_q;
  logic [PixelBits-1:0] stored_addr_q;
  logic [31:0] stored_pixel_q, stored;

  // Whether the half that is filled is free, in a register
  assign pixel_ready = fill_free_q;
  assign half_filled = pixel_valid & fill_free_q & pixel_last;
  assign fill_half = fill_half_q ^ half_filled;
  for (genvar h = 0; h < 2; h++) begin : gen_full
    assign full[h] = (full_q[h] | (half_filled & (fill_half_q == 1'(h))))
        & ~(image_read_last & (read_half_q == 1'(h)));
  end

  for (genvar i = 0; i < 8; i++) begin : gen_looked
    if (i < 4) begin : gen_pixel
      assign looked_at[i] = pack[(i < 2) ? Beats : Window] ? beat[8*i+:8] : pixel[8*i+:8];
      assign stored[8*i+:8] = (3'(i) < channels_q) ? looked_up[i] : 8'd0;
    end else begin : gen_beat
      assign looked_at[i] = beat[8*i+:8];
    end
  end

  always_ff @(posedge clk_i) begin
    stored_pixel_q <= stored;
    stored_addr_q <= fill_q;
    stored_half_q <= fill_half_q;
    if (stored_q) image_mem[{stored_half_q, stored_addr_q}] <= stored_pixel_q;
    if (clear[Scan]) begin
      full_q      <= '0;
      fill_half_q <= 1'b0;
      fill_free_q <= 1'b1;
      fill_q      <= '0;
      stored_q    <= 1'b0;
    end else begin
      stored_q    <= pixel_valid & pixel_ready;
      full_q      <= full;
      fill_half_q <= fill_half;
      fill_free_q <= ~full[fill_half];
      if (pixel_valid && pixel_ready) fill_q <= pixel_last ? '0 : fill_q + 1'b1;
    end
  end

  // ---- Convolution: columns of the patch -----------------------------------------------------

  // Reads of column x = cx - pad, rows y - pad + 0 .. 2 or 3.
  localparam int unsigned R = 0, Cx = 1, Y = 2;

  logic scan_q, scan_step, end_column, column_room_q, unused_r;
  logic [2:0] scan_go, scan_last;
  logic [1:0] r;
  logic [15:0] cx, y_q, column_limit_q, unused_row;
  logic [PixelBits-1:0] line_q, addr_q, line_begin_q, line_next;
  logic signed [17:0] scan_row, scan_column;
  logic row_inside_q, column_inside_q;
  logic [3:0] column_credit_q;
  logic column_pop, column_pop_q, column_valid;

  assign scan_step = scan_q & (r != '0 | column_room_q);
  assign end_column = scan_last[R];
  assign image_read_last = scan_step & (&scan_last);
  assign scan_row = 18'(y_q) + 18'(r) - 18'(pad);
  assign scan_column = 18'(cx) - 18'(pad);
  assign image_begin = pack[Scan] ? pack_begin : ~scan_q & full_q[read_half_q] & sub_some_q;
  assign line_next = line_q + (pool[Scan] ? width_i[PixelBits-1:0] << 1 : width_i[PixelBits-1:0]);

  assign scan_go[R]  = scan_step;
  assign scan_go[Cx] = scan_step & scan_last[R];
  assign scan_go[Y]  = scan_step & scan_last[R] & scan_last[Cx];

  bnn_loop #(
      .Bits(3)
  ) u_r (
      .clk_i,
      .restart_i(clear[Scan]),
      .go_i     (scan_go[R]),
      .limit_i  (pool[Scan] ? 3'd4 : 3'd3),
      .value_o  ({unused_r, r}),
      .last_o   (scan_last[R])
  );
  bnn_loop u_cx (
      .clk_i,
      .restart_i(clear[Scan]),
      .go_i     (scan_go[Cx]),
      .limit_i  (column_limit_q),
      .value_o  (cx),
      .last_o   (scan_last[Cx])
  );
  bnn_loop u_y (
      .clk_i,
      .restart_i(clear[Scan]),
      .go_i     (scan_go[Y]),
      .limit_i  (out_rows_q),
      .value_o  (unused_row),
      .last_o   (scan_last[Y])
  );

  always_ff @(posedge clk_i) begin
    column_limit_q <= columns_i + 16'd2;
    line_begin_q   <= pad ? '0 - width_i[PixelBits-1:0] - 1'b1 : '0;
    if (image_begin) begin
      y_q    <= '0;
      line_q <= line_begin_q;
      addr_q <= line_begin_q;
    end else if (scan_step) begin
      if (scan_last[R] && scan_last[Cx]) begin
        y_q    <= y_q + (pool[Scan] ? 16'd2 : 16'd1);
        line_q <= line_next;
        addr_q <= line_next;
      end else if (scan_last[R]) begin
        addr_q <= line_q + cx[PixelBits-1:0] + 1'b1;
      end else begin
        addr_q <= addr_q + width_i[PixelBits-1:0];
      end
    end
    column_room_q <= column_credit_q > 4'd1;  // one may be taken in this cycle
    if (clear[Scan] || pack[Scan]) begin
      scan_q          <= 1'b0;
      read_half_q     <= 1'b0;
      column_credit_q <= 4'(ColumnFifo);
    end else begin
      scan_q      <= image_begin | (scan_q & ~image_read_last);
      if (image_read_last) read_half_q <= ~read_half_q;
      column_credit_q <= column_credit_q - 4'(scan_step && r == '0) + 4'(column_pop_q);
    end
  end

  // Two cycles of the memory, then the column is put together.
  logic [2:0] read_valid_q, read_last_q;
  logic [1:0] read_inside_q;
  logic [PixelBits:0] read_addr_q;
  logic [31:0] read_q, read_data_q;
  logic [127:0] column_q, column_head;
  logic column_push_q;

  always_ff @(posedge clk_i) begin
    read_addr_q   <= {read_half_q, addr_q};
    read_q        <= image_mem[read_addr_q];
    read_data_q   <= read_q;
    row_inside_q  <= (scan_row >= 0) & (scan_row < 18'(height_i));
    column_inside_q <= (scan_column >= 0) & (scan_column < 18'(width_i));
    read_inside_q <= {read_inside_q[0], row_inside_q & column_inside_q};
    read_last_q   <= {read_last_q[1:0], end_column};
    if (read_valid_q[2]) column_q <= {read_inside_q[1] ? read_data_q : 32'd0, column_q[127:32]};
    if (clear[Scan]) begin
      read_valid_q  <= '0;
      column_push_q <= 1'b0;
    end else begin
      read_valid_q  <= {read_valid_q[1:0], scan_step};
      column_push_q <= read_valid_q[2] & read_last_q[2];
    end
  end

  // A queue for each row, so that no address of their memories has many loads
  logic [3:0] column_valids, unused_column_room;

  for (genvar i = 0; i < 4; i++) begin : gen_columns
    bnn_fifo #(
        .Width(32),
        .Depth(ColumnFifo)
    ) u_column (
        .clk_i,
        .rst_i  (clear[Scan]),
        .push_i (column_push_q),
        .data_i (column_q[32*i+:32]),
        .room_o (unused_column_room[i]),
        .valid_o(column_valids[i]),
        .pop_i  (column_pop),
        .data_o (column_head[32*i+:32])
    );
  end
  assign column_valid = &column_valids;  // they agree

  // ---- Convolution: windows of the patch -----------------------------------------------------

  // patch_q[x][y]: the newest column is x = 3. Three rows lie in y = 1 .. 3 (shifted in from the
  // top), four in y = 0 .. 3.
  logic [3:0][3:0][31:0] patch_q;
  logic busy_q, issue, sum_last, window_first_now_q, window_last_now_q, out_room_q, complete;
  logic [2:0] have_q;  // at least 1, 2, 3 columns of the row are in the patch
  logic odd_q, row_end, group_last;
  logic [15:0] unused_column;
  logic [GroupBits:0] group;
  logic unused_group_top;
  logic [1:0] quad_q, quad_next;
  logic [CreditBits-1:0] out_credit_q;
  logic out_pop, out_pop_q;

  assign issue = busy_q & (~window_last_now_q | out_room_q);
  assign sum_last = busy_q & window_last_now_q & out_room_q;
  assign column_pop = column_valid & (~busy_q | (window_last_now_q & out_room_q & group_last));
  assign complete = pool[Window] ? have_q[2] & odd_q : have_q[1];
  assign unused_group_top = group[GroupBits];
  assign quad_next = quad_q + 2'(issue & pool[Window]);

  bnn_loop #(
      .Bits(GroupBits + 1)
  ) u_group (
      .clk_i,
      .restart_i(clear[Window]),
      .go_i     (sum_last),
      .limit_i  (group_end_q),
      .value_o  (group),
      .last_o   (group_last)
  );
  bnn_loop u_column_count (
      .clk_i,
      .restart_i(clear[Window]),
      .go_i     (column_pop),
      .limit_i  (column_limit_q),
      .value_o  (unused_column),
      .last_o   (row_end)
  );

  always_ff @(posedge clk_i) begin
    column_pop_q       <= column_pop & ~clear[Window];
    out_pop_q          <= out_pop & ~clear[Window];
    window_first_now_q <= ~pool[Window] | quad_next == 2'd0;
    window_last_now_q  <= ~pool[Window] | quad_next == 2'd3;
    out_room_q         <= out_credit_q > CreditBits'(2);  // one may be taken in this cycle
    if (column_pop) begin
      patch_q <= {column_head, patch_q[3:1]};
    end
    if (clear[Window]) begin
      busy_q       <= 1'b0;
      have_q       <= '0;
      odd_q        <= 1'b0;
      quad_q       <= '0;
      out_credit_q <= CreditBits'(OutFifo);
    end else begin
      if (column_pop) begin
        have_q <= row_end ? '0 : {have_q[1:0], 1'b1};
        odd_q  <= ~row_end & ~odd_q;
        busy_q <= complete;
      end else if (sum_last && group_last) begin
        busy_q <= 1'b0;
      end
      quad_q       <= quad_next;
      out_credit_q <= out_credit_q - CreditBits'(sum_last) + CreditBits'(out_pop_q);
    end
  end

  logic [36*8-1:0] window;
  logic [3:0][3:0][31:0] patch_d_q;  // with the select registers of the taps
  logic [1:0] window_valid_q, window_first_q, window_last_q;
  logic [1:0] select;
  logic [GroupBits-1:0] channel_addr_q;
  logic [1:0][GroupBits-1:0] channel_addr;
  logic bits_valid;
  logic [FirstPe-1:0] bits;

  // Position {dy, dx}; without a pool it is the newest column, three rows shifted in from the top.
  assign select = pool[Window] ? quad_q : 2'd3;

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

  for (genvar h = 0; h < 2; h++) begin : gen_channel_addr
    bnn_register #(
        .Bits(GroupBits)
    ) u_addr (
        .clk_i,
        .data_i(channel_addr_q),
        .data_o(channel_addr[h])
    );
  end

  always_ff @(posedge clk_i) begin
    patch_d_q      <= patch_q;
    channel_addr_q <= group[GroupBits-1:0];
    window_first_q <= {window_first_q[0], window_first_now_q};
    window_last_q  <= {window_last_q[0], window_last_now_q};
    if (clear[Window]) window_valid_q <= '0;
    else window_valid_q <= {window_valid_q[0], issue};
  end

  if (FirstWired) begin : gen_wired
    logic unused_addr;
    assign unused_addr = ^channel_addr[1];
    bnn_first_wired #(
        .FirstPe  (FirstPe),
        .GroupBits(GroupBits)
    ) u_array (
        .clk_i,
        .rst_i         (clear[Window]),
        .load_i        (channel_load),
        .load_index_i  (channel_index),
        .load_data_i   (load_data_q),
        .channels_out_i,
        .channels_in_i,
        .wrong_o,
        .valid_i       (window_valid_q[1]),
        .first_i       (window_first_q[1]),
        .last_i        (window_last_q[1]),
        .group_i       (channel_addr[0]),
        .window_i      (window),
        .valid_o       (bits_valid),
        .bit_o         (bits)
    );
  end else begin : gen_array
    logic [FirstPe*64-1:0] channel;
    assign wrong_o = 1'b0;

    // The beats of the channels come two cycles after their window.
    for (genvar p = 0; p < FirstPe; p++) begin : gen_channel
      bnn_first_channel #(
          .Depth(FirstGroups)
      ) u_channel (
          .clk_i,
          .write_i     (channel_load && channel_index[PeBits-1:0] == PeBits'(p)),
          .write_addr_i(channel_index[PeBits+:GroupBits]),
          .write_data_i(load_data_q),
          .address_i   (channel_addr[p%2]),
          .data_o      (channel[p*64+:64])
      );
    end

    bnn_first_array #(
        .FirstPe(FirstPe)
    ) u_array (
        .clk_i,
        .rst_i    (clear[Window]),
        .valid_i  (window_valid_q[1]),
        .first_i  (window_first_q[1]),
        .last_i   (window_last_q[1]),
        .window_i (window),
        .channel_i(channel),
        .valid_o  (bits_valid),
        .bit_o    (bits)
    );
  end

  logic out_valid, unused_out_room;
  logic [FirstPe-1:0] out_bits;

  bnn_fifo #(
      .Width(FirstPe),
      .Depth(OutFifo)
  ) u_out (
      .clk_i,
      .rst_i  (clear[Window]),
      .push_i (bits_valid),
      .data_i (bits),
      .room_o (unused_out_room),
      .valid_o(out_valid),
      .pop_i  (out_pop),
      .data_o (out_bits)
  );

  // ---- Pack mode: sign bits into words -------------------------------------------------------

  logic pack_q, pack_beat, word_valid_q, word_done, write, write_valid, write_valid_q, room_q;
  logic pack_end;  // the last beat of the image
  logic [23:0] unused_pack;
  logic [7:0] tail_q;  // elements of that
  logic [Simd-1:0] word_q;
  logic [Simd/8-1:0] byte_here_q;  // where the next byte goes
  logic [7:0] signs, sign_q;
  logic sign_valid_q, sign_take;

  assign pack_begin = ~pack_q & ~word_valid_q & sub_some_q & sign_valid_q;
  assign pack_beat = pack_q & sign_valid_q & ~word_valid_q;
  assign word_done = pack_end | byte_here_q[Simd/8-1];
  assign sign_take = beat_valid & (~sign_valid_q | pack_beat);
  // Also without a beat: bnn_fifo_block takes no notice of that
  assign beat_pop = pack[Beats] ? ~sign_valid_q | (pack_q & ~word_valid_q) : unpack_take;

  bnn_loop #(
      .Bits(24)
  ) u_pack (
      .clk_i,
      .restart_i(clear[Out]),
      .go_i     (pack_beat),
      .limit_i  (image_bytes_i[26:3]),
      .value_o  (unused_pack),
      .last_o   (pack_end)
  );

  for (genvar i = 0; i < 8; i++) begin : gen_sign
    // table > 0: not negative and not zero; the table holds -1 and +1 only
    always_ff @(posedge clk_i) begin
      if (sign_take) sign_q[i] <= ~looked_up[i][7];
    end
    assign signs[i] = sign_q[i] & (tail_q[i] | ~pack_end);
  end

  always_ff @(posedge clk_i) begin
    tail_q <= (elements_i[2:0] == '0) ? '1 : ~(8'hFF << elements_i[2:0]);
    if (pack_begin) byte_here_q <= (Simd / 8)'(1);
    else if (pack_beat) byte_here_q <= word_done ? (Simd / 8)'(1) : byte_here_q << 1;
    for (int unsigned i = 0; i < Simd / 8; i++) begin
      if (pack_beat && byte_here_q[i]) word_q[8*i+:8] <= signs;
      else if (pack_beat && byte_here_q[0]) word_q[8*i+:8] <= '0;
    end
    if (clear[Write] || !pack[Write]) begin
      pack_q       <= 1'b0;
      word_valid_q <= 1'b0;
      sign_valid_q <= 1'b0;
    end else begin
      sign_valid_q <= sign_take | (sign_valid_q & ~pack_beat);
      pack_q <= pack_begin | (pack_q & ~(pack_beat & pack_end));
      if (pack_beat) word_valid_q <= word_done;
      else if (write) word_valid_q <= 1'b0;
    end
  end

  // ---- Output addresses ----------------------------------------------------------------------

  localparam int unsigned G = 0, X = 1, Yo = 2;

  logic parity_q, sub_begin_out, sub_begin_q, active_q, out_some_q, out_last_q;
  logic end_sub, ended_q, word_last, slot_end, slots_end;
  logic word_go, pixel_end, lane_end, row_end_out, map_end, word_lane_end, image_end;
  logic [AddrBits-1:0] pixel_stride_q;
  logic [3:0] init;  // of the addresses and the images
  logic [2:0] out_go, out_at_last;
  logic [2:0] out_settle_q;
  logic [31:0] out_left;
  logic [15:0] out_sub_q, out_next;
  logic [15:0] unused_out[2];
  logic [GroupBits:0] unused_group;
  logic [AddrBits-1:0] unused_word, base_q, image_base_q, row_base_q, pixel_base_q, word_index_q;
  logic [AddrBits-1:0] image_next, row_next;
  logic [LaneBits-1:0] lane_q;
  logic [Groups-1:0] here_q;  // slot_q, one-hot
  logic [SlotBits-1:0] slot_q;
  logic [2:0] done_q;

  assign write_valid = room_q ? write : write_valid_q;
  assign slot_end = slot_q == SlotBits'(Groups - 1);
  assign slots_end = out_at_last[G] | slot_end;  // the word's last write

  bnn_sub_batch u_written (
      .clk_i,
      .restart_i(clear[Out]),
      .step_i   (sub_begin_q),
      .count_i,
      .size_i   (sub_batch_i),
      .left_o   (out_left),
      .images_o (out_next)
  );

  bnn_first_step u_step (
      .room_i       (room_q),
      .active_i     (active_q),
      .pack_i       (pack[Out]),
      .bits_i       (out_valid),
      .word_i       (word_valid_q),
      .last_i       (out_at_last),
      .word_last_i  (word_last),
      .lane_last_i  (&lane_q),
      .image_last_i (out_last_q),
      .write_o      (write),
      .bits_o       (out_pop),
      .go_o         (out_go),
      .word_o       (word_go),
      .pixel_o      (pixel_end),
      .lane_o       (lane_end),
      .row_o        (row_end_out),
      .map_o        (map_end),
      .word_lane_o  (word_lane_end),
      .image_o      (image_end),
      .sub_o        (end_sub)
  );
  assign sub_begin_out = ~active_q & ~sub_begin_q & out_settle_q[2] & out_some_q;

  bnn_loop #(
      .Bits(GroupBits + 1)
  ) u_out_group (
      .clk_i,
      .restart_i(clear[Out]),
      .go_i     (out_go[G]),
      .limit_i  (group_end_q),
      .value_o  (unused_group),
      .last_o   (out_at_last[G])
  );
  bnn_loop u_out_x (
      .clk_i,
      .restart_i(clear[Out]),
      .go_i     (out_go[X]),
      .limit_i  (out_columns_q),
      .value_o  (unused_out[0]),
      .last_o   (out_at_last[X])
  );
  bnn_loop u_out_y (
      .clk_i,
      .restart_i(clear[Out]),
      .go_i     (out_go[Yo]),
      .limit_i  (out_rows_q),
      .value_o  (unused_out[1]),
      .last_o   (out_at_last[Yo])
  );
  bnn_loop #(
      .Bits(AddrBits)
  ) u_word (
      .clk_i,
      .restart_i(clear[Out]),
      .go_i     (word_go),
      .limit_i  (words_i),
      .value_o  (unused_word),
      .last_o   (word_last)
  );

  for (genvar i = 0; i < 4; i++) begin : gen_init
    bnn_register u_init (
        .clk_i,
        .data_i(sub_begin_out),
        .data_o(init[i])
    );
  end

  assign image_next = image_base_q + image_stride_i;
  assign row_next = row_base_q + row_stride_i;

  always_ff @(posedge clk_i) begin
    base_q     <= parity_q ? base_odd_i : base_even_i;
    pixel_stride_q <= pack[Scan] ? image_stride_i : words_i;
    if (init[0]) image_base_q <= base_q;
    else if (map_end) image_base_q <= image_next;
    if (init[1]) row_base_q <= base_q;
    else if (map_end) row_base_q <= image_next;
    else if (row_end_out) row_base_q <= row_next;
    if (init[2]) pixel_base_q <= base_q;
    else if (map_end) pixel_base_q <= image_next;
    else if (row_end_out) pixel_base_q <= row_next;
    else if (lane_end || word_lane_end) pixel_base_q <= pixel_base_q + pixel_stride_q;
    if (!active_q) begin  // between sub-batches
      {lane_q, slot_q, word_index_q} <= '0;
      here_q <= Groups'(1);
    end else if (write) begin
      slot_q <= slots_end ? '0 : slot_q + 1'b1;
      here_q <= slots_end ? Groups'(1) : here_q << 1;
      if (pack[Out] ? word_last : out_at_last[G]) word_index_q <= '0;
      else if (pack[Out] || slot_end) word_index_q <= word_index_q + 1'b1;
      if (pixel_end) lane_q <= (~pack[Out] & out_at_last[X]) ? '0 : lane_q + 1'b1;
    end
    // Images of a sub-batch, as for the engine
    out_some_q <= out_left != '0;
    if (init[3]) begin
      out_sub_q  <= out_next;
      out_last_q <= out_next == 16'd1;
    end else if (image_end) begin
      out_sub_q  <= out_sub_q - 16'd1;
      out_last_q <= out_sub_q == 16'd2;
    end
    if (rst_i || clear[Out]) begin
      active_q     <= 1'b0;
      sub_begin_q  <= 1'b0;
      out_settle_q <= '0;
      parity_q     <= 1'b0;
      done_q       <= '0;
      ended_q      <= 1'b0;
    end else begin
      sub_begin_q  <= sub_begin_out;
      active_q     <= sub_begin_q | (active_q & ~end_sub);
      out_settle_q <= active_q ? '0 : {out_settle_q[1:0], run_q};
      if (end_sub) parity_q <= ~parity_q;
      ended_q <= end_sub | (ended_q & ~write_ready_i);  // the last write waits
      done_q  <= {done_q[1:0], ended_q & write_ready_i};
    end
  end

  // here_q[0] again, for the slices.
  logic begins, begins_next;

  always_comb begin
    begins_next = begins;
    if (!active_q) begins_next = 1'b1;
    else if (write) begins_next = slots_end;
  end

  bnn_register u_begins (
      .clk_i,
      .data_i(begins_next),
      .data_o(begins)
  );

  // The write, registered: it waits for the array's.
  logic [Lanes-1:0] write_lane_q;
  logic [AddrBits-1:0] write_addr_q;

  always_ff @(posedge clk_i) begin
    if (room_q) begin
      write_lane_q  <= Lanes'(1) << lane_q;
      write_addr_q  <= pixel_base_q + word_index_q;
    end
    if (rst_i || clear[Out]) begin
      write_valid_q <= 1'b0;
      room_q        <= 1'b1;
    end else begin
      write_valid_q <= write_valid;
      room_q        <= ~write_valid | write_soon_i;
    end
  end

  for (genvar g = 0; g < Groups; g++) begin : gen_out
    bnn_first_slice #(
        .Bits(FirstPe)
    ) u_slice (
        .clk_i,
        .enable_i (room_q),
        .pack_i   (pack[Write]),
        .begin_i  (begins),
        .here_i   (here_q[g]),
        .channel_i(out_bits),
        .word_i   (word_q[g*FirstPe+:FirstPe]),
        .data_o   (write_data_o[g*FirstPe+:FirstPe])
    );
  end

  logic unused_first;
  assign unused_first = ^elements_i[31:3];

  assign done_o        = done_q[2];
  assign write_valid_o = write_valid_q;
  assign write_lane_o  = write_lane_q;
  assign write_addr_o  = write_addr_q;
endmodule
