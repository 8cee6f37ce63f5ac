// Some bits of bnn_first_most, behind those above them
//
//   most_o = force_i, or with maybe_i a number greater than most_o was: that number
//
// force_o and maybe_o tell the bits below a cycle later: the number was taken, or is equal so far.
// Latency: number_i, force_i and maybe_i come in one cycle, most_o in the next but one.
module bnn_first_most_part #(
    parameter int unsigned Bits = 4  // 2, 4 or 6
) (
    input  logic            clk_i,
    input  logic            force_i,
    input  logic            maybe_i,
    input  logic [Bits-1:0] number_i,
    output logic            force_o,
    output logic            maybe_o,
    output logic [Bits-1:0] most_o
);
  localparam int unsigned Half = Bits / 2;

  logic force_q, maybe_q, take;
  logic [1:0] greater, equal;  // the lower half, the upper one
  logic [Bits-1:0] number_q, most_q;

  for (genvar i = 0; i < 2; i++) begin : gen_part
    bnn_first_greater #(
        .Bits(Half)
    ) u_greater (
        .a_i      (number_q[i*Half+:Half]),
        .b_i      (most_q[i*Half+:Half]),
        .greater_o(greater[i])
    );
    bnn_equal_part #(
        .Bits(Half)
    ) u_equal (
        .a_i    (number_q[i*Half+:Half]),
        .b_i    (most_q[i*Half+:Half]),
        .equal_o(equal[i])
    );
  end

  assign take = force_q | (maybe_q & (greater[1] | (equal[1] & greater[0])));

  always_ff @(posedge clk_i) begin
    force_q  <= force_i;
    maybe_q  <= maybe_i;
    number_q <= number_i;
    if (take) most_q <= number_q;
  end

  assign force_o = take;
  assign maybe_o = maybe_q & (&equal);
  assign most_o  = most_q;
endmodule
