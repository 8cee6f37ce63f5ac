// Some channels of bnn_first_array with a register for the window and control of their own.
(* keep_hierarchy = "yes" *)
module bnn_first_group
  import bnn_pkg::*;
#(
    parameter int unsigned Pe = 8,
    parameter bit Values = 1'b0,
    localparam int unsigned PairBits = FirstTaps * MaxChannels / 2 * 25
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
  logic [PairBits-1:0] pair_q;
  logic valid_q, first_q, last_q;

  always_ff @(posedge clk_i) begin
    pair_q  <= pair_i;
    valid_q <= valid_i;
    first_q <= first_i;
    last_q  <= last_i;
  end

  // Odd pairs a cycle later, for two channels each, as they lie before a carry chain; their lowest bits, which lie before
  // the sum's lowest one too, for each channel
  localparam logic [24:0] Lowest = 25'h10101;
  logic [Pe-1:0][PairBits-1:0] pair;

  for (genvar p = 0; p < Pe; p++) begin : gen_channel
    for (genvar j = 0; j < PairBits; j++) begin : gen_bit
      if (j / 25 % 2 == 0) begin : gen_even
        assign pair[p][j] = pair_q[j];
      end else if (p % 2 == 0 || Lowest[j%25]) begin : gen_odd
        bnn_register u_odd (
            .clk_i,
            .data_i(pair_q[j]),
            .data_o(pair[p][j])
        );
      end else begin : gen_same
        assign pair[p][j] = pair[p-1][j];
      end
    end
  end

  for (genvar p = 0; p < Pe; p++) begin : gen_pe
    logic [13:0] less;

    bnn_register #(
        .Bits(14)
    ) u_less (
        .clk_i,
        .data_i(~all_i),
        .data_o(less)
    );

    bnn_first_pe #(
        .Values(Values)
    ) u_pe (
        .clk_i,
        .channel_i(channel_i[p*64+:64]),
        .pair_i   (pair[p]),
        .less_i   (less),
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
