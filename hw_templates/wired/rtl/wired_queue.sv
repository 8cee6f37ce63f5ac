// Elements in front of what takes them more slowly than they come at times; see bnn_fifo.
//
// No back-pressure: Depth, a power of two, is what the schedule needs at the full rate of the stream, or more.
module wired_queue #(
    parameter int unsigned Bits = 8,
    parameter int unsigned Depth = 32
) (
    input  logic            clk_i,
    input  logic            rst_ni,
    input  logic            valid_i,
    input  logic [Bits-1:0] data_i,
    output logic            valid_o,
    output logic [Bits-1:0] data_o,
    input  logic            ready_i
);
  logic room;

  bnn_fifo #(
      .Width(Bits),
      .Depth(Depth)
  ) i_fifo (
      .clk_i,
      .rst_i  (!rst_ni),
      .push_i (valid_i),
      .data_i,
      .room_o (room),
      .valid_o,
      .pop_i  (valid_o && ready_i),
      .data_o
  );

`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    if (rst_ni && valid_i && !room) $fatal(1, "wired_queue: an element too many");
  end
`else
  logic unused;
  assign unused = room;
`endif
endmodule
