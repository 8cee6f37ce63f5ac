// What ends with a cycle of bnn_vector: a block of values, and with it all of a pool or a group, or a column and its
// results
//
// Apart from counters and adders, so that none of these stands behind more than two LUTs. No registers.
(* keep_hierarchy = "yes" *)
module bnn_vector_step (
    // Values
    input  logic run_i,
    input  logic score_wait_i,  // the turn waits for the scores of the channel before
    input  logic score_over_i,
    input  logic port_i,  // a result takes the port
    input  logic port_wait_i,  // the turn needs it
    input  logic turn_last_i,  // of the channel
    input  logic channel_last_i,  // of the block
    input  logic pool_last_i,  // the block is the pool's last
    input  logic group_last_i,  // and that the group's
    output logic block_end_o,
    output logic pool_end_o,
    output logic group_end_o,
    // Results
    input  logic phase_last_i,
    input  logic plane_last_i,
    output logic column_end_o
);
  assign block_end_o = run_i & channel_last_i & turn_last_i & ~(score_wait_i & ~score_over_i)
      & ~(port_i & port_wait_i);
  assign pool_end_o = block_end_o & pool_last_i;
  assign group_end_o = block_end_o & pool_last_i & group_last_i;
  assign column_end_o = phase_last_i & plane_last_i;
endmodule
