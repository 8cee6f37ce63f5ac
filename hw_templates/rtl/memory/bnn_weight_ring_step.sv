// When base of bnn_weight_ring goes back to word 0 with hold_i, and when available_o is 0 then
//
// Apart from the counters, so that each of these is one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_weight_ring_step (
    input  logic rst_i,
    input  logic clear_i,
    input  logic hold_i,
    input  logic rewind_i,
    input  logic pop_i,
    input  logic end_i,  // a pop is the last one of the program's words, with hold_i
    output logic rewind_o,
    output logic available_clear_o
);
  assign rewind_o          = (rewind_i & hold_i) | (pop_i & end_i);
  assign available_clear_o = rst_i | clear_i | (rewind_i & hold_i) | (pop_i & end_i);
endmodule
