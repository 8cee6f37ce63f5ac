// The beat of bnn_score in the next cycle: whether its lane is the pair's last, the beat its lane's last, and both
//
// Apart from the enables and resets that synthesis would make of the copy, which comes late and has many loads.
// No registers.
(* keep_hierarchy = "yes" *)
module bnn_score_beat (
    input  logic ready_i,  // as those of bnn_score_step
    input  logic emit_i,
    input  logic score_ready_i,
    input  logic emit_last_i,  // of the beat at hand
    input  logic whole_i,
    input  logic over_i,
    input  logic first_last_i,  // of the first beat of the next pair
    input  logic first_whole_i,
    input  logic next_last_i,  // of the first beat of the next lane
    input  logic next_whole_i,
    output logic emit_last_o,
    output logic whole_o,
    output logic over_o
);
  logic copy, emit, leave;

  assign copy = ready_i & (~emit_i | (score_ready_i & over_i));
  assign emit = emit_i & score_ready_i;
  assign leave = emit & whole_i;

  assign emit_last_o = copy ? first_last_i : leave ? next_last_i : emit_last_i;
  assign whole_o = copy ? first_whole_i : leave ? next_whole_i : emit | whole_i;
  assign over_o = copy ? first_last_i & first_whole_i : leave ? next_last_i & next_whole_i
      : emit ? emit_last_i : over_i;
endmodule
