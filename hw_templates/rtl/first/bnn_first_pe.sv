// One output channel of the first layer.
//
//   sum = 2 * (sum over i with weight[i] of window[i]) - all,   all = sum of the window
//   bit = (OR over the windows from first to last of (sum >= threshold)) ^ flip
//   most = maximum of the sums over the windows from first to last, with Values
//
// pair_i[j*25 +: 25] has window[2j] and window[2j+1], 8 bits each with a sign, and their sum plus 256, 9 bits without one:
// the weights pick 0, one of them or the sum, each by 256 too large, so that no bit of them goes to several of a sum; less_i,
// the sum of the window inverted, has the 18 * 512 that make up for it. Odd pairs come a cycle after the even ones, which
// are picked first; what is picked of them is added in the same LUT. Timing: bnn_first_array.
(* keep_hierarchy = "yes" *)
module bnn_first_pe
  import bnn_pkg::*;
#(
    parameter bit Values = 1'b0
) (
    input  logic                clk_i,
    input  first_beat_t         channel_i,  // weights a cycle before the even pairs, threshold and flip 8 after them
    input  logic [FirstTaps*MaxChannels/2*25-1:0] pair_i,
    input  logic [13:0]         less_i,  // ~(all + 18 * 512), 6 cycles after the even pairs
    input  logic                valid_i,  // 9 cycles after them
    input  logic                first_i,  // 9 cycles after them
    input  logic                last_i,  // 9 cycles after them
    input  logic                valid_next_i,  // valid_i and first_i, a cycle before them
    input  logic                first_next_i,
    output logic                bit_o,  // 10 cycles after the even pairs
    output logic [14:0]         most_o  // bit and most, 13 cycles after the last even pairs; they hold until the next
);
  /* verilator no_inline_module */
  logic [FirstTaps-1:0][8:0] pick_q;  // of the even pairs
  logic [FirstTaps-1:0][9:0] tap_q;
  logic [12:0] part;  // of the sum's half
  logic [5:0] part_q, less_q;  // their high halves
  logic [7:0] low_q;  // of the sum
  logic carry_q, unused_low, unused_high;
  logic signed [13:0] sum_q;  // fits: 36 entries of the table
  logic signed [15:0] threshold;
  logic hit_q, any_q, bit_q, flip_q, any;

  // For the low bits of what is picked, for the high ones; the odd ones, before a carry chain, for the lowest and for two each
  logic [1:0][FirstTaps-1:0][1:0] even_weights;
  logic [4:0][FirstTaps-1:0][1:0] odd_weights;
  logic [FirstTaps-1:0][1:0] even_d, odd_d, odd_q;

  for (genvar t = 0; t < FirstTaps; t++) begin : gen_weight
    assign {odd_d[t], even_d[t]} = channel_i.weights[4*t+:4];
  end

  always_ff @(posedge clk_i) odd_q <= odd_d;

  for (genvar i = 0; i < 2; i++) begin : gen_even_weights
    bnn_register #(
        .Bits(2 * FirstTaps)
    ) u_even (
        .clk_i,
        .data_i(even_d),
        .data_o(even_weights[i])
    );
  end
  for (genvar i = 0; i < 5; i++) begin : gen_odd_weights
    bnn_register #(
        .Bits(2 * FirstTaps)
    ) u_odd (
        .clk_i,
        .data_i(odd_q),
        .data_o(odd_weights[i])
    );
  end

  function automatic logic [3:0][8:0] picks(input logic [24:0] pair);
    picks = {pair[24:16], ~pair[15], pair[15:8], ~pair[7], pair[7:0], 9'h100};
  endfunction

  for (genvar t = 0; t < FirstTaps; t++) begin : gen_tap
    logic [3:0][8:0] even, odd;
    logic [8:0] pick, more;
    logic unused_lowest;
    assign even = picks(pair_i[2*t*25+:25]);
    assign odd = picks(pair_i[(2*t+1)*25+:25]);
    for (genvar b = 0; b < 9; b++) begin : gen_bit
      assign pick[b] = even[even_weights[b/5][t]][b];
      assign more[b] = odd[odd_weights[(b+1)/2][t]][b];
    end
    // The lowest bit apart: what makes it does not lie before the carry chain then.
    always_ff @(posedge clk_i) begin
      pick_q[t] <= pick;
      tap_q[t][0] <= pick_q[t][0] ^ more[0];
      {tap_q[t][9:1], unused_lowest} <= {1'b0, pick_q[t][8:1], 1'b1} + {1'b0, more[8:1], pick_q[t][0] & more[0]};
    end
  end

  bnn_first_sum #(
      .Bits   (10),
      .SumBits(13)
  ) u_sum (
      .clk_i,
      .number_i(tap_q),
      .sum_o   (part)
  );

  assign threshold = channel_i.threshold;
  assign any = hit_q | (any_q & ~first_i);

  always_ff @(posedge clk_i) begin
    // {part, 1'b0} + less_i + 1, the low half first
    low_q[0]                         <= ~less_i[0];
    {carry_q, low_q[7:1], unused_low} <= {1'b0, part[6:0], less_i[0]} + {1'b0, less_i[7:1], less_i[0]};
    part_q                           <= part[12:7];
    less_q                           <= less_i[13:8];
    sum_q[7:0]                       <= low_q;
    {sum_q[13:8], unused_high}       <= {part_q, carry_q} + {less_q, carry_q};
    hit_q  <= 16'(sum_q) >= threshold;
    flip_q <= channel_i.flip;
    if (valid_i) any_q <= any;
    bit_q <= any ^ flip_q;
  end

  if (Values) begin : gen_values
    logic signed [13:0] most;
    logic [14:0] held_q;
    logic [2:0] done_q;
    logic [1:0] bit_d_q;

    bnn_first_most u_most (
        .clk_i,
        .valid_i(valid_next_i),
        .first_i(first_next_i),
        .sum_i  (sum_q),
        .most_o (most)
    );

    always_ff @(posedge clk_i) begin
      done_q  <= {done_q[1:0], valid_i & last_i};
      bit_d_q <= {bit_d_q[0], bit_q};
      if (done_q[2]) held_q <= {bit_d_q[1], most};
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
