// Images of the next sub-batch of a run, and of all that are left with it.
//
// restart_i begins a run of count_i images, constant from then on; step_i goes on to the sub-batch after the next; size_i,
// constant from a cycle before restart_i on, is that of all but the last. step_i comes four cycles after restart_i or the last one, or later. Latency: left_o 1
// cycle, images_o 4 from either.
module bnn_sub_batch (
    input  logic        clk_i,
    input  logic        restart_i,
    input  logic        step_i,
    input  logic [31:0] count_i,
    input  logic [15:0] size_i,
    output logic [31:0] left_o,
    output logic [15:0] images_o
);
  logic [31:0] left_q;
  logic [15:0] size_q;
  logic [15:0] low_q, high_q, images_q;  // low_q, high_q: left_q without size_i
  logic borrow_q, small_q;  // below the upper half; size_i is more than left_q

  // The lower half is done a cycle before the upper one, so that no carry goes through both.
  always_ff @(posedge clk_i) begin
    size_q            <= size_i;
    {borrow_q, low_q} <= {1'b0, left_q[15:0]} - {1'b0, size_q};
    {small_q, high_q} <= {1'b0, left_q[31:16]} - 17'(borrow_q);
    images_q          <= small_q ? left_q[15:0] : size_q;
    // Gates, as an enable would be one more net
    left_q <= ({32{restart_i}} & count_i) | ({32{~restart_i & ~step_i}} & left_q)
        | ({32{~restart_i & step_i & ~small_q}} & {high_q, low_q});
  end

  assign left_o   = left_q;
  assign images_o = images_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking

  logic [2:0] recent_q;  // ones: cycles in which restart_i or step_i was high

  always_ff @(posedge clk_i) recent_q <= {recent_q[1:0], restart_i | step_i};

  step_settled: assert property (step_i && !restart_i |-> recent_q == '0)
      else $error("step_i less than four cycles after restart_i or step_i");
`endif
endmodule
