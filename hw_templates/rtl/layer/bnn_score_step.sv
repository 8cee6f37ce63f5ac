// What ends with the copy of a pair of classes in bnn_score
//
// Apart from its adders, so that each of these is one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_score_step (
    input  logic start_i,
    input  logic copy_i,
    input  logic pair_last_i,  // of the block
    input  logic block_last_i,  // of the group
    output logic pair_end_o,
    output logic group_end_o,
    output logic begin_pairs_o,
    output logic begin_group_o
);
  assign pair_end_o    = copy_i & pair_last_i;
  assign group_end_o   = copy_i & pair_last_i & block_last_i;
  assign begin_pairs_o = start_i | (copy_i & pair_last_i);
  assign begin_group_o = start_i | (copy_i & pair_last_i & block_last_i);
endmodule
