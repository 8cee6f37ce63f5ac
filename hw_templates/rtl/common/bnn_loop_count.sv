// A counter of bnn_loop: Start at first and again after its last value, else one more with each go_i.
//
// Every Part bits have an enable and a reset of their own, as their nets have many loads.
module bnn_loop_count
  import bnn_add_pkg::add;
#(
    parameter int unsigned Bits = 16,
    parameter int unsigned Gates = 1,
    parameter bit Again = 1'b1,  // bnn_loop
    parameter int unsigned Start = 0
) (
    input  logic             clk_i,
    input  logic             restart_i,
    input  logic [Gates-1:0] go_i,
    input  logic             last_i,
    output logic [Bits-1:0]  value_o
);
  localparam int unsigned Part = 8;

  logic [Bits-1:0] value_q, more;

  assign more = Bits'(add(32'(value_q), 32'd1));

  for (genvar i = 0; i < Bits; i += Part) begin : gen_part
    localparam int unsigned Here = (Bits - i < Part) ? Bits - i : Part;
    logic clear, step;  // back to Start, or any other step too

    if (Again) begin : gen_again
      bnn_loop_step #(
          .Gates(Gates + 1)
      ) u_clear (
          .restart_i,
          .go_i  ({go_i, last_i}),
          .step_o(clear)
      );
    end else begin : gen_once
      assign clear = restart_i;
    end
    bnn_loop_step #(
        .Gates(Gates)
    ) u_step (
        .restart_i,
        .go_i,
        .step_o(step)
    );

    always_ff @(posedge clk_i) begin
      if (clear) value_q[i+:Here] <= Here'(Start >> i);
      else if (step) value_q[i+:Here] <= more[i+:Here];
    end
  end

  assign value_o = value_q;

  logic unused_last;
  assign unused_last = last_i;
endmodule
