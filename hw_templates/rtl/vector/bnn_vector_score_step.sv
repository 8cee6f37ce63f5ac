// Whether the first lane is next in bnn_vector_score: no channel is at work, or the unit's last score leaves
//
// A module of its own, so that this is one LUT: it has many loads. No registers.
(* keep_hierarchy = "yes" *)
module bnn_vector_score_step (
    input  logic busy_i,
    input  logic emit_i,
    input  logic absent_i,  // the unit's class
    input  logic lane_last_i,
    output logic begin_o
);
  assign begin_o = ~busy_i | (emit_i & (absent_i | lane_last_i));
endmodule
