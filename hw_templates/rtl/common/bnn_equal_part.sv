// Whether up to three bits of two numbers are equal: one LUT of bnn_equal
//
// A module of its own, so that it stays one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_equal_part #(
    parameter int unsigned Bits = 3
) (
    input  logic [Bits-1:0] a_i,
    input  logic [Bits-1:0] b_i,
    output logic            equal_o
);
  assign equal_o = a_i == b_i;
endmodule
