// A counter of bnn_loop: Start at first and again after its last value, else one more with each go_i.
//
// Every Part bits have an enable of their own, as its net has many loads; restart_i is a reset, with nothing before it.
module bnn_loop_count #(
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

  logic [Bits-1:0] value_q, next;

  bnn_loop_next #(
      .Bits (Bits),
      .Start(Start)
  ) u_next (
      .clk_i,
      .value_i(value_q),
      .again_i(last_i & Again),
      .next_o (next)
  );

  for (genvar i = 0; i < Bits; i += Part) begin : gen_part
    localparam int unsigned Here = (Bits - i < Part) ? Bits - i : Part;
    logic step;

    bnn_loop_step #(
        .Gates(Gates)
    ) u_step (
        .go_i,
        .step_o(step)
    );

    always_ff @(posedge clk_i) begin
      if (restart_i) value_q[i+:Here] <= Here'(Start >> i);
      else if (step) value_q[i+:Here] <= next[i+:Here];
    end
  end

  assign value_o = value_q;
endmodule
