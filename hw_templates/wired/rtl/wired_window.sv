// Sliding 3x3 windows over a stream of words of Pixels pixels each, one word per cycle, without extra cycles for padding.
//
//   window_o[((Pixels+2)*ky + k)*Bits +: Bits] = pixel (y + ky - Pad, x + k - Pad), PadValue outside the map
//
// holds Pixels windows side by side, of which the first begins with k = 0. Words come in row-major order, Width per row,
// image after image; windows leave in the same order, a word of them at once. With Pad = 0 those of a word end
// with its pixels, so the first two in a row are of no map: the Skip words of a row that have no other do not leave, those
// before Skip included that come of a map whose own first pixels are of none.
// The consumer takes every window; a slow one holds the words back with ready_i, and window_o keeps its value as long.
// With Pad = 1 the last Width + 1 words of windows of an image need no further word: they leave together with the next
// image's first ones, or, as long as none has come, one per cycle.
// emit_o announces a word of windows, a cycle before valid_o.
//
// Latency: a word of windows leaves in the cycle after the last word that it needs came.
module wired_window #(
    parameter int unsigned Bits = 8,
    parameter int unsigned Pixels = 1,
    parameter int unsigned Height = 8,
    parameter int unsigned Width = 8,
    parameter int unsigned Skip = 2,
    parameter int unsigned Pad = 0,
    parameter logic [Bits-1:0] PadValue = '0
) (
    input  logic                         clk_i,
    input  logic                         rst_ni,
    input  logic                         valid_i,
    input  logic [Pixels*Bits-1:0]       word_i,
    input  logic                         ready_i,
    output logic                         emit_o,
    output logic                         valid_o,
    output logic [3*(Pixels+2)*Bits-1:0] window_o
);
  localparam int unsigned XBits = $clog2(Width + 1);
  localparam int unsigned YBits = $clog2(Height + 1);
  localparam int unsigned Patch = Pixels + 2;
  // words that the two pixels before a word reach back to
  localparam int unsigned Back = Pixels == 1 ? 2 : 1;
  localparam int unsigned Depth = 2 * Width + (Pad == 1 ? 2 : Back + 1);

  if (Pad > 1 || Height + 2 * Pad < 3 || Pixels * Width + 2 * Pad < 3 || (Pad == 1 && Height < 2) ||
      (Pad == 0 && Skip >= Width)) begin : gen_check
    $error("wired_window: Pad = %0d, Height = %0d, Width = %0d, Skip = %0d, Pixels = %0d: no window fits",
           Pad, Height, Width, Skip, Pixels);
  end

  // stage k holds the word that came k ticks before the newest
  logic [Pixels*Bits-1:0] line_q[Depth];
  logic take, tick;
  logic [XBits-1:0] x_q;
  logic [YBits-1:0] y_q;
  logic last_x, last_y;

  always_ff @(posedge clk_i) begin
    if (tick) begin
      line_q[0] <= word_i;
      for (int unsigned i = 1; i < Depth; i++) line_q[i] <= line_q[i-1];
    end
  end

  assign take = valid_i && ready_i;

  // position of the next word
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
    logic complete;
    if (Skip == 0) begin : gen_whole
      assign complete = y_q >= YBits'(2);
    end else begin : gen_skip
      assign complete = y_q >= YBits'(2) && x_q >= XBits'(Skip);
    end
    assign emit_o = take && complete;
    always_ff @(posedge clk_i) valid_o <= rst_ni && emit_o;
    for (genvar tap = 0; tap < 3 * Patch; tap++) begin : gen_tap
      // two pixels before the newest word, or its own
      localparam int unsigned Age = tap % Patch >= 2 ? 0 : (1 - tap % Patch) / Pixels + 1;
      localparam int unsigned Pixel = (tap % Patch + 2 * Pixels - 2) % Pixels;
      assign window_o[tap*Bits+:Bits] = line_q[(2-tap/Patch)*Width+Age][Pixel*Bits+:Bits];
    end
  end else begin : gen_padded
    localparam int unsigned TailBits = $clog2(Width + 2);
    // words of windows of the image before that are still to come, and the centre of the next one
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
    for (genvar tap = 0; tap < 3 * Patch; tap++) begin : gen_tap
      // the last pixel of the word on the left, all of the one in the middle, the first of the one on the right
      localparam int unsigned Kx = tap % Patch == 0 ? 0 : tap % Patch <= Pixels ? 1 : 2;
      localparam int unsigned Ky = tap / Patch;
      localparam int unsigned Pixel = (tap % Patch + Pixels - 1) % Pixels;
      localparam int unsigned Age = (2 - Ky) * Width + (2 - Kx);
      logic [Bits-1:0] tap_q, newer;
      if (Age == 0) begin : gen_newest
        assign newer = word_i[Pixel*Bits+:Bits];
      end else begin : gen_line
        assign newer = line_q[Age-1][Pixel*Bits+:Bits];
      end
      always_ff @(posedge clk_i) begin
        if (emit_o && !(in_x[Kx] && in_y[Ky])) tap_q <= PadValue;
        else if (emit_o) tap_q <= newer;
      end
      assign window_o[tap*Bits+:Bits] = tap_q;
    end
  end
endmodule
