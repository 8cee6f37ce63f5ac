// Some bits of a word that the first layer writes: channels, a part of a packed word, or 0.
//
// Latency: 1 cycle with enable_i; pack_i is constant during a run.
(* keep_hierarchy = "yes" *)
module bnn_first_slice #(
    parameter int unsigned Bits = 16
) (
    input  logic            clk_i,
    input  logic            enable_i,
    input  logic            pack_i,
    input  logic            here_i,
    input  logic [Bits-1:0] channel_i,
    input  logic [Bits-1:0] word_i,
    output logic [Bits-1:0] data_o
);
  logic pack_q;
  logic [Bits-1:0] data_q;

  always_ff @(posedge clk_i) begin
    pack_q <= pack_i;
    if (enable_i) data_q <= pack_q ? word_i : here_i ? channel_i : '0;
  end

  assign data_o = data_q;
endmodule
