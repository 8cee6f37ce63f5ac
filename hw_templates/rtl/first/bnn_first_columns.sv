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
module bnn_first_columns #(
    parameter int unsigned PixelBits = 10
) (
    input  logic               clk_i,
    input  logic               clear_i,
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
    input  logic               pop_i,
    output logic               complete_o,
    output logic [127:0]       data_o
);
  localparam int unsigned Depth = 8;  // columns read ahead

  // ---- Reads ---------------------------------------------------------------------------------

  logic scan_q, scan_d, begin_column, step, first_q, room_q, half_q, read_last, row_end, image_end;
  logic [1:0] r_q;  // r is 1, r is 2
  logic last_column, last_row;
  logic [15:0] unused_column, unused_row;
  logic [3:0] credit_q;
  logic pop_q, taken_q;
  logic open_q, enough_q, over_q;  // the row at work, the one after it can be read; all rows are
  logic open;
  logic more_width_q, more_rows_q;
  logic [PixelBits-1:0] width_q;
  logic [PixelBits+2:0] two_rows_q, need_first_q, need_step_q, need_q;  // pixels for the row after that at work

  // Copies of a register that marks the last read of a column: for the loops, for addresses, for places, for the rest
  localparam int unsigned Loops = 0, Address = 1, Place = 2, Rest = 3;
  logic [3:0] last;

  // A column that is begun goes on: its last read, and with it whatever ends, waits for nothing. The row after the one
  // at work has been looked for long before, as a row takes nine cycles or more.
  assign begin_o = ~scan_q & ~over_q & enough_q & some_i;
  assign begin_column = scan_q & first_q & room_q & open_q;
  assign step = begin_column | ~first_q;
  assign row_end = last[Rest] & last_column;
  assign image_end = last[Rest] & last_column & last_row;
  assign open = enough_q & (begin_o | row_end | (scan_q & ~open_q));
  assign read_last = over_q & full_i[half_q];
  assign scan_d = begin_o | (scan_q & ~image_end);

  for (genvar i = 0; i < 4; i++) begin : gen_last
    bnn_register u_last (
        .clk_i,
        .data_i(r_q[pool_i] & ~clear_i),
        .data_o(last[i])
    );
  end

  bnn_loop #(
      .Value(1'b0)
  ) u_cx (
      .clk_i,
      .restart_i(clear_i),
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
      .restart_i(clear_i),
      .go_i     ({last_column, last[Loops]}),
      .limit_i  (rows_i),
      .value_o  (unused_row),
      .last_o   (last_row)
  );

  always_ff @(posedge clk_i) begin
    // Of the first row: two, with a pool three, and one more without padding
    two_rows_q   <= (PixelBits + 3)'(width_q) << 1;
    need_step_q  <= pool_i ? two_rows_q : (PixelBits + 3)'(width_q);
    need_first_q <= two_rows_q + (more_width_q ? (PixelBits + 3)'(width_q) : more_rows_q ? two_rows_q : '0);
    more_width_q <= pool_i == pad_i;
    more_rows_q  <= pool_i & ~pad_i;
    if (!scan_q && !begin_o) need_q <= need_first_q;
    else if (open) need_q <= need_q + need_step_q;
    room_q <= credit_q != '0;  // a column is begun two cycles after the one before has been taken off, or later
    pop_q  <= pop_i & ~clear_i;
    if (clear_i || pack_i) begin
      scan_q   <= 1'b0;
      first_q  <= 1'b1;
      r_q      <= '0;
      taken_q  <= 1'b0;
      half_q   <= 1'b0;
      credit_q <= 4'(Depth);
      open_q   <= 1'b0;
      enough_q <= 1'b0;
      over_q   <= 1'b0;
    end else begin
      open_q   <= open | (open_q & ~row_end);
      enough_q <= ~read_last & (full_i[half_q] | (PixelBits + 3)'(filled_i) >= need_q);
      over_q   <= image_end | (over_q & ~read_last);
      scan_q   <= scan_d;
      first_q  <= (first_q & ~begin_column) | last[Rest];
      r_q      <= {r_q[0], begin_column};
      half_q   <= half_q ^ read_last;
      taken_q  <= begin_column;
      credit_q <= credit_q - 4'(taken_q) + 4'(pop_q);
    end
  end

  // ---- Where: the addresses, and the places in the image, of which -1 and the size lie outside ------

  logic [PixelBits-1:0] line_begin_q, line_q, line_next_q;  // of the image, of the row at work, of the next
  logic [PixelBits-1:0] top_q, addr_q;  // of the column's first pixel, of the pixel
  logic [PixelBits+1:0] row_begin_q, row_next_q, row_q, column_q;
  logic row_inside_q, column_inside_q, to_row, to_row_place;
  logic [1:0] idle, pad;  // ~scan_q again, for addresses and for places; pad_i, late
  logic [1:0] idle_line;  // and for both parts of the next row's address
  logic [PixelBits-1:0] width_step;  // width_q again
  logic [1:0] rows_q;  // from a row to the next
  logic [1:0] before_q;  // ones: columns of the row before this one
  logic odd_q;

  for (genvar i = 0; i < 2; i++) begin : gen_idle
    bnn_register #(
        .Bits(2)
    ) u_idle (
        .clk_i,
        .data_i({clear_i | pack_i | ~scan_d, pad_i}),
        .data_o({idle[i], pad[i]})
    );
  end

  bnn_register #(
      .Bits(PixelBits)
  ) u_width (
      .clk_i,
      .data_i(width_i[PixelBits-1:0]),
      .data_o(width_step)
  );

  bnn_register #(
      .Bits(2)
  ) u_idle_line (
      .clk_i,
      .data_i({2{clear_i | pack_i | ~scan_d}}),
      .data_o(idle_line)
  );

  assign to_row = idle[0] | (last[Address] & last_column);
  assign to_row_place = idle[1] | (last[Place] & last_column);

  always_ff @(posedge clk_i) begin
    width_q      <= width_i[PixelBits-1:0];
    line_begin_q <= pad[0] ? '0 - width_q - 1'b1 : '0;
    line_next_q  <= (idle_line[0] ? line_begin_q : line_q) + (idle_line[1] ? '0 : need_step_q[PixelBits-1:0]);
    if (to_row) begin
      line_q <= line_next_q;
      top_q  <= line_next_q;
    end else if (last[Address]) begin
      top_q <= top_q + 1'b1;
    end
    if (idle[0] || step) begin
      addr_q <= to_row ? line_next_q : last[Address] ? top_q + 1'b1 : addr_q + width_step;
    end
  end

  always_ff @(posedge clk_i) begin
    rows_q     <= pool_i ? 2'd2 : 2'd1;
    row_next_q <= idle[1] ? {PixelBits + 2{pad[1]}} : row_begin_q + (PixelBits + 2)'(rows_q);
    if (to_row_place) begin
      row_begin_q <= row_next_q;
      column_q    <= {PixelBits + 2{pad[1]}};
      before_q    <= '0;
      odd_q       <= 1'b0;
    end else if (last[Place]) begin
      column_q <= column_q + 1'b1;
      before_q <= {before_q[0], 1'b1};
      odd_q    <= ~odd_q;
    end
    if (idle[1] || step) row_q <= to_row_place ? row_next_q : last[Place] ? row_begin_q : row_q + 1'b1;
    row_inside_q    <= row_q < (PixelBits + 2)'(height_i);
    column_inside_q <= column_q < (PixelBits + 2)'(width_i);
  end

  assign read_last_o = read_last;
  assign read_addr_o = {half_q, addr_q};

  // ---- Columns -------------------------------------------------------------------------------

  // Put together as the pixels come.
  logic [2:0] read_valid_q, read_last_q;
  logic [1:0] inside_q;
  logic [127:0] pixels;
  logic push_q, third_q, pair_q;
  logic [2:0] complete_q;  // the last one with push_q
  logic [3:0] shift;
  logic room;

  always_ff @(posedge clk_i) begin
    inside_q    <= {inside_q[0], row_inside_q & column_inside_q};
    read_last_q <= {read_last_q[1:0], last[Rest]};
    third_q     <= before_q[1];
    pair_q      <= odd_q | ~pool_i;
    complete_q  <= {complete_q[1:0], third_q & pair_q};
    if (clear_i) begin
      read_valid_q <= '0;
      push_q       <= 1'b0;
    end else begin
      read_valid_q <= {read_valid_q[1:0], step};
      push_q       <= read_valid_q[2] & read_last_q[2];
    end
  end

  for (genvar i = 0; i < 4; i++) begin : gen_pixel
    logic [31:0] pixel_q;

    bnn_register u_shift (
        .clk_i,
        .data_i(read_valid_q[1] & ~clear_i),
        .data_o(shift[i])
    );

    assign pixels[32*i+:32] = pixel_q;
    always_ff @(posedge clk_i) begin
      if (shift[i]) pixel_q <= i < 3 ? pixels[32*((i+1)%4)+:32] : inside_q[1] ? read_data_i : 32'd0;
    end
  end

  bnn_fifo #(
      .Width(129),
      .Depth(Depth)
  ) u_columns (
      .clk_i,
      .rst_i  (clear_i),
      .push_i (push_q),
      .data_i ({complete_q[2], pixels}),
      .room_o (room),
      .valid_o,
      .pop_i,
      .data_o ({complete_o, data_o})
  );

  logic unused_columns;
  assign unused_columns = ^{unused_column, unused_row, height_i, width_i};

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (clear_i);

  column_has_room: assert property (push_q |-> room)
      else $error("more than Depth = %0d columns read ahead", Depth);
`endif
endmodule
