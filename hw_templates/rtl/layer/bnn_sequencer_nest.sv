// Which loops of a nest go on: the innermost with each step, each other one when all inside it are
// at their last value. There is a step whenever the place for the next one is free, or is left in this
// cycle:
//
//   step = busy_i & (~valid_i | (ready_i & ~(wait_i & hold_i)))
//
// Latency: none. A module of its own, so that its logic is made for speed.
(* keep_hierarchy = "yes" *)
module bnn_sequencer_nest #(
    parameter int unsigned Loops = 8
) (
    input  logic             busy_i,
    input  logic             valid_i,
    input  logic             ready_i,
    input  logic             wait_i,
    input  logic             hold_i,
    input  logic [Loops-1:0] last_i,  // from the innermost loop on
    output logic [Loops-1:0] go_o
);
  logic step;

  assign step = busy_i & (~valid_i | (ready_i & ~(wait_i & hold_i)));

  for (genvar i = 0; i < Loops; i++) begin : gen_loop
    if (i == 0) begin : gen_inner
      assign go_o[i] = step;
    end else begin : gen_outer
      assign go_o[i] = step & (&last_i[i-1:0]);
    end
  end

  logic unused_last;
  assign unused_last = last_i[Loops-1];
endmodule
