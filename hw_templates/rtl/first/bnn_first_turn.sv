// Whether the first layer may begin an image: at most two sub-batches are begun and not consumed.
//
// clear_i, before a run, begins again; run_i is high during a run of count_i images in sub-batches of
// sub_batch_i, both constant from the cycle before clear_i on. some_o: the sub-batch at work has an image that is not
// begun; begin_i, at most every other cycle, begins it. consumed_i is a pulse when the array has read a sub-batch.
//
// Latency: some_o follows begin_i by one cycle, at the start of a run and of a sub-batch it comes four later.
module bnn_first_turn
  import bnn_add_pkg::add;
(
    input  logic        clk_i,
    input  logic        rst_i,
    input  logic        clear_i,
    input  logic        run_i,
    input  logic [31:0] count_i,
    input  logic [15:0] sub_batch_i,
    input  logic        begin_i,
    input  logic        consumed_i,
    output logic        some_o
);
  logic [1:0] ahead_q;  // sub-batches begun and not consumed
  logic [31:0] left;  // images of the sub-batches not begun
  logic [15:0] images_q, less_q, next;  // images of the sub-batch not begun, one less, of the next one
  logic some_q, some_d, some_late, last_q, left_some_q, sub_begin, step;  // some_late: some_q again, for images_q
  logic [1:0] begins;  // sub_begin, twice
  logic [2:0] settle_q;  // ones: cycles since next changed

  // A cycle late: two sub-batches begin six cycles apart or more.
  bnn_register u_step (
      .clk_i,
      .data_i(sub_begin),
      .data_o(step)
  );

  bnn_sub_batch u_begun (
      .clk_i,
      .restart_i(clear_i),
      .step_i   (step),
      .count_i,
      .size_i   (sub_batch_i),
      .left_o   (left),
      .images_o (next)
  );

  for (genvar i = 0; i < 2; i++) begin : gen_begin
    bnn_first_turn_begin u_begin (
        .some_i     (some_q),
        .settled_i  (settle_q[2]),
        .left_some_i(left_some_q),
        .ahead_i    (ahead_q[1]),
        .begin_o    (begins[i])
    );
  end

  assign sub_begin = begins[0];
  assign some_d = ~rst_i & ~clear_i & (begins[1] | (some_q & ~(begin_i & last_q)));

  bnn_register u_some (
      .clk_i,
      .data_i(some_d),
      .data_o(some_late)
  );

  always_ff @(posedge clk_i) begin
    some_q      <= some_d;
    left_some_q <= left != '0;
    less_q      <= 16'(add(32'(images_q), '1));
    if (~some_late) begin  // up to sub_begin, when next has settled
      images_q <= next;
      last_q   <= next == 16'd1;
    end else if (begin_i) begin
      images_q <= less_q;
      last_q   <= images_q == 16'd2;
    end
    if (rst_i || clear_i) begin
      ahead_q  <= '0;
    end else begin
      ahead_q  <= ahead_q + 2'(sub_begin) - 2'(consumed_i);
    end
    settle_q <= {settle_q[1:0], run_i} & {3{~clear_i & ~begin_i}};
  end

  assign some_o = some_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i || clear_i);

  begin_with_some: assert property (begin_i |-> some_o)
      else $error("begin_i without some_o");
  begin_apart: assert property (begin_i |=> !begin_i)
      else $error("begin_i in two cycles, one after the other");
  consumed_is_begun: assert property (consumed_i |-> ahead_q != '0)
      else $error("consumed_i without a sub-batch that is begun");
  ahead_limited: assert property (ahead_q <= 2'd2)
      else $error("%0d sub-batches are begun and not consumed", ahead_q);
`endif
endmodule
