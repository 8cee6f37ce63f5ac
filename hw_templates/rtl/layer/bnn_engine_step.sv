// Whether bnn_engine takes the next step, and what ends with it
//
// Apart from what hangs on that, so that each of these is one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_engine_step (
    input  logic valid_i,  // there is a step
    input  logic run_i,
    input  logic pending_i,
    input  logic hold_i,  // it waits while something is pending
    input  logic group_last_i,  // the group's last one
    input  logic pop_i,  // what a group's end goes on to: none may follow it yet
    input  logic row_end_i,  // none may follow it before the first layer has done more rows
    input  logic one_by_one_i,  // sums leave the array one by one while the next ones are begun, scores before
    input  logic final_i,  // the last one of a block of these
    input  logic last_i,  // of a sum
    output logic step_o,
    output logic group_end_o,
    output logic pop_end_o,
    output logic run_end_o,
    output logic final_end_o,
    output logic sum_end_o
);
  assign step_o      = valid_i & run_i & ~(pending_i & hold_i);
  assign group_end_o = valid_i & run_i & ~(pending_i & hold_i) & group_last_i;
  assign pop_end_o   = valid_i & run_i & ~(pending_i & hold_i) & group_last_i & pop_i;
  assign run_end_o   = valid_i & run_i & ~(pending_i & hold_i) & (group_last_i | row_end_i);
  assign final_end_o = valid_i & run_i & ~(pending_i & hold_i) & one_by_one_i & final_i;
  assign sum_end_o   = valid_i & run_i & ~(pending_i & hold_i) & last_i;
endmodule
