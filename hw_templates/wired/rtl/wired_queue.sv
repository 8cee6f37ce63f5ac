// Pixels in front of a folded engine, which takes them more slowly than they come at times.
//
// No back-pressure: Depth is what the layer's schedule needs at the full rate of the stream, with as much again in
// reserve. Depth is a power of two.
module wired_queue #(
    parameter int unsigned Bits = 8,
    parameter int unsigned Depth = 32
) (
    input  logic            clk_i,
    input  logic            rst_ni,
    input  logic            valid_i,
    input  logic [Bits-1:0] pixel_i,
    output logic            valid_o,
    output logic [Bits-1:0] pixel_o,
    input  logic            ready_i
);
  localparam int unsigned PlaceBits = $clog2(Depth);
  (* ram_style = "distributed" *) logic [Bits-1:0] memory[Depth];
  logic [PlaceBits:0] write_q, read_q;

  assign valid_o = write_q != read_q;
  assign pixel_o = memory[read_q[PlaceBits-1:0]];
  always_ff @(posedge clk_i) begin
    if (valid_i) memory[write_q[PlaceBits-1:0]] <= pixel_i;
    if (!rst_ni) begin
      write_q <= '0;
      read_q <= '0;
    end else begin
      write_q <= write_q + (PlaceBits + 1)'(valid_i);
      read_q <= read_q + (PlaceBits + 1)'(valid_o && ready_i);
`ifndef SYNTHESIS
      if (valid_i && write_q - read_q == (PlaceBits + 1)'(Depth)) $fatal(1, "wired_queue: a pixel too many");
`endif
    end
  end
endmodule
