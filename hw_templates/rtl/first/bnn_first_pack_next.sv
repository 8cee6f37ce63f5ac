// Whether bnn_first_pack has no word that waits: there is none, or the last plane of it is taken
//
// A module of its own, so that it stays one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_first_pack_next (
    input  logic       word_i,
    input  logic       plane_last_i,
    input  logic [1:0] taken_i,
    output logic       next_o
);
  assign next_o = ~word_i | (plane_last_i & (&taken_i));
endmodule
