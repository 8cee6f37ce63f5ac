// Some channels of bnn_first_array with a register for the window and control of their own.
(* keep_hierarchy = "yes" *)
module bnn_first_group
  import bnn_pkg::*;
#(
    parameter int unsigned Pe = 8,
    parameter bit Values = 1'b0,
    localparam int unsigned PairBits = FirstTaps * MaxChannels / 2 * 27
) (
    input  logic               clk_i,
    input  logic [PairBits-1:0] pair_i,
    input  logic [13:0]        all_i,  // a cycle before its register
    input  logic               valid_i,
    input  logic               first_i,
    input  logic               last_i,
    input  logic [Pe*64-1:0]   channel_i,
    output logic [Pe-1:0]      bit_o,
    output logic [Pe*15-1:0]   most_o
);
  logic [PairBits-1:0] pair_q, pair;  // pair: odd ones a cycle later
  logic valid_q, first_q, last_q;

  always_ff @(posedge clk_i) begin
    pair_q  <= pair_i;
    valid_q <= valid_i;
    first_q <= first_i;
    last_q  <= last_i;
  end

  for (genvar j = 0; j < PairBits / 27; j++) begin : gen_pair
    if (j % 2 == 0) begin : gen_even
      assign pair[27*j+:27] = pair_q[27*j+:27];
    end else begin : gen_odd
      logic [26:0] odd_q;

      always_ff @(posedge clk_i) odd_q <= pair_q[27*j+:27];
      assign pair[27*j+:27] = odd_q;
    end
  end

  logic [Pe/2-1:0][13:0] all;

  for (genvar i = 0; i < Pe / 2; i++) begin : gen_all
    bnn_register #(
        .Bits(14)
    ) u_all (
        .clk_i,
        .data_i(all_i),
        .data_o(all[i])
    );
  end

  for (genvar p = 0; p < Pe; p++) begin : gen_pe
    bnn_first_pe #(
        .Values(Values)
    ) u_pe (
        .clk_i,
        .channel_i(channel_i[p*64+:64]),
        .pair_i   (pair),
        .all_i    (all[p/2]),
        .valid_i  (valid_q),
        .first_i  (first_q),
        .last_i   (last_q),
        .valid_next_i(valid_i),
        .first_next_i(first_i),
        .bit_o    (bit_o[p]),
        .most_o   (most_o[15*p+:15])
    );
  end
endmodule
