// One loop of a nest: a value from 0 to limit_i - 1, and a flag for the last one.
//
// go_i, all bits of it, goes on to the next value, after the last one to 0, without Again only with restart_i, which goes
// to 0 at any time. limit_i is at least 1 and constant from the cycle before restart_i on.
//
// Latency: outputs follow by one cycle. What is compared with the limit counts two ahead of the value, so that no
// comparison lies between the loops of a nest; without Value value_o is 0, and there is no counter for it.
// last_o has registers of its own for each of Copies. None of them, nor the counters' enable or reset, is made from
// another of these: their nets have many loads.
(* keep_hierarchy = "yes" *)
module bnn_loop #(
    parameter int unsigned Bits = 16,
    parameter int unsigned Gates = 1,
    parameter bit Value = 1'b1,
    parameter bit Again = 1'b1,
    parameter int unsigned Copies = 1
) (
    input  logic              clk_i,
    input  logic              restart_i,
    input  logic [Gates-1:0]  go_i,
    input  logic [Bits-1:0]   limit_i,
    output logic [Bits-1:0]   value_o,
    output logic [Copies-1:0] last_o
);
  logic [Bits-1:0] ahead;
  logic one_q, next;  // next: the next value is the last
  logic [Copies:0] last;  // the highest for the counters

  always_ff @(posedge clk_i) one_q <= limit_i == Bits'(1);

  bnn_loop_count #(
      .Bits (Bits),
      .Gates(Gates),
      .Again(Again),
      .Start(2)
  ) u_ahead (
      .clk_i,
      .restart_i,
      .go_i,
      .last_i (last[Copies]),
      .value_o(ahead)
  );

  if (Value) begin : gen_value
    bnn_loop_count #(
        .Bits (Bits),
        .Gates(Gates),
        .Again(Again)
    ) u_value (
        .clk_i,
        .restart_i,
        .go_i,
        .last_i (last[Copies]),
        .value_o
    );
  end else begin : gen_no_value
    assign value_o = '0;
  end

  bnn_equal #(
      .Bits(Bits)
  ) u_next (
      .a_i    (ahead),
      .b_i    (limit_i),
      .equal_o(next)
  );

  for (genvar i = 0; i <= Copies; i++) begin : gen_last
    bnn_loop_last #(
        .Gates(Gates)
    ) u_last (
        .clk_i,
        .restart_i,
        .go_i,
        .one_i (one_q),
        .next_i(next),
        .last_o(last[i])
    );
  end

  assign last_o = last[Copies-1:0];

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking

  logic [Bits-1:0] limit_q, limit_before_q, limit_at_q;

  always_ff @(posedge clk_i) begin
    limit_q <= limit_i;
    if (restart_i) {limit_before_q, limit_at_q} <= {limit_q, limit_i};
  end

  limit_not_zero: assert property (&go_i |-> limit_i != '0)
      else $error("limit_i is 0");
  limit_constant: assert property (&go_i |-> limit_i == limit_at_q && limit_i == limit_before_q)
      else $error("limit_i = %0d, was %0d with restart_i and %0d before it", limit_i, limit_at_q, limit_before_q);
`endif
endmodule
