// Maximum of the sums of a channel of the first layer
//
//   most_o = maximum of sum_i over the sums of valid ones from first on
//
// The upper bits are compared first, the next ones a cycle later: a sum and the maximum it may become are compared in
// one cycle, few bits of them in LUTs.
//
// Latency: most_o 4 cycles after sum_i, which valid_i and first_i come with.
(* keep_hierarchy = "yes" *)
module bnn_first_most (
    input  logic               clk_i,
    input  logic               valid_i,
    input  logic               first_i,
    input  logic signed [13:0] sum_i,
    output logic signed [13:0] most_o
);
  logic [13:0] number;  // as one without a sign
  logic [9:0] low_q;  // as far as the bits above are compared before
  logic [5:0] low_d_q, low;
  logic [3:0] high, high_q, high_d_q, middle, middle_q;
  logic [1:0] forces, maybes, unused;

  assign number = {~sum_i[13], sum_i[12:0]};

  bnn_first_most_part #(
      .Bits(4)
  ) u_high (
      .clk_i,
      .force_i (valid_i & first_i),
      .maybe_i (valid_i & ~first_i),
      .number_i(number[13:10]),
      .force_o (forces[0]),
      .maybe_o (maybes[0]),
      .most_o  (high)
  );
  bnn_first_most_part #(
      .Bits(4)
  ) u_middle (
      .clk_i,
      .force_i (forces[0]),
      .maybe_i (maybes[0]),
      .number_i(low_q[9:6]),
      .force_o (forces[1]),
      .maybe_o (maybes[1]),
      .most_o  (middle)
  );
  bnn_first_most_part #(
      .Bits(6)
  ) u_low (
      .clk_i,
      .force_i (forces[1]),
      .maybe_i (maybes[1]),
      .number_i(low_d_q),
      .force_o (unused[0]),
      .maybe_o (unused[1]),
      .most_o  (low)
  );

  always_ff @(posedge clk_i) begin
    low_q    <= number[9:0];
    low_d_q  <= low_q[5:0];
    high_q   <= high;
    high_d_q <= high_q;
    middle_q <= middle;
  end

  assign most_o = {~high_d_q[3], high_d_q[2:0], middle_q, low};

  logic unused_most;
  assign unused_most = ^unused;
endmodule
