// Whether a pop leads to the end of a program that stays
//
// A module of its own, so that it is two LUTs deep. No registers.
(* keep_hierarchy = "yes" *)
module bnn_weight_ring_end #(
    parameter int unsigned Bits = 11
) (
    input  logic            hold_i,
    input  logic [Bits-1:0] base_next_i,
    input  logic [Bits-1:0] words_i,
    output logic            end_o
);
  logic equal;

  bnn_equal #(
      .Bits(Bits)
  ) u_equal (
      .a_i    (base_next_i),
      .b_i    (words_i),
      .equal_o(equal)
  );

  assign end_o = hold_i & equal;
endmodule
