// A flag of the turn at hand in bnn_vector
//
// With clear_i, of a channel's first turn, first_i, else with go_i, of the one after this, next_i, else it stays. Latency: 1 cycle. A module of its own, and written as gates, as clear_i and go_i come late.
(* keep_hierarchy = "yes" *)
module bnn_vector_flag (
    input  logic clk_i,
    input  logic clear_i,
    input  logic go_i,
    input  logic first_i,
    input  logic next_i,
    output logic flag_o
);
  (* keep = "true" *) logic flag_q;

  always_ff @(posedge clk_i) begin
    flag_q <= (clear_i & first_i) | (~clear_i & go_i & next_i) | (~clear_i & ~go_i & flag_q);
  end

  assign flag_o = flag_q;
endmodule
