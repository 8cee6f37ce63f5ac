// Sliding 3x3 window over a stream of pixels, one pixel per cycle, without extra cycles for padding.
//
//   window_o[(3*ky + kx)*Bits +: Bits] = pixel (y + ky - Pad, x + kx - Pad), PadValue outside the map
//
// Pixels come in row-major order, image after image; windows leave in the same order, (Height + 2*Pad - 2) x
// (Width + 2*Pad - 2) of them per image. The consumer takes every window; a slow one holds the pixels back with
// ready_i, and window_o keeps its value as long.
// With Pad = 1 the last Width + 1 windows of an image need no further pixel: they leave together with the next
// image's first pixels, or, as long as none has come, one per cycle.
// emit_o announces a window, a cycle before valid_o.
//
// Latency: a window leaves in the cycle after its last pixel came.
module wired_window #(
    parameter int unsigned Bits = 8,
    parameter int unsigned Height = 8,
    parameter int unsigned Width = 8,
    parameter int unsigned Pad = 0,
    parameter logic [Bits-1:0] PadValue = '0
) (
    input  logic              clk_i,
    input  logic              rst_ni,
    input  logic              valid_i,
    input  logic [Bits-1:0]   pixel_i,
    input  logic              ready_i,
    output logic              emit_o,
    output logic              valid_o,
    output logic [9*Bits-1:0] window_o
);
  localparam int unsigned XBits = $clog2(Width + 1);
  localparam int unsigned YBits = $clog2(Height + 1);
  localparam int unsigned Depth = 2 * Width + 3 - Pad;

  if (Pad > 1 || Height + 2 * Pad < 3 || Width + 2 * Pad < 3 || (Pad == 1 && Height < 2)) begin : gen_check
    $error("wired_window: Pad = %0d, Height = %0d, Width = %0d: no window fits", Pad, Height, Width);
  end

  // stage k holds the pixel that came k ticks before the newest
  logic [Bits-1:0] line_q[Depth];
  logic take, tick;
  logic [XBits-1:0] x_q;
  logic [YBits-1:0] y_q;
  logic last_x, last_y;

  always_ff @(posedge clk_i) begin
    if (tick) begin
      line_q[0] <= pixel_i;
      for (int unsigned i = 1; i < Depth; i++) line_q[i] <= line_q[i-1];
    end
  end

  assign take = valid_i && ready_i;

  // position of the next pixel
  assign last_x = x_q == XBits'(Width - 1);
  assign last_y = y_q == YBits'(Height - 1);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      x_q <= '0;
      y_q <= '0;
    end else if (take) begin
      x_q <= last_x ? '0 : x_q + 1'b1;
      if (last_x) y_q <= last_y ? '0 : y_q + 1'b1;
    end
  end

  if (Pad == 0) begin : gen_plain
    assign tick = take;
    assign emit_o = take && x_q >= XBits'(2) && y_q >= YBits'(2);
    always_ff @(posedge clk_i) valid_o <= rst_ni && emit_o;
    for (genvar tap = 0; tap < 9; tap++) begin : gen_tap
      assign window_o[tap*Bits+:Bits] = line_q[(2-tap/3)*Width+(2-tap%3)];
    end
  end else begin : gen_padded
    localparam int unsigned TailBits = $clog2(Width + 2);
    // windows of the image before that are still to come, and the centre of the next window
    logic [TailBits-1:0] tail_q;
    logic [XBits-1:0] cx_q;
    logic [YBits-1:0] cy_q;
    logic idle;
    logic [2:0] in_x, in_y;

    assign in_x = {cx_q != XBits'(Width - 1), 1'b1, cx_q != '0};
    assign in_y = {cy_q != YBits'(Height - 1), 1'b1, cy_q != '0};

    assign idle = x_q == '0 && y_q == '0;
    assign tick = take || (ready_i && idle && tail_q != '0);
    assign emit_o = tick && (tail_q != '0 || y_q > YBits'(1) || (y_q == YBits'(1) && x_q != '0));

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        valid_o <= 1'b0;
        tail_q <= '0;
        cx_q <= '0;
        cy_q <= '0;
      end else begin
        valid_o <= emit_o;
        if (take && last_x && last_y) tail_q <= TailBits'(Width + 1);
        else if (tick && tail_q != '0) tail_q <= tail_q - 1'b1;
        if (emit_o) begin
          cx_q <= cx_q == XBits'(Width - 1) ? '0 : cx_q + 1'b1;
          if (cx_q == XBits'(Width - 1)) cy_q <= cy_q == YBits'(Height - 1) ? '0 : cy_q + 1'b1;
        end
      end
    end
    // outside the map a tap is reset to the padding, which costs no LUT in front of the engine
    for (genvar tap = 0; tap < 9; tap++) begin : gen_tap
      localparam int unsigned Age = (2 - tap / 3) * Width + (2 - tap % 3);
      logic [Bits-1:0] tap_q, newer;
      if (Age == 0) begin : gen_newest
        assign newer = pixel_i;
      end else begin : gen_line
        assign newer = line_q[Age-1];
      end
      always_ff @(posedge clk_i) begin
        if (emit_o && !(in_x[tap%3] && in_y[tap/3])) tap_q <= PadValue;
        else if (emit_o) tap_q <= newer;
      end
      assign window_o[tap*Bits+:Bits] = tap_q;
    end
  end
endmodule
