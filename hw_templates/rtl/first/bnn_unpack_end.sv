// Where bnn_unpack's pixels begin: behind the next one, which begins at begin_i, sum_o, and whether the one there lies in
// both beats
//
// Each one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_unpack_end (
    input  logic [2:0] begin_i,
    input  logic [2:0] channels_i,
    output logic [3:0] sum_o,
    output logic       wide_o
);
  always_comb begin
    sum_o  = '0;
    wide_o = 1'b0;
    for (int unsigned n = 0; n < 64; n++) begin
      if ({begin_i, channels_i} == 6'(n)) begin
        sum_o  = 4'((n >> 3) + n % 8);
        wide_o = ((n >> 3) + n % 8) % 8 + n % 8 > 8;
      end
    end
  end
endmodule
