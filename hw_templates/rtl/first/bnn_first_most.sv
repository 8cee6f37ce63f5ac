// Maximum of the sums of a channel of the first layer
//
//   most_o = maximum of sum_i over the sums of valid ones from first on
//
// Latency: most_o 2 cycles after sum_i, which valid_i and first_i come with. A module of its own, so that its logic is
// made for speed.
(* keep_hierarchy = "yes" *)
module bnn_first_most (
    input  logic               clk_i,
    input  logic               valid_i,
    input  logic               first_i,
    input  logic signed [13:0] sum_i,
    output logic signed [13:0] most_o
);
  logic valid_q, first_q;
  logic [13:0] sum_q, most_q;
  logic [15:0] here, most;

  // As numbers without a sign: the signs change places, and what makes the sum the maximum lies above them. So the
  // enable is the carry chain's end, and no LUT lies behind it.
  assign here = {valid_q, first_q, most_q[13], sum_q[12:0]};
  assign most = {2'b10, sum_q[13], most_q[12:0]};

  always_ff @(posedge clk_i) begin
    valid_q <= valid_i;
    first_q <= first_i;
    sum_q   <= sum_i;
    if (here >= most) most_q <= sum_q;
  end

  assign most_o = most_q;
endmodule
