// A word, filled byte after byte: byte_i goes where here, one-hot, has its bit; the first one clears the others.
// write_next_i and here_next_i come a cycle before the byte.
//
// Latency: 1 cycle. A module of its own, so that no register of who writes drives all of it.
(* keep_hierarchy = "yes" *)
module bnn_first_word #(
    parameter int unsigned Simd = 64,
    localparam int unsigned Bytes = Simd / 8
) (
    input  logic             clk_i,
    input  logic             write_next_i,
    input  logic [Bytes-1:0] here_next_i,
    input  logic [7:0]       byte_i,
    output logic [Simd-1:0]  word_o
);
  logic [Simd-1:0] word_q;
  logic write;
  logic [Bytes-1:0] here;

  bnn_register #(
      .Bits(1 + Bytes)
  ) u_control (
      .clk_i,
      .data_i({write_next_i, here_next_i}),
      .data_o({write, here})
  );

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Bytes; i++) begin
      if (write && here[i]) word_q[8*i+:8] <= byte_i;
      else if (write && here[0]) word_q[8*i+:8] <= '0;
    end
  end

  assign word_o = word_q;
endmodule
