// Some channels of bnn_first_array with a register for the window and control of their own.
(* keep_hierarchy = "yes" *)
module bnn_first_group
  import bnn_pkg::*;
#(
    parameter int unsigned Pe = 8,
    localparam int unsigned PairBits = FirstTaps * MaxChannels / 2 * 25
) (
    input  logic               clk_i,
    input  logic [PairBits-1:0] pair_i,
    input  logic signed [13:0] all_i,  // a cycle before its register
    input  logic               valid_i,
    input  logic               first_i,
    input  logic [Pe*64-1:0]   channel_i,
    output logic [Pe-1:0]      bit_o
);
  logic [PairBits-1:0] pair_q;
  logic valid_q, first_q;

  always_ff @(posedge clk_i) begin
    pair_q  <= pair_i;
    valid_q <= valid_i;
    first_q <= first_i;
  end

  for (genvar p = 0; p < Pe; p++) begin : gen_pe
    logic [13:0] all;
    bnn_register #(
        .Bits(14)
    ) u_all (
        .clk_i,
        .data_i(all_i),
        .data_o(all)
    );
    bnn_first_pe u_pe (
        .clk_i,
        .channel_i(channel_i[p*64+:64]),
        .pair_i   (pair_q),
        .all_i    (all),
        .valid_i  (valid_q),
        .first_i  (first_q),
        .bit_o    (bit_o[p])
    );
  end
endmodule
