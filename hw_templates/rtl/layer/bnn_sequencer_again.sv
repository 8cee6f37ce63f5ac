// What the taps of bnn_sequencer begin again at where the last of them ends
//
//   tap_o:    in the row that is half a pool lower, or for a further pass in that where it is
//   column_o: in the column that is half a pool to the right, with the row going on; right_o: in that one first
//
// Apart from the ends of the loops, so that each is one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_sequencer_again (
    input  logic       by_image_i,
    input  logic [1:0] pool_i,  // value of the pool's loop
    input  logic       last_ky_i,
    input  logic       last_inner_i,
    input  logic       last_outer_i,
    input  logic       last_pool_i,
    output logic       tap_o,
    output logic       column_o,
    output logic       right_o
);
  logic more, lower;

  assign more     = ~last_inner_i | ~last_outer_i;  // passes
  assign lower    = by_image_i ? pool_i[1] : pool_i[0];
  assign tap_o    = more ? lower : ~last_pool_i & (~by_image_i | (|pool_i));
  assign column_o = (~last_ky_i | more) & pool_i[0] & by_image_i;
  assign right_o  = ~last_pool_i & by_image_i & ~pool_i[0];
endmodule
