// A map of Pixels pixels of Bits bits as one vector, pixel 0 least significant, for the dense layer after it.
//
// valid_o is high in the cycle after the map's last pixel, which emit_o announces; vector_o keeps its value until
// the next pixel is taken. ready_i holds the pixels back.
module wired_collect #(
    parameter int unsigned Bits = 8,
    parameter int unsigned Pixels = 4
) (
    input  logic                   clk_i,
    input  logic                   rst_ni,
    input  logic                   valid_i,
    input  logic [Bits-1:0]        pixel_i,
    input  logic                   ready_i,
    output logic                   emit_o,
    output logic                   valid_o,
    output logic [Pixels*Bits-1:0] vector_o
);
  localparam int unsigned CountBits = $clog2(Pixels + 1);
  logic [CountBits-1:0] count_q;
  logic take;

  assign take = valid_i && ready_i;
  assign emit_o = take && count_q == CountBits'(Pixels - 1);
  always_ff @(posedge clk_i) begin
    if (take) vector_o <= (Pixels * Bits)'({pixel_i, vector_o} >> Bits);
    if (!rst_ni) begin
      count_q <= '0;
      valid_o <= 1'b0;
    end else begin
      valid_o <= emit_o;
      if (take) count_q <= count_q == CountBits'(Pixels - 1) ? '0 : count_q + 1'b1;
    end
  end
endmodule
