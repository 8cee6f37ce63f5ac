// Arithmetic of the first layer: signed 3x3 windows, thresholds, OR pool and flip.
//
//   sum[p] = sum over i < Inputs of (weight[p][i] ? +window[i] : -window[i])
//   bit[p] = (OR over the windows from first_i to last_i of (sum[p] >= threshold[p])) ^ flip[p]
//   most_o[p*15 +: 14] = maximum over the windows from first_i to last_i of sum[p], bit[p] on top of it   with Values
//
// Layout: window_i[i*8 +: 8] is signed, i = tap*4 + c, tap = 3*ky + kx; absent channels and padding are 0.
// channel_i[p*64 +: 64] is the beat of channel p of the program's first-layer block (first_beat_t), its weights a
// cycle after the window, threshold and flip ten. Without a pool first_i and last_i come with every window; with a
// 2x2 pool, or for values, they mark the first and last of four: a window without first_i follows one without last_i.
// A cycle without valid_i is a bubble. One window per cycle.
//
// The sums of pairs of the window are made once and registered for every eight channels.
// Latency: valid_o and bit_o come 12 cycles after the last window. valid_o is high for one cycle; most_o comes
// three cycles after it and holds until the next.
module bnn_first_array
  import bnn_pkg::*;
  import bnn_add_pkg::add;
#(
    parameter int unsigned FirstPe = 4,
    parameter bit Values = 1'b0,
    localparam int unsigned Inputs = FirstTaps * MaxChannels,
    localparam int unsigned PairBits = 25  // bnn_first_pe
) (
    input  logic                  clk_i,
    input  logic                  rst_i,
    input  logic                  valid_i,
    input  logic                  first_i,
    input  logic                  last_i,
    input  logic [Inputs*8-1:0]   window_i,
    input  logic [FirstPe*64-1:0] channel_i,
    output logic                  valid_o,
    output logic [FirstPe-1:0]    bit_o,
    output logic [FirstPe*15-1:0] most_o
);
  localparam int unsigned GroupPe = (FirstPe < 8) ? FirstPe : 8;

  if (FirstPe < 4 || (FirstPe & (FirstPe - 1)) != 0) begin : gen_check
    $error("bnn_first_array: FirstPe = %0d, must be a power of two, at least 4", FirstPe);
  end

  // [n] is n + 1 cycles after the window.
  logic [10:0] valid_q;
  logic [9:0] first_q;
  logic [10:0] last_q;
  logic valid_out_q;
  logic [Inputs/2*PairBits-1:0] pair_q;
  logic [FirstTaps-1:0][9:0] tap_q;
  logic [13:0] all, all_q;
  logic [4:0] all_high;

  always_ff @(posedge clk_i) begin
    first_q <= {first_q[8:0], first_i};
    last_q  <= {last_q[9:0], last_i};
    if (rst_i) valid_q <= '0;
    else valid_q <= {valid_q[9:0], valid_i};
    valid_out_q <= ~rst_i & valid_q[10] & last_q[10];
  end

  for (genvar j = 0; j < Inputs / 2; j++) begin : gen_pair
    // The sum by 256 too large, without a sign: that of numbers with a sign, whose top bit is inverted.
    always_ff @(posedge clk_i) begin
      pair_q[PairBits*j+:16]   <= window_i[16*j+:16];
      pair_q[PairBits*j+16+:9] <= 9'(add(32'({~window_i[16*j+7], window_i[16*j+:8]}),
                                         32'({window_i[16*j+15], window_i[16*j+8+:8]})));
    end
  end

  // The sum of the whole window, once: 7 cycles after it. A tap's is by 512 too large, and as much is added for
  // each: 18 * 512 are what bnn_first_pe has too much.
  for (genvar t = 0; t < FirstTaps; t++) begin : gen_tap
    always_ff @(posedge clk_i) begin
      tap_q[t] <= 10'(add(32'(pair_q[2*PairBits*t+16+:9]), 32'(pair_q[PairBits*(2*t+1)+16+:9])));
    end
  end
  bnn_first_sum #(
      .Bits   (10),
      .SumBits(14)
  ) u_sum (
      .clk_i,
      .number_i(tap_q),
      .sum_o   (all)
  );

  // Plus 9 * 512, in LUTs
  assign all_high = all[13:9];
  always_ff @(posedge clk_i) begin
    all_q <= {all_high[4] ^ (all_high[3] | (&all_high[2:0])), ~(all_high[3] ^ (&all_high[2:0])),
              all_high[2] ^ (&all_high[1:0]), all_high[1] ^ all_high[0], ~all_high[0], all[8:0]};
  end

  for (genvar g = 0; g < FirstPe; g += GroupPe) begin : gen_group
    bnn_first_group #(
        .Pe    (GroupPe),
        .Values(Values)
    ) u_group (
        .clk_i,
        .pair_i   (pair_q),
        .all_i    (all_q),
        .valid_i  (valid_q[9]),
        .first_i  (first_q[9]),
        .last_i   (last_q[9]),
        .channel_i(channel_i[g*64+:GroupPe*64]),
        .bit_o    (bit_o[g+:GroupPe]),
        .most_o   (most_o[g*15+:GroupPe*15])
    );
  end

  assign valid_o = valid_out_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  logic open_q;  // a sum is begun and not ended

  always_ff @(posedge clk_i) begin
    if (rst_i) open_q <= 1'b0;
    else if (valid_i) open_q <= ~last_i;
  end

  sums_whole: assert property (valid_i |-> first_i != open_q)
      else $error("first_i = %b %s", first_i, open_q ? "within a sum" : "without a sum at work");
`endif
endmodule
