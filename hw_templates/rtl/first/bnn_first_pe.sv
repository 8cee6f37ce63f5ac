// One output channel of the first layer.
//
//   sum = 2 * (sum over i with weight[i] of window[i]) - all,   all = sum of the window
//   bit = (OR over the windows from first to last of (sum >= threshold)) ^ flip
//
// pair_i[j*25 +: 25] has window[2j] (8 bits), window[2j+1] (8) and their sum (9): the weights pick
// 0, one of them or the sum. Timing: bnn_first_array.
(* keep_hierarchy = "yes" *)
module bnn_first_pe
  import bnn_pkg::*;
(
    input  logic                clk_i,
    input  first_beat_t         channel_i,  // with the pairs
    input  logic [FirstTaps*MaxChannels/2*25-1:0] pair_i,
    input  logic signed [13:0]  all_i,  // 2 cycles after the pairs
    input  logic                valid_i,  // 4 cycles after the pairs
    input  logic                first_i,  // 4 cycles after the pairs
    output logic                bit_o  // 5 cycles after the pairs
);
  /* verilator no_inline_module */
  logic signed [10:0] tap_q[FirstTaps];
  logic signed [12:0] row_q[3];
  logic signed [14:0] picked_q;
  logic signed [15:0] threshold_q[2], limit_q;
  logic [3:0] flip_q;
  logic hit_q, any_q, bit_q, any;

  for (genvar t = 0; t < FirstTaps; t++) begin : gen_tap
    logic signed [8:0] pick[2];
    for (genvar j = 0; j < 2; j++) begin : gen_pick
      logic signed [8:0] low, high, both;
      assign low = 9'(signed'(pair_i[(2*t+j)*25+:8]));
      assign high = 9'(signed'(pair_i[(2*t+j)*25+8+:8]));
      assign both = pair_i[(2*t+j)*25+16+:9];
      always_comb begin
        unique case (channel_i.weights[4*t+2*j+:2])
          2'd0:    pick[j] = '0;
          2'd1:    pick[j] = low;
          2'd2:    pick[j] = high;
          default: pick[j] = both;
        endcase
      end
    end
    always_ff @(posedge clk_i) tap_q[t] <= 11'(pick[0]) + 11'(pick[1]);
  end

  for (genvar r = 0; r < 3; r++) begin : gen_row
    always_ff @(posedge clk_i) begin
      row_q[r] <= 13'(tap_q[3*r]) + 13'(tap_q[3*r+1]) + 13'(tap_q[3*r+2]);
    end
  end

  assign any = hit_q | (any_q & ~first_i);

  always_ff @(posedge clk_i) begin
    threshold_q[0] <= channel_i.threshold;
    threshold_q[1] <= threshold_q[0];
    flip_q         <= {flip_q[2:0], channel_i.flip};
    picked_q       <= 15'(row_q[0]) + 15'(row_q[1]) + 15'(row_q[2]);
    limit_q        <= clip(17'(threshold_q[1]) + 17'(all_i));
    hit_q          <= signed'({picked_q, 1'b0}) >= limit_q;
    if (valid_i) any_q <= any;
    bit_q <= any ^ flip_q[3];
  end

  // A sum beyond 16 bits is out of reach of twice the picked ones.
  function automatic logic signed [15:0] clip(input logic signed [16:0] value);
    clip = (value[16] == value[15]) ? value[15:0] : {value[16], {15{~value[16]}}};
  endfunction

  logic unused_bits;
  assign unused_bits = ^channel_i;

  assign bit_o = bit_q;
endmodule
