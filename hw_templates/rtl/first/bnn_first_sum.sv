// Sum of the numbers of nine taps, two at a time.
//
// number_i[t*Bits +: Bits] is a number without a sign; sum_o is modulo 2^SumBits.
// The lowest bits are counted apart, so that the carry chains are shorter by one.
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
  logic [FirstTaps-1:0][Bits-2:0] high;  // without the lowest bits
  logic [3:0][Bits-1:0] two_q;  // of two taps each
  logic [Bits-2:0] last_q;  // of the ninth
  logic [Bits:0] four_q, three_q, more_q;
  logic [Bits-1:0] rest_q;
  logic [Bits+1:0] six_q;
  logic [SumBits-2:0] sum_q;
  // Of the lowest bits: the sums of three; the upper bits of that of all nine; the lowest one, in two parts, in one
  logic [2:0][1:0] ones_q;
  logic [2:0] count_q;
  logic [3:0] twos;  // what those sums have of them
  logic [1:0] parts_q, low_q;

  assign twos = {ones_q[2][1], ones_q[1][1], ones_q[0][1], (ones_q[0][0] & ones_q[1][0])
      | ((ones_q[0][0] | ones_q[1][0]) & ones_q[2][0])};

  always_comb begin
    for (int unsigned t = 0; t < FirstTaps; t++) high[t] = number_i[t*Bits+1+:Bits-1];
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < 4; i++) two_q[i] <= Bits'(add(32'(high[2*i]), 32'(high[2*i+1])));
    for (int unsigned i = 0; i < 3; i++) begin
      ones_q[i][0] <= number_i[3*i*Bits] ^ number_i[(3*i+1)*Bits] ^ number_i[(3*i+2)*Bits];
      ones_q[i][1] <= (number_i[3*i*Bits] & number_i[(3*i+1)*Bits])
          | ((number_i[3*i*Bits] | number_i[(3*i+1)*Bits]) & number_i[(3*i+2)*Bits]);
    end
    last_q  <= high[8];
    four_q  <= (Bits + 1)'(add(32'(two_q[0]), 32'(two_q[1])));
    three_q <= (Bits + 1)'(add(32'(two_q[2]), 32'(last_q)));
    rest_q  <= two_q[3];
    count_q <= {&twos, (&twos[1:0]) ^ (&twos[3:2]) ^ ((^twos[1:0]) & (^twos[3:2])), ^twos};
    parts_q <= {ones_q[2][0], ones_q[1][0] ^ ones_q[0][0]};
    six_q   <= (Bits + 2)'(add(32'(four_q), 32'(rest_q)));
    more_q  <= (Bits + 1)'(add(32'(three_q), 32'(count_q)));
    sum_q   <= (SumBits - 1)'(add(32'(six_q), 32'(more_q)));
    low_q   <= {low_q[0], ^parts_q};
  end

  assign sum_o = {sum_q, low_q[1]};
endmodule
