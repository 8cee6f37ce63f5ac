// One output channel of the first layer.
//
//   sum = 2 * (sum over i with weight[i] of window[i]) - all,   all = sum of the window
//   bit = (OR over the windows from first to last of (sum >= threshold)) ^ flip
//   most = maximum of the sums over the windows from first to last, with Values
//
// pair_i[j*27 +: 27] has window[2j], window[2j+1] and their sum, 9 bits each: the weights pick 0, one of them or the
// sum. They are numbers without a sign, by 256 too large, so that no bit of them goes to several of a sum; all_i has
// the 18 * 512 that make up for it. Timing: bnn_first_array.
(* keep_hierarchy = "yes" *)
module bnn_first_pe
  import bnn_pkg::*;
  import bnn_add_pkg::add;
#(
    parameter bit Values = 1'b0
) (
    input  logic                clk_i,
    input  first_beat_t         channel_i,  // weights a cycle before the pairs, threshold and flip 4 after them
    input  logic [FirstTaps*MaxChannels/2*27-1:0] pair_i,
    input  logic [13:0]         all_i,  // all + 18 * 512, 3 cycles after the pairs
    input  logic                valid_i,  // 5 cycles after the pairs
    input  logic                first_i,  // 5 cycles after the pairs
    input  logic                last_i,  // 5 cycles after the pairs
    input  logic                valid_next_i,  // valid_i and first_i, a cycle before them
    input  logic                first_next_i,
    output logic                bit_o,  // 6 cycles after the pairs
    output logic [14:0]         most_o  // bit and most, 7 cycles after the last pairs; they hold until the next
);
  /* verilator no_inline_module */
  logic [9:0] tap_q[FirstTaps];
  logic [11:0] row_q[3];
  logic [12:0] part_q;  // of the sum's half
  logic signed [13:0] sum_q;  // fits: 36 entries of the table
  logic signed [15:0] threshold;
  logic hit_q, any_q, bit_q, flip_q, any;

  logic [1:0][35:0] weights;  // for the low bits of what is picked, for the high ones

  for (genvar i = 0; i < 2; i++) begin : gen_weights
    bnn_register #(
        .Bits(36)
    ) u_weights (
        .clk_i,
        .data_i(channel_i.weights),
        .data_o(weights[i])
    );
  end

  for (genvar t = 0; t < FirstTaps; t++) begin : gen_tap
    logic [8:0] pick[2];
    for (genvar j = 0; j < 2; j++) begin : gen_pick
      logic [3:0][8:0] choice;
      assign choice = {pair_i[(2*t+j)*27+:27], 9'h100};
      for (genvar b = 0; b < 9; b++) begin : gen_bit
        assign pick[j][b] = choice[{weights[b/5][4*t+2*j+1], weights[b/5][4*t+2*j]}][b];
      end
    end
    // The lowest bit apart: what makes it does not lie before the carry chain then.
    logic unused_low;
    always_ff @(posedge clk_i) begin
      tap_q[t][0] <= pick[0][0] ^ pick[1][0];
      {tap_q[t][9:1], unused_low} <= {1'b0, pick[0][8:1], 1'b1} + {1'b0, pick[1][8:1], pick[0][0] & pick[1][0]};
    end
  end

  // Three numbers are added bit by bit first, s + 2c, which a carry chain adds; the two lowest bits apart as above.
  for (genvar r = 0; r < 3; r++) begin : gen_row
    logic [9:0] s, c;
    assign s = tap_q[3*r] ^ tap_q[3*r+1] ^ tap_q[3*r+2];
    assign c = (tap_q[3*r] & tap_q[3*r+1]) | (tap_q[3*r+2] & (tap_q[3*r] | tap_q[3*r+1]));
    always_ff @(posedge clk_i) row_q[r] <= 12'({add(32'(s[9:1]), 32'(c)), s[0]});
  end

  logic [11:0] row_s, row_c;  // of the rows, likewise

  assign row_s = row_q[0] ^ row_q[1] ^ row_q[2];
  assign row_c = (row_q[0] & row_q[1]) | (row_q[2] & (row_q[0] | row_q[1]));

  assign threshold = channel_i.threshold;
  assign any = hit_q | (any_q & ~first_i);

  always_ff @(posedge clk_i) begin
    part_q <= 13'({add(32'(row_s[11:1]), 32'(row_c)), row_s[0]});
    sum_q  <= {part_q, 1'b0} - all_i;
    hit_q  <= 16'(sum_q) >= threshold;
    flip_q <= channel_i.flip;
    if (valid_i) any_q <= any;
    bit_q <= any ^ flip_q;
  end

  if (Values) begin : gen_values
    logic signed [13:0] most;
    logic [14:0] held_q;
    logic done_q;

    bnn_first_most u_most (
        .clk_i,
        .valid_i(valid_next_i),
        .first_i(first_next_i),
        .sum_i  (sum_q),
        .most_o (most)
    );

    always_ff @(posedge clk_i) begin
      done_q <= valid_i & last_i;
      if (done_q) held_q <= {bit_q, most};
    end

    assign most_o = held_q;
  end else begin : gen_bits
    logic unused_last;
    assign unused_last = ^{last_i, valid_next_i, first_next_i};
    assign most_o = '0;
  end

  logic unused_bits;
  assign unused_bits = ^channel_i;

  assign bit_o = bit_q;
endmodule
