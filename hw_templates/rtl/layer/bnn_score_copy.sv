// Whether a pair of classes in bnn_score is copied, a lane of it is done, or either
//
// Apart, as these have many loads and are there twice. No registers.
(* keep_hierarchy = "yes" *)
module bnn_score_copy (
    input  logic ready_i,  // bnn_score_step
    input  logic emit_i,
    input  logic score_ready_i,
    input  logic whole_i,  // the beat is the lane's last
    input  logic over_i,
    output logic copy_o,
    output logic leave_o,
    output logic move_o
);
  assign copy_o  = ready_i & (~emit_i | (score_ready_i & over_i));
  assign leave_o = emit_i & score_ready_i & whole_i;
  assign move_o  = (ready_i & ~emit_i) | (score_ready_i & ((ready_i & over_i) | (emit_i & whole_i)));
endmodule
