// What the beats and the copy of a pair of classes in bnn_score lead to, but for what bnn_score_copy has
//
// Apart from its adders, so that each of these is one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_score_step (
    input  logic start_i,
    input  logic ready_i,  // the next pair's sums
    input  logic emit_i,  // beats of a pair; ready for them
    input  logic score_ready_i,
    input  logic over_i,  // the beat is the lane's last, and the lane the last
    input  logic pair_last_i,  // of the block; of the group
    input  logic group_last_i,
    input  logic valid_i,  // sums of a block come
    input  logic settled_i,  // those of the next pair are there, where none was before
    output logic emit_o,
    output logic ready_o,  // the next pair's sums are there, in the next cycle
    output logic pair_end_o,
    output logic group_end_o,
    output logic begin_pairs_o,
    output logic begin_group_o
);
  assign emit_o        = emit_i & score_ready_i;
  assign ready_o       = ~valid_i & (ready_i ? emit_i & ~(score_ready_i & over_i) : settled_i);
  assign pair_end_o    = ready_i & (~emit_i | (score_ready_i & over_i)) & pair_last_i;
  assign group_end_o   = ready_i & (~emit_i | (score_ready_i & over_i)) & group_last_i;
  assign begin_pairs_o = start_i | (ready_i & (~emit_i | (score_ready_i & over_i)) & pair_last_i);
  assign begin_group_o = start_i | (ready_i & (~emit_i | (score_ready_i & over_i)) & group_last_i);
endmodule
