// What follows an engine's comparisons: 2x2 max-pool (stride 2) as the OR of the bits, then the channels' flips.
//
// Pixels of Channels bits in row-major order, image after image. With Pool = 1 an odd last row and column are
// dropped. No back-pressure. Latency: 1 cycle after the last pixel of a block.
module wired_pool #(
    parameter int unsigned Channels = 8,
    parameter int unsigned Height = 8,
    parameter int unsigned Width = 8,
    parameter int unsigned Pool = 0,
    parameter logic [Channels-1:0] Flip = '0
) (
    input  logic                clk_i,
    input  logic                rst_ni,
    input  logic                valid_i,
    input  logic [Channels-1:0] bits_i,
    output logic                valid_o,
    output logic [Channels-1:0] bits_o
);
  if (Pool > 1 || (Pool == 1 && (Height < 2 || Width < 2))) begin : gen_check
    $error("wired_pool: Pool = %0d, Height = %0d, Width = %0d: no block fits", Pool, Height, Width);
  end

  if (Pool == 0) begin : gen_pass
    always_ff @(posedge clk_i) begin
      valid_o <= rst_ni && valid_i;
      bits_o <= bits_i ^ Flip;
    end
  end else begin : gen_pool
    localparam int unsigned XBits = $clog2(Width + 1);
    localparam int unsigned YBits = $clog2(Height + 1);
    localparam int unsigned Pairs = Width / 2;
    logic [XBits-1:0] x_q;
    logic [YBits-1:0] y_q;
    logic [Channels-1:0] left_q, pair;
    // the pairs of the row above, oldest last
    logic [Channels-1:0] row_q[Pairs];

    assign pair = left_q | bits_i;
    always_ff @(posedge clk_i) begin
      valid_o <= rst_ni && valid_i && x_q[0] && y_q[0];
      bits_o <= (row_q[Pairs-1] | pair) ^ Flip;
      if (valid_i) begin
        left_q <= bits_i;
        if (x_q[0]) begin
          row_q[0] <= pair;
          for (int unsigned i = 1; i < Pairs; i++) row_q[i] <= row_q[i-1];
        end
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
