// Whether bnn_first_pack has a beat that goes on next, or with ready_i low no beat
//
// A module of its own, so that it stays one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_first_pack_go (
    input  logic stop_i,
    input  logic begin_i,
    input  logic on_i,  // behind another one
    input  logic again_i,  // as soon as there is no word
    input  logic next_i,
    input  logic ready_i,
    output logic go_o
);
  assign go_o = ~stop_i & (~ready_i | begin_i | on_i | (again_i & next_i));
endmodule
