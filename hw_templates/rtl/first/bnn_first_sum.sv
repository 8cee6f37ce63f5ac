// Sum of the numbers of nine taps, two at a time.
//
// number_i[t*Bits +: Bits] is a number without a sign; sum_o is modulo 2^SumBits.
// Latency: 4 cycles. One sum per cycle, data only, no reset.
module bnn_first_sum
  import bnn_pkg::*;
  import bnn_add_pkg::add;
#(
    parameter int unsigned Bits = 10,
    parameter int unsigned SumBits = 13
) (
    input  logic                      clk_i,
    input  logic [FirstTaps*Bits-1:0] number_i,
    output logic [SumBits-1:0]        sum_o
);
  logic [3:0][Bits:0] two_q;  // of two taps each
  logic [Bits-1:0] last_q;  // of the ninth
  logic [Bits+1:0] four_q, three_q;
  logic [Bits:0] rest_q;
  logic [SumBits-1:0] six_q, sum_q;
  logic [Bits+1:0] more_q;  // three_q; no number is passed on three times, which would become a slow shift register

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < 4; i++) begin
      two_q[i] <= (Bits + 1)'(add(32'(number_i[2*i*Bits+:Bits]), 32'(number_i[(2*i+1)*Bits+:Bits])));
    end
    last_q  <= number_i[8*Bits+:Bits];
    four_q  <= (Bits + 2)'(add(32'(two_q[0]), 32'(two_q[1])));
    three_q <= (Bits + 2)'(add(32'(two_q[2]), 32'(last_q)));
    rest_q  <= two_q[3];
    six_q   <= SumBits'(add(32'(four_q), 32'(rest_q)));
    more_q  <= three_q;
    sum_q   <= SumBits'(add(32'(six_q), 32'(more_q)));
  end

  assign sum_o = sum_q;
endmodule
