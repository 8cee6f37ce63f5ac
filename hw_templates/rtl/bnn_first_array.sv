// Arithmetic of the first layer: signed 3x3 windows, thresholds, OR pool and flip.
//
//   sum[p] = sum over i < 36 of (weight[p][i] ? +window[i] : -window[i])
//   bit[p] = (OR over the windows from first_i to last_i of (sum[p] >= threshold[p])) ^ flip[p]
//
// Layout: window_i[i*8 +: 8] is signed, i = tap*4 + c, tap = 3*ky + kx; absent channels and
// padding are 0. channel_i[p*64 +: 64] is the beat of channel p of the program's first-layer
// block: weights [35:0], threshold [55:40] (signed), flip [56]. Without a pool first_i and
// last_i come with every window; with a 2x2 pool they mark the first and last of four. All
// inputs are sampled with valid_i; a cycle without it is a bubble. One window per cycle.
//
// Latency: valid_o and bit_o appear after edge t + 4 for the last window sampled at edge t
// (5 cycles). valid_o is high for one cycle.
module bnn_first_array #(
    parameter int unsigned FirstPe = 4
) (
    input  logic                  clk_i,
    input  logic                  rst_i,
    input  logic                  valid_i,
    input  logic                  first_i,
    input  logic                  last_i,
    input  logic [36*8-1:0]       window_i,
    input  logic [FirstPe*64-1:0] channel_i,
    output logic                  valid_o,
    output logic [FirstPe-1:0]    bit_o
);
  localparam int unsigned Stages = 5;

  if (FirstPe < 4 || (FirstPe & (FirstPe - 1)) != 0) begin : gen_check
    $error("bnn_first_array: FirstPe = %0d, must be a power of two, at least 4", FirstPe);
  end

  logic [Stages-2:0] valid_q, first_q, last_q;
  logic out_valid_q;

  always_ff @(posedge clk_i) begin
    first_q <= {first_q[Stages-3:0], first_i};
    last_q  <= {last_q[Stages-3:0], last_i};
    if (rst_i) begin
      valid_q     <= '0;
      out_valid_q <= 1'b0;
    end else begin
      valid_q     <= {valid_q[Stages-3:0], valid_i};
      out_valid_q <= valid_q[Stages-2] & last_q[Stages-2];
    end
  end

  for (genvar p = 0; p < FirstPe; p++) begin : gen_pe
    logic signed [10:0] tap_q[9];  // four terms of -128 .. 128
    logic signed [12:0] row_q[3];
    logic signed [13:0] sum_q;
    logic signed [15:0] threshold_q[3];
    logic [3:0] flip_q;
    logic hit_q, any_q, bit_q;
    logic any;

    for (genvar t = 0; t < 9; t++) begin : gen_tap
      logic signed [8:0] term[4];
      for (genvar c = 0; c < 4; c++) begin : gen_term
        logic signed [8:0] value;
        assign value = 9'(signed'(window_i[(t*4+c)*8+:8]));
        assign term[c] = channel_i[p*64+t*4+c] ? value : -value;
      end
      always_ff @(posedge clk_i) begin
        tap_q[t] <= 11'(term[0]) + 11'(term[1]) + 11'(term[2]) + 11'(term[3]);
      end
    end

    for (genvar r = 0; r < 3; r++) begin : gen_row
      always_ff @(posedge clk_i) begin
        row_q[r] <= 13'(tap_q[3*r]) + 13'(tap_q[3*r+1]) + 13'(tap_q[3*r+2]);
      end
    end

    assign any = hit_q | (any_q & ~first_q[3]);

    always_ff @(posedge clk_i) begin
      sum_q          <= 14'(row_q[0]) + 14'(row_q[1]) + 14'(row_q[2]);
      threshold_q[0] <= channel_i[p*64+40+:16];
      threshold_q[1] <= threshold_q[0];
      threshold_q[2] <= threshold_q[1];
      flip_q         <= {flip_q[2:0], channel_i[p*64+56]};
      hit_q          <= 16'(sum_q) >= threshold_q[2];
      if (valid_q[3]) any_q <= any;
      bit_q <= any ^ flip_q[3];
    end

    logic unused_bits;
    assign unused_bits = ^{channel_i[p*64+36+:4], channel_i[p*64+57+:7]};

    assign bit_o[p] = bit_q;
  end

  assign valid_o = out_valid_q;
endmodule
