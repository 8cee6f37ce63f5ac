// Copy and leave of bnn_score_step again, as they have many loads
//
// No registers.
(* keep_hierarchy = "yes" *)
module bnn_score_copy (
    input  logic ready_i,
    input  logic emit_i,
    input  logic score_ready_i,
    input  logic whole_i,
    input  logic over_i,
    output logic copy_o,
    output logic leave_o,
    output logic move_o  // either of both
);
  assign copy_o  = ready_i & (~emit_i | (score_ready_i & over_i));
  assign leave_o = emit_i & score_ready_i & whole_i;
  assign move_o  = (ready_i & ~emit_i) | (score_ready_i & ((ready_i & over_i) | (emit_i & whole_i)));
endmodule
