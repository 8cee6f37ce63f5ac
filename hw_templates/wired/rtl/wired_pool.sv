// What follows the engines' comparisons: 2x2 max-pool (stride 2) as the OR of the bits, then the channels' flips.
//
// Words of Pixels pixels of Channels bits in row-major order, Width per row, image after image. With Pool = 1 the blocks of
// a word lie within it, if it has more pixels than one, and half as many leave as a word; an odd last row and, of
// words of one pixel, column are dropped. No back-pressure. Latency: 1 cycle after the last word of a block.
module wired_pool #(
    parameter int unsigned Channels = 8,
    parameter int unsigned Pixels = 1,
    parameter int unsigned Height = 8,
    parameter int unsigned Width = 8,
    parameter int unsigned Pool = 0,
    parameter logic [Channels-1:0] Flip = '0,
    parameter int unsigned OutPixels = Pool == 1 && Pixels > 1 ? Pixels / 2 : Pixels
) (
    input  logic                          clk_i,
    input  logic                          rst_ni,
    input  logic                          valid_i,
    input  logic [Pixels*Channels-1:0]    bits_i,
    output logic                          valid_o,
    output logic [OutPixels*Channels-1:0] bits_o
);
  // words that have pixels of two columns; of one pixel each, every second one with the one before it
  localparam int unsigned Pairs = Pixels == 1 ? Width / 2 : Width;

  if (Pool > 1 || (Pool == 1 && (Height < 2 || Pairs < 1 || (Pixels > 1 && Pixels % 2 != 0)))) begin : gen_check
    $error("wired_pool: Pool = %0d, Height = %0d, Width = %0d, Pixels = %0d: no block fits",
           Pool, Height, Width, Pixels);
  end

  if (Pool == 0) begin : gen_pass
    always_ff @(posedge clk_i) begin
      valid_o <= rst_ni && valid_i;
      bits_o <= bits_i ^ {Pixels{Flip}};
    end
  end else begin : gen_pool
    localparam int unsigned XBits = $clog2(Width + 1);
    localparam int unsigned YBits = $clog2(Height + 1);
    logic [XBits-1:0] x_q;
    logic [YBits-1:0] y_q;
    logic paired;
    logic [OutPixels*Channels-1:0] pair;
    // the pairs of the row above, oldest last
    logic [OutPixels*Channels-1:0] row_q[Pairs];

    if (Pixels == 1) begin : gen_left
      logic [Channels-1:0] left_q;
      always_ff @(posedge clk_i) begin
        if (valid_i) left_q <= bits_i;
      end
      assign pair = left_q | bits_i;
      assign paired = valid_i && x_q[0];
    end else begin : gen_within
      for (genvar i = 0; i < OutPixels; i++) begin : gen_pair
        assign pair[i*Channels+:Channels] = bits_i[2*i*Channels+:Channels] | bits_i[(2*i+1)*Channels+:Channels];
      end
      assign paired = valid_i;
    end
    always_ff @(posedge clk_i) begin
      valid_o <= rst_ni && paired && y_q[0];
      bits_o <= (row_q[Pairs-1] | pair) ^ {OutPixels{Flip}};
      if (paired) begin
        row_q[0] <= pair;
        for (int unsigned i = 1; i < Pairs; i++) row_q[i] <= row_q[i-1];
      end
      if (!rst_ni) begin
        x_q <= '0;
        y_q <= '0;
      end else if (valid_i) begin
        x_q <= x_q == XBits'(Width - 1) ? '0 : x_q + 1'b1;
        if (x_q == XBits'(Width - 1)) y_q <= y_q == YBits'(Height - 1) ? '0 : y_q + 1'b1;
      end
    end
  end
endmodule
