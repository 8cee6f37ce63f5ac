// Whether bnn_first_columns is at work on an image in the next cycle
//
// Apart from what else the last column and row lead to, so that each is one LUT of them. No registers.
(* keep_hierarchy = "yes" *)
module bnn_first_columns_scan (
    input  logic clear_i,
    input  logic begin_i,
    input  logic scan_i,
    input  logic last_i,
    input  logic last_column_i,
    input  logic last_row_i,
    output logic scan_o,
    output logic idle_o  // or not
);
  assign idle_o = clear_i | ~(begin_i | (scan_i & ~(last_i & last_column_i & last_row_i)));
  assign scan_o = ~clear_i & (begin_i | (scan_i & ~(last_i & last_column_i & last_row_i)));
endmodule
