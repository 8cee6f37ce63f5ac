// Whether bnn_vector_score takes a score, and what ends with that
//
// Apart from its adders, so that each of these is one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_vector_score_step (
    input  logic busy_i,
    input  logic next_i,  // the units have moved on
    input  logic ready_i,
    input  logic absent_i,  // the unit's class
    input  logic lane_last_i,
    output logic emit_o,
    output logic unit_end_o,  // with the unit's last score
    output logic begin_o,  // the first lane is next
    output logic move_o  // that, or the lane after this one
);
  assign emit_o     = busy_i & next_i & ready_i;
  assign unit_end_o = busy_i & next_i & ready_i & (absent_i | lane_last_i);
  assign begin_o    = ~busy_i | (next_i & ready_i & (absent_i | lane_last_i));
  assign move_o     = ~busy_i | (next_i & ready_i);
endmodule
