// Flag of a loop's last value
//
// With restart_i it is one_i; after a value that is left, with all bits of go_i, one_i if that was the last, else next_i.
// Latency: 1 cycle. A module of its own, so that it is made from its inputs alone, and a register that stays one of its
// own, as bnn_register; written as gates, as an enable would be one more net.
(* keep_hierarchy = "yes" *)
module bnn_loop_last #(
    parameter int unsigned Gates = 1
) (
    input  logic             clk_i,
    input  logic             restart_i,
    input  logic [Gates-1:0] go_i,
    input  logic             one_i,
    input  logic             next_i,
    output logic             last_o
);
  (* keep = "true" *) logic last_q;
  logic go;

  assign go = &go_i;

  always_ff @(posedge clk_i) begin
    last_q <= (restart_i & one_i) | (~restart_i & ((go & last_q & one_i) | (go & ~last_q & next_i) | (~go & last_q)));
  end

  assign last_o = last_q;
endmodule
