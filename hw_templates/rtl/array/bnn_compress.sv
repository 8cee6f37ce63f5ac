// Number of ones of up to six bits: a LUT6 for each bit of it
//
// A module of its own, so that two in a row stay two LUTs. No registers.
(* keep_hierarchy = "yes" *)
module bnn_compress #(
    parameter int unsigned Bits = 6
) (
    input  logic [Bits-1:0] bit_i,
    output logic [2:0]      count_o
);
  localparam logic [63:0] Ones0 = 64'h6996966996696996;
  localparam logic [63:0] Ones1 = 64'h8117177E177E7EE8;
  localparam logic [63:0] Ones2 = 64'hFEE8E880E8808000;

  logic [5:0] word;

  assign word = 6'(bit_i);
  assign count_o = {Ones2[word], Ones1[word], Ones0[word]};
endmodule
