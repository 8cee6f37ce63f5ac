// Whether bnn_first_columns is at work on an image in the next cycle
//
// Apart from what else the last column and row lead to, so that it is one LUT of them. No registers.
(* keep_hierarchy = "yes" *)
module bnn_first_columns_scan #(
    parameter bit Idle = 1'b0
) (
    input  logic clear_i,
    input  logic begin_i,
    input  logic scan_i,
    input  logic last_i,
    input  logic last_column_i,
    input  logic last_row_i,
    output logic scan_o  // with Idle the opposite
);
  assign scan_o = Idle ^ (~clear_i & (begin_i | (scan_i & ~(last_i & last_column_i & last_row_i))));
endmodule
