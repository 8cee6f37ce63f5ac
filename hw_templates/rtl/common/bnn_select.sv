// A registered two-way multiplexer with registers of its own for select and data.
//
//   data_o = select_i ? one_i : zero_i
//
// Latency: 2 cycles.
(* keep_hierarchy = "yes" *)
module bnn_select #(
    parameter int unsigned Bits = 16
) (
    input  logic            clk_i,
    input  logic            select_i,
    input  logic [Bits-1:0] zero_i,
    input  logic [Bits-1:0] one_i,
    output logic [Bits-1:0] data_o
);
  logic select_q;
  logic [Bits-1:0] zero_q, one_q, data_q;

  always_ff @(posedge clk_i) begin
    select_q <= select_i;
    zero_q   <= zero_i;
    one_q    <= one_i;
    data_q   <= select_q ? one_q : zero_q;
  end

  assign data_o = data_q;
endmodule
