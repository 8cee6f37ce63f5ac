// Some bits of a word that the first layer writes: a part of a packed word, or channels: those of this
// write, of one before, or 0 until then.
//
// Latency: 1 cycle with enable_i; pack_i is constant during a run.
(* keep_hierarchy = "yes" *)
module bnn_first_slice #(
    parameter int unsigned Bits = 16
) (
    input  logic            clk_i,
    input  logic            enable_i,
    input  logic            pack_i,
    input  logic            begin_i,    // the word's first write
    input  logic            here_i,
    input  logic [Bits-1:0] channel_i,
    input  logic [Bits-1:0] word_i,
    output logic [Bits-1:0] data_o
);
  logic pack_q;
  logic [Bits-1:0] data_q;

  always_ff @(posedge clk_i) begin
    pack_q <= pack_i;
    if (enable_i) begin
      if (pack_q) data_q <= word_i;
      else if (here_i) data_q <= channel_i;
      else if (begin_i) data_q <= '0;
    end
  end

  assign data_o = data_q;
endmodule
