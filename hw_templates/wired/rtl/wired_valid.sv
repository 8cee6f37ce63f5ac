// The valid bit that travels beside an engine of Latency cycles, at least one.
module wired_valid #(
    parameter int unsigned Latency = 1
) (
    input  logic clk_i,
    input  logic rst_ni,
    input  logic valid_i,
    output logic valid_o
);
  logic [Latency:0] line_q;
  assign valid_o = line_q[Latency];
  assign line_q[0] = valid_i;
  for (genvar i = 0; i < Latency; i++) begin : gen_stage
    always_ff @(posedge clk_i) line_q[i+1] <= rst_ni && line_q[i];
  end
endmodule
