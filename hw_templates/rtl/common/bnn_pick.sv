// One of Words words of Bits bits, slowly: a multiplexer with its own select registers.
//
//   data_o = word_i[select_i*Bits +: Bits]
//
// Latency: 3 cycles from select_i, 1 from word_i.
(* keep_hierarchy = "yes" *)
module bnn_pick #(
    parameter int unsigned Words = 32,
    parameter int unsigned Bits = 16,
    localparam int unsigned SelectBits = $clog2(Words)
) (
    input  logic                  clk_i,
    input  logic [SelectBits-1:0] select_i,
    input  logic [Words*Bits-1:0] word_i,
    output logic [Bits-1:0]       data_o
);
  localparam int unsigned Slice = 2;  // bits per slice

  logic [SelectBits-1:0] select_q;

  always_ff @(posedge clk_i) select_q <= select_i;

  for (genvar s = 0; s < Bits / Slice; s++) begin : gen_slice
    logic [Words*Slice-1:0] word;
    for (genvar w = 0; w < Words; w++) begin : gen_word
      assign word[w*Slice+:Slice] = word_i[w*Bits+s*Slice+:Slice];
    end
    bnn_pick_slice #(
        .Words(Words),
        .Bits (Slice)
    ) u_slice (
        .clk_i,
        .select_i(select_q),
        .word_i  (word),
        .data_o  (data_o[s*Slice+:Slice])
    );
  end
endmodule
