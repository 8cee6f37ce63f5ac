// A map of Pixels pixels of Bits bits as one vector, pixel 0 least significant, for the dense layer after it.
//
// vector_o is valid for the one cycle in which valid_o is high, the cycle after the map's last pixel.
module wired_collect #(
    parameter int unsigned Bits = 8,
    parameter int unsigned Pixels = 4
) (
    input  logic                   clk_i,
    input  logic                   rst_ni,
    input  logic                   valid_i,
    input  logic [Bits-1:0]        pixel_i,
    output logic                   valid_o,
    output logic [Pixels*Bits-1:0] vector_o
);
  localparam int unsigned CountBits = $clog2(Pixels + 1);
  logic [CountBits-1:0] count_q;

  always_ff @(posedge clk_i) begin
    if (valid_i) vector_o <= (Pixels * Bits)'({pixel_i, vector_o} >> Bits);
    if (!rst_ni) begin
      count_q <= '0;
      valid_o <= 1'b0;
    end else begin
      valid_o <= valid_i && count_q == CountBits'(Pixels - 1);
      if (valid_i) count_q <= count_q == CountBits'(Pixels - 1) ? '0 : count_q + 1'b1;
    end
  end
endmodule
