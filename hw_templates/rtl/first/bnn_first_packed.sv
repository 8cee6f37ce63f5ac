// Whether the first layer's writes take packed words: within a sub-batch, with pack_i
//
// A register behind one LUT, as the sub-batch's end comes late. Latency: 1 cycle.
(* keep_hierarchy = "yes" *)
module bnn_first_packed (
    input  logic clk_i,
    input  logic clear_i,
    input  logic pack_i,
    input  logic begin_i,
    input  logic active_i,
    input  logic end_i,
    output logic packed_o
);
  (* keep = "true" *) logic packed_q;

  always_ff @(posedge clk_i) packed_q <= ~clear_i & pack_i & (begin_i | (active_i & ~end_i));

  assign packed_o = packed_q;
endmodule
