// Whether the results of a block of bnn_vector end
//
// Apart from bnn_vector_step, so that this is one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_vector_end (
    input  logic phase_last_i,
    input  logic plane_last_i,
    input  logic column_last_i,
    output logic result_end_o
);
  assign result_end_o = phase_last_i & plane_last_i & column_last_i;
endmodule
