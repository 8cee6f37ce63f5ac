// A map of Words words of Bits bits as one vector, word 0 least significant, for the dense layer after it.
//
// valid_o is high in the cycle after the map's last word, which emit_o announces; vector_o keeps its value until
// the next word is taken. ready_i holds the words back.
module wired_collect #(
    parameter int unsigned Bits = 8,
    parameter int unsigned Words = 4
) (
    input  logic                   clk_i,
    input  logic                   rst_ni,
    input  logic                   valid_i,
    input  logic [Bits-1:0]        word_i,
    input  logic                   ready_i,
    output logic                   emit_o,
    output logic                   valid_o,
    output logic [Words*Bits-1:0]  vector_o
);
  localparam int unsigned CountBits = $clog2(Words + 1);
  logic [CountBits-1:0] count_q;
  logic take;

  assign take = valid_i && ready_i;
  assign emit_o = take && count_q == CountBits'(Words - 1);
  always_ff @(posedge clk_i) begin
    if (take) vector_o <= (Words * Bits)'({word_i, vector_o} >> Bits);
    if (!rst_ni) begin
      count_q <= '0;
      valid_o <= 1'b0;
    end else begin
      valid_o <= emit_o;
      if (take) count_q <= count_q == CountBits'(Words - 1) ? '0 : count_q + 1'b1;
    end
  end
endmodule
