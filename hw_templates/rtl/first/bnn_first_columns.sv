// Columns of the first layer's patch: an image is read column after column, three rows high, four with a pool.
//
//   for y < rows_i: for cx < column_limit_i: for r < 3 + pool:
//     data_o[32*(r + 1 - pool) +: 32] = pixel (y*(1 + pool) + r - pad, cx - pad), 0 outside of the image
//
// complete_o: the column is the last one of a window, the third or a later one, with a pool the fourth, sixth and so
// on. rows_i are those after the pool, column_limit_i is the columns computed and two more. begin_o is a pulse when an
// image is begun: with some_i, when its first rows are there. Rows y are read as soon as all of their pixels are there:
// the half is full_i, or they are among the first filled_i pixels of the image. read_last_o, after the last read and
// with full_i, frees the half.
//
// The configuration is constant from two cycles before clear_i ends to the end of the run; with pack_i nothing is
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

  localparam int unsigned R = 0, Cx = 1, Y = 2;

  logic scan_q, step, room_q, half_q, read_last, row_last, unused_r;
  logic [2:0] last;
  logic [1:0] r;
  logic [15:0] cx, y_q, unused_row;
  logic [PixelBits-1:0] width, line_q, addr_q, line_begin_q, line_next;
  logic signed [17:0] row, column;
  logic row_inside_q, column_inside_q;
  logic [3:0] credit_q;
  logic pop_q;
  logic open_q, enough_q, over_q;  // the row at work, the one after it can be read; all rows are
  logic open;
  logic [PixelBits+2:0] two_rows_q, need_first_q, need_step_q, need_q;  // pixels for the row after that at work

  // A column that is begun goes on: its last read, and with it whatever ends, waits for nothing. The row after the one
  // at work has been looked for long before, as a row takes nine cycles or more.
  assign begin_o = ~scan_q & ~over_q & enough_q & some_i;
  assign row_last = last[R] & last[Cx];
  assign open = enough_q & (begin_o | row_last | (scan_q & ~open_q));
  assign step = scan_q & (r != '0 | (room_q & open_q));
  assign read_last = over_q & full_i[half_q];
  assign row = 18'(y_q) + 18'(r) - 18'(pad_i);
  assign column = 18'(cx) - 18'(pad_i);
  assign width = width_i[PixelBits-1:0];
  assign line_next = line_q + need_step_q[PixelBits-1:0];

  bnn_loop #(
      .Bits(3)
  ) u_r (
      .clk_i,
      .restart_i(clear_i),
      .go_i     (step),
      .limit_i  (pool_i ? 3'd4 : 3'd3),
      .value_o  ({unused_r, r}),
      .last_o   (last[R])
  );
  bnn_loop u_cx (
      .clk_i,
      .restart_i(clear_i),
      .go_i     (last[R]),
      .limit_i  (column_limit_i),
      .value_o  (cx),
      .last_o   (last[Cx])
  );
  bnn_loop #(
      .Gates(2)
  ) u_y (
      .clk_i,
      .restart_i(clear_i),
      .go_i     (last[Cx:R]),
      .limit_i  (rows_i),
      .value_o  (unused_row),
      .last_o   (last[Y])
  );

  always_ff @(posedge clk_i) begin
    line_begin_q <= pad_i ? '0 - width - 1'b1 : '0;
    // Of the first row: two, with a pool three, and one more without padding
    two_rows_q   <= (PixelBits + 3)'(width) << 1;
    need_step_q  <= pool_i ? two_rows_q : (PixelBits + 3)'(width);
    need_first_q <= two_rows_q + (pool_i == pad_i ? (PixelBits + 3)'(width) : pool_i ? two_rows_q : '0);
    if (!scan_q && !begin_o) need_q <= need_first_q;
    else if (open) need_q <= need_q + need_step_q;
    if (!scan_q) begin
      y_q    <= '0;
      line_q <= line_begin_q;
      addr_q <= line_begin_q;
    end else if (step) begin
      if (row_last) begin
        y_q    <= y_q + (pool_i ? 16'd2 : 16'd1);
        line_q <= line_next;
        addr_q <= line_next;
      end else if (last[R]) begin
        addr_q <= line_q + cx[PixelBits-1:0] + 1'b1;
      end else begin
        addr_q <= addr_q + width;
      end
    end
    room_q <= credit_q > 4'd1;  // one may be taken in this cycle
    pop_q  <= pop_i & ~clear_i;
    if (clear_i || pack_i) begin
      scan_q   <= 1'b0;
      half_q   <= 1'b0;
      credit_q <= 4'(Depth);
      open_q   <= 1'b0;
      enough_q <= 1'b0;
      over_q   <= 1'b0;
    end else begin
      open_q   <= open | (open_q & ~row_last);
      enough_q <= ~read_last & (full_i[half_q] | (PixelBits + 3)'(filled_i) >= need_q);
      over_q   <= (&last) | (over_q & ~read_last);
      scan_q   <= begin_o | (scan_q & ~(&last));
      half_q   <= half_q ^ read_last;
      credit_q <= credit_q - 4'(step && r == '0) + 4'(pop_q);
    end
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
  logic [1:0] shift;
  logic room;

  always_ff @(posedge clk_i) begin
    row_inside_q    <= (row >= 0) & (row < 18'(height_i));
    column_inside_q <= (column >= 0) & (column < 18'(width_i));
    inside_q        <= {inside_q[0], row_inside_q & column_inside_q};
    read_last_q     <= {read_last_q[1:0], last[R]};
    third_q         <= cx >= 16'd2;
    pair_q          <= cx[0] | ~pool_i;
    complete_q      <= {complete_q[1:0], third_q & pair_q};
    if (clear_i) begin
      read_valid_q <= '0;
      push_q       <= 1'b0;
    end else begin
      read_valid_q <= {read_valid_q[1:0], step};
      push_q       <= read_valid_q[2] & read_last_q[2];
    end
  end

  for (genvar h = 0; h < 2; h++) begin : gen_half
    logic [63:0] part_q;

    bnn_register u_shift (
        .clk_i,
        .data_i(read_valid_q[1] & ~clear_i),
        .data_o(shift[h])
    );

    assign pixels[64*h+:64] = part_q;
    always_ff @(posedge clk_i) begin
      if (shift[h]) part_q <= {h == 0 ? pixels[95:64] : inside_q[1] ? read_data_i : 32'd0, part_q[63:32]};
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

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (clear_i);

  column_has_room: assert property (push_q |-> room)
      else $error("more than Depth = %0d columns read ahead", Depth);
`endif
endmodule
