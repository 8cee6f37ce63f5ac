// A word, filled byte after byte: with write_i byte_i goes where here_i, one-hot, has its bit; the first one clears
// the others.
//
// Latency: 1 cycle. A module of its own, so that no register of who writes drives all of it.
(* keep_hierarchy = "yes" *)
module bnn_first_word #(
    parameter int unsigned Simd = 64,
    localparam int unsigned Bytes = Simd / 8
) (
    input  logic             clk_i,
    input  logic             write_i,
    input  logic [Bytes-1:0] here_i,
    input  logic [7:0]       byte_i,
    output logic [Simd-1:0]  word_o
);
  logic [Simd-1:0] word_q;

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Bytes; i++) begin
      if (write_i && here_i[i]) word_q[8*i+:8] <= byte_i;
      else if (write_i && here_i[0]) word_q[8*i+:8] <= '0;
    end
  end

  assign word_o = word_q;
endmodule
