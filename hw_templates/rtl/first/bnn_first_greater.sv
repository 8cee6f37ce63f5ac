// Whether a number of up to three bits is greater than another: one LUT of bnn_first_most_part
//
// A module of its own, so that it stays one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_first_greater #(
    parameter int unsigned Bits = 3
) (
    input  logic [Bits-1:0] a_i,
    input  logic [Bits-1:0] b_i,
    output logic            greater_o
);
  // As gates, for no carry chain
  always_comb begin
    greater_o = 1'b0;
    for (int unsigned i = 0; i < Bits; i++) greater_o = (a_i[i] & ~b_i[i]) | ((a_i[i] ~^ b_i[i]) & greater_o);
  end
endmodule
