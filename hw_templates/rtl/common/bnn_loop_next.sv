// What a counter of bnn_loop goes on to: one more, as bnn_next has it, or Start again.
//
// Apart, so that synthesis makes no reset of the latter: that would come late.
(* keep_hierarchy = "yes" *)
module bnn_loop_next
  import bnn_add_pkg::Part, bnn_add_pkg::more;
#(
    parameter int unsigned Bits = 16,
    parameter int unsigned Start = 0
) (
    input  logic            clk_i,
    input  logic [Bits-1:0] value_i,
    input  logic            again_i,
    output logic [Bits-1:0] next_o
);
  localparam int unsigned Parts = (Bits + Part - 1) / Part;

  logic [Parts-1:0] carry, full_q;

  assign carry[0] = 1'b1;
  assign full_q[Parts-1] = 1'b0;

  for (genvar p = 1; p < Parts; p++) begin : gen_part
    always_ff @(posedge clk_i) full_q[p-1] <= &value_i[(p-1)*Part+:Part];
    assign carry[p] = (&value_i[Part-1:0]) & ((p == 1) | (&(full_q | ~((Parts'(1) << p) - Parts'(2)))));
  end

  assign next_o = again_i ? Bits'(Start) : Bits'(more(64'(value_i), 16'(carry)));

  logic unused_full;
  assign unused_full = ^full_q;
endmodule
