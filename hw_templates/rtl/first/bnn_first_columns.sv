// Columns of the first layer's patch: an image is read column after column, three rows high, four with a pool.
//
//   for y < rows_i: for cx < column_limit_i: for r < 3 + pool:
//     data_o[32*(r + 1 - pool) +: 32] = pixel (y*(1 + pool) + r - pad, cx - pad), 0 outside of the image
//
// complete_o: the column is the last one of a window, the third or a later one, with a pool the fourth, sixth and so
// on. rows_i are those after the pool, column_limit_i is the columns computed and two more. begin_o is a pulse when an
// image is begun: with some_i, when its first rows are there. Rows y are read as soon as all of their pixels are there:
// the half is full_i, or they are among the first filled_i pixels of the image. read_last_o, after the last read and
// with full_i, frees the half. An image has at most 2^PixelBits rows and columns.
//
// The configuration is constant from four cycles before clear_i ends to the end of the run; with pack_i nothing is
// read. valid_o and pop_i: bnn_fifo. Latency: a column is there 8 (with a pool 9) cycles after begin_o, one every three
// (four) cycles.
module bnn_first_columns
  import bnn_add_pkg::add, bnn_add_pkg::count;
#(
    parameter int unsigned PixelBits = 10
) (
    input  logic               clk_i,
    input  logic [1:0]         clear_i,  // twice, for the queues again
    input  logic               pack_i,
    input  logic               pool_i,
    input  logic               pad_i,
    input  logic [15:0]        rows_i,
    input  logic [15:0]        column_limit_i,
    input  logic [15:0]        height_i,
    input  logic [15:0]        width_i,
    // Images
    input  logic               some_i,
    output logic               begin_o,
    // Image buffer
    input  logic [1:0]         full_i,
    input  logic [PixelBits-1:0] filled_i,  // of the half that is not full
    output logic               read_last_o,
    output logic [PixelBits:0] read_addr_o,
    input  logic [31:0]        read_data_i,  // 3 cycles after the address
    // Columns
    output logic               valid_o,
    input  logic [1:0]         pop_i,  // twice
    output logic               complete_o,
    output logic [127:0]       data_o
);
  localparam int unsigned Depth = 8;  // columns read ahead

  // ---- Reads ---------------------------------------------------------------------------------

  logic scan_q, begin_q, begin_column, step, move, first_q, room_q, half_q, read_last, row_end, image_end;
  logic [1:0] r_q;  // r is 1, r is 2
  logic clear_late;  // for the loops
  logic last_row;
  logic [4:0] last_column;  // copies, as of last below
  logic [15:0] unused_column, unused_row;
  logic [3:0] credit_q;
  logic pop_q, taken_q;
  logic open_q, enough_q, over_q;  // the row at work, the one after it can be read; all rows are
  logic open, open_late_q;
  logic [1:0] scan;  // scan_q in the next cycle; not so
  logic [4:0] idle;  // ~scan_q again, for addresses, places, need_q, line_q and next_q
  logic [2:0] pad;  // pad_i, late
  logic more_width_q, more_rows_q;
  logic [2:0][PixelBits-1:0] widths;  // width_i, late
  // Pixels for the row after that at work, and for the one after it
  logic [PixelBits+2:0] two_rows_q, three_rows_q, need_first_q, need_step_q, need_q, need_next_q;
  localparam int unsigned Low = (PixelBits + 3) / 2;  // of need_next_q, its lower half
  logic need_carry_q, there_q;  // filled_i has need_q, a cycle late

  // Copies of a register that marks the last read of a column: for what begins and ends, for addresses, for places, for the loops
  localparam int unsigned Rest = 0, Address = 1, Place = 2, Scan = 3, Line = 4, Loops = 4;
  logic [4:0] last;

  // A column that is begun goes on: its last read, and with it whatever ends, waits for nothing. The row after the one
  // at work has been looked for long before, as a row takes nine cycles or more.
  assign begin_o = begin_q;
  assign begin_column = scan_q & first_q & room_q & open_q;
  assign step = begin_column | ~first_q;
  assign move = ~scan_q | ~first_q | (room_q & open_q);  // step, and before an image
  assign row_end = last[Rest] & last_column[Rest];
  assign image_end = last[Rest] & last_column[Rest] & last_row;
  assign open = enough_q & (begin_q | row_end | (scan_q & ~open_q));
  assign read_last = over_q & full_i[half_q];

  for (genvar i = 0; i < 2; i++) begin : gen_scan
    bnn_first_columns_scan #(
        .Idle(i == 1)
    ) u_scan (
        .clear_i      (clear_i[0]),
        .begin_i      (begin_q),
        .scan_i       (scan_q),
        .last_i       (last[Scan]),
        .last_column_i(last_column[Scan]),
        .last_row_i   (last_row),
        .scan_o       (scan[i])
    );
  end

  for (genvar i = 0; i < 5; i++) begin : gen_last
    bnn_register u_last (
        .clk_i,
        .data_i(r_q[pool_i] & ~clear_i[0]),
        .data_o(last[i])
    );
  end

  bnn_register u_clear (
      .clk_i,
      .data_i(clear_i[0]),
      .data_o(clear_late)
  );
  bnn_loop #(
      .Value (1'b0),
      .Copies(5)
  ) u_cx (
      .clk_i,
      .restart_i(clear_late),
      .go_i     (last[Loops]),
      .limit_i  (column_limit_i),
      .value_o  (unused_column),
      .last_o   (last_column)
  );
  bnn_loop #(
      .Gates(2),
      .Value(1'b0)
  ) u_y (
      .clk_i,
      .restart_i(clear_late),
      .go_i     ({last_column[Rest], last[Loops]}),
      .limit_i  (rows_i),
      .value_o  (unused_row),
      .last_o   (last_row)
  );

  always_ff @(posedge clk_i) begin
    // Of the first row: two, with a pool three, and one more without padding
    two_rows_q   <= (PixelBits + 3)'(widths[1]) << 1;
    need_step_q  <= pool_i ? two_rows_q : (PixelBits + 3)'(widths[1]);
    three_rows_q <= (PixelBits + 3)'({add(32'(widths[0][PixelBits-1:1]), 32'(widths[0])), widths[0][0]});
    need_first_q <= more_width_q ? three_rows_q : more_rows_q ? two_rows_q << 1 : two_rows_q;
    more_width_q <= pool_i == pad_i;
    more_rows_q  <= pool_i & ~pad_i;
    {need_carry_q, need_next_q[Low-1:0]} <= (Low + 1)'(add(32'(need_q[Low-1:0]), 32'(need_step_q[Low-1:0])));
    need_next_q[PixelBits+2:Low] <= (PixelBits + 3 - Low)'(
        {need_q[PixelBits+2:Low], 1'b1} + {need_step_q[PixelBits+2:Low], need_carry_q} >> 1);
    there_q      <= (PixelBits + 3)'(filled_i) >= need_q;
    open_late_q  <= open;
    if (idle[2]) need_q <= need_first_q;
    else if (open_late_q) need_q <= need_next_q;  // a row takes nine cycles or more
    room_q <= credit_q != '0;  // a column is begun two cycles after the one before has been taken off, or later
    pop_q  <= pop_i[0] & ~clear_i[0];
    scan_q <= scan[0];
    if (clear_i[0]) begin
      first_q  <= 1'b1;
      r_q      <= '0;
      taken_q  <= 1'b0;
      half_q   <= 1'b0;
      credit_q <= 4'(Depth);
      open_q   <= 1'b0;
      enough_q <= 1'b0;
      over_q   <= 1'b0;
      begin_q  <= 1'b0;
    end else begin
      open_q   <= open | (open_q & ~row_end);
      enough_q <= ~pack_i & ~read_last & (full_i[half_q] | there_q);
      begin_q  <= ~scan_q & ~begin_q & ~over_q & enough_q & some_i;
      over_q   <= image_end | (over_q & ~read_last);
      first_q  <= (first_q & ~begin_column) | last[Rest];
      r_q      <= {r_q[0], begin_column};
      half_q   <= half_q ^ read_last;
      taken_q  <= begin_column;
      credit_q <= 4'(count(32'(credit_q), pop_q, taken_q));
    end
  end

  // ---- Where: the addresses ----------------------------------------------------------------------

  logic [PixelBits-1:0] line_begin_q, line_q, line_next_q;  // of the image, of the row at work, of the next
  logic [PixelBits-1:0] top_q, addr_q;  // of the column's first pixel, of the pixel
  // What comes next is known ahead: of the next column in this row, of the next column, of a column's second pixel, of
  // the one after the next.
  logic [PixelBits-1:0] right_q, next_q, second_q, skip_q;
  logic to_row;
  logic [2:0] to_row_place, to_column;  // three times
  logic to_column_place;

  for (genvar i = 0; i < 5; i++) begin : gen_idle
    bnn_register u_idle (
        .clk_i,
        .data_i(scan[1]),
        .data_o(idle[i])
    );
  end

  for (genvar i = 0; i < 3; i++) begin : gen_config
    bnn_register #(
        .Bits(PixelBits + 1)
    ) u_config (
        .clk_i,
        .data_i({width_i[PixelBits-1:0], pad_i}),
        .data_o({widths[i], pad[i]})
    );
  end

  bnn_loop_step #(
      .Gates(2)
  ) u_to_row (
      .restart_i(idle[0]),
      .go_i     ({last[Address], last_column[Address]}),
      .step_o   (to_row)
  );

  for (genvar i = 0; i < 3; i++) begin : gen_to_column
    bnn_loop_step u_to_column (
        .restart_i(idle[0]),
        .go_i     (last[Address]),
        .step_o   (to_column[i])
    );
  end

  always_ff @(posedge clk_i) begin
    line_begin_q <= pad[0] ? ~widths[1] : '0;
    line_next_q  <= PixelBits'(add(32'(line_q), 32'(need_step_q)));
    if (to_row) line_q <= idle[3] ? line_begin_q : line_next_q;
    right_q      <= PixelBits'(add(32'(top_q), 32'd1));
    next_q       <= idle[4] ? line_begin_q : last_column[Line] ? line_next_q : right_q;
    skip_q       <= PixelBits'({add(32'(addr_q[PixelBits-1:1]), 32'(widths[2][PixelBits-2:0])), addr_q[0]});
    if (to_column[0]) top_q <= next_q;
    if (to_column[1]) second_q <= PixelBits'(add(32'(next_q), 32'(widths[2])));
    if (move) addr_q <= to_column[2] ? next_q : first_q ? second_q : skip_q;
  end

  // ---- Where: whether a place is in the image -----------------------------------------------------

  // The image's rows from the column's first one on, and its columns from this one on; with pad_i these begin a place
  // before it.
  logic [PixelBits+1:0] height_pad_q, width_pad_q, rows_left_q, rows_less_q, columns_left_q, columns_less_q;
  logic [PixelBits:0] height_q, all_width_q;
  logic [1:0] pads;  // pad_i again
  logic pool_q;
  logic above_q;  // the first row lies above the image
  logic some_rows;  // four or more
  logic [3:0] row_inside_q;  // rows of a column
  logic [3:1] later_q;  // those that come, after its first pixel
  logic edge_q;  // the column lies before the image
  logic pixel_inside;
  logic [1:0] before_q;  // ones: columns of the row before this one
  logic odd_q;

  for (genvar i = 0; i < 3; i++) begin : gen_to_row
    bnn_loop_step #(
        .Gates(2)
    ) u_to_row (
        .restart_i(idle[1]),
        .go_i     ({last[Place], last_column[Place]}),
        .step_o   (to_row_place[i])
    );
  end

  for (genvar i = 0; i < 2; i++) begin : gen_pad
    bnn_register u_pad (
        .clk_i,
        .data_i(pad_i),
        .data_o(pads[i])
    );
  end

  bnn_loop_step u_to_column_place (
      .restart_i(idle[1]),
      .go_i     (last[Place]),
      .step_o   (to_column_place)
  );

  assign some_rows = ~rows_left_q[PixelBits+1] & (|rows_left_q[PixelBits:2]);
  assign pixel_inside = ~edge_q & ~columns_less_q[PixelBits+1] & (r_q[0] ? row_inside_q[0] : later_q[1]);

  always_ff @(posedge clk_i) begin
    pool_q <= pool_i;
    height_q       <= height_i[PixelBits:0];
    all_width_q    <= width_i[PixelBits:0];
    height_pad_q   <= (PixelBits + 2)'(add(32'(height_q), 32'(pads[0])));
    width_pad_q    <= (PixelBits + 2)'(add(32'(all_width_q), 32'(pads[1])));
    rows_less_q    <= (PixelBits + 2)'(add(32'(rows_left_q), {{31{1'b1}}, ~pool_q}));  // two less, or one
    columns_less_q <= (PixelBits + 2)'(add(32'(columns_left_q), '1));
    if (to_row_place[0]) begin
      rows_left_q <= idle[1] ? height_pad_q : rows_less_q;
      above_q     <= idle[1] & pad[1];
    end
    if (to_column_place) begin
      columns_left_q <= to_row_place[1] ? width_pad_q : columns_less_q;
      before_q       <= {before_q[0], 1'b1} & {2{~to_row_place[2]}};
      odd_q          <= ~odd_q & ~to_row_place[2];
    end
    row_inside_q[0] <= ~above_q & (some_rows | (~rows_left_q[PixelBits+1] & (|rows_left_q[1:0])));
    row_inside_q[1] <= some_rows | (~rows_left_q[PixelBits+1] & rows_left_q[1]);
    row_inside_q[2] <= some_rows | (~rows_left_q[PixelBits+1] & (&rows_left_q[1:0]));
    row_inside_q[3] <= some_rows;
    later_q         <= r_q[0] ? row_inside_q[3:1] : later_q >> 1;
    edge_q          <= ~before_q[0] & pad[1];
  end

  assign read_last_o = read_last;
  assign read_addr_o = {half_q, addr_q};

  // ---- Columns -------------------------------------------------------------------------------

  // Put together as the pixels come.
  logic [2:0] read_valid_q, read_last_q;
  logic inside_q, outside;
  logic [127:0] pixels;
  logic push_q, third_q, pair_q;
  logic [2:0] complete_q;  // the last one with push_q
  logic [1:0] room;

  always_ff @(posedge clk_i) begin
    inside_q    <= pixel_inside;
    read_last_q <= {read_last_q[1:0], last[Rest]};
    third_q     <= before_q[1];
    pair_q      <= odd_q | ~pool_i;
    complete_q  <= {complete_q[1:0], third_q & pair_q};
    if (clear_i[0]) begin
      read_valid_q <= '0;
      push_q       <= 1'b0;
    end else begin
      read_valid_q <= {read_valid_q[1:0], step};
      push_q       <= read_valid_q[2] & read_last_q[2];
    end
  end

  // Moved on in every cycle: a column's pixels come one right after the other.
  bnn_register u_outside (
      .clk_i,
      .data_i(~inside_q),
      .data_o(outside)
  );

  for (genvar i = 0; i < 4; i++) begin : gen_pixel
    logic [31:0] pixel_q;

    assign pixels[32*i+:32] = pixel_q;
    always_ff @(posedge clk_i) begin
      pixel_q <= i < 3 ? pixels[32*((i+1)%4)+:32] : outside ? 32'd0 : read_data_i;
    end
  end

  // Two halves, so that no place has many loads
  logic [1:0][64:0] halves;
  logic [1:0] valid;

  for (genvar h = 0; h < 2; h++) begin : gen_half
    bnn_fifo #(
        .Width(65),
        .Depth(Depth)
    ) u_columns (
        .clk_i,
        .rst_i  (clear_i[1]),
        .push_i (push_q),
        .data_i ({complete_q[2], pixels[64*h+:64]}),
        .room_o (room[h]),
        .valid_o(valid[h]),
        .pop_i  (pop_i[h]),
        .data_o (halves[h])
    );
  end

  assign valid_o = valid[0];
  assign complete_o = halves[0][64];
  assign data_o = {halves[1][63:0], halves[0][63:0]};

  logic unused_columns;
  assign unused_columns = ^{unused_column, unused_row, height_i, width_i, valid[1], halves[1][64], pad[2]};

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (clear_i[0]);

  column_has_room: assert property (push_q |-> &room)
      else $error("more than Depth = %0d columns read ahead", Depth);
`endif
endmodule
