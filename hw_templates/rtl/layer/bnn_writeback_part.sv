// Some PEs of bnn_writeback_lane.
(* keep_hierarchy = "yes" *)
module bnn_writeback_part #(
    parameter int unsigned Bits = 16,
    parameter int unsigned Slots = 2,
    localparam int unsigned SlotBits = (Slots > 1) ? $clog2(Slots) : 1
) (
    input  logic                  clk_i,
    input  logic                  serial_i,
    input  logic                  pool_i,
    input  logic                  vector_i,
    input  logic [SlotBits-1:0]   slot_i,
    input  logic [Bits-1:0]       lane_i,
    input  logic [Bits-1:0]       pair_i,
    input  logic [Bits-1:0]       serial_bit_i,
    input  logic [Bits-1:0]       vector_bit_i,
    output logic [Bits*Slots-1:0] data_o
);
  logic [1:0] source_q;
  logic [Bits-1:0] bit_q;
  logic [Slots-1:0] here_q;
  logic [Bits*Slots-1:0] data_q;

  always_ff @(posedge clk_i) begin
    source_q <= vector_i ? 2'd3 : serial_i ? 2'd2 : {1'b0, pool_i};
    unique case (source_q)
      2'd0: bit_q <= lane_i;
      2'd1: bit_q <= pair_i;
      2'd2: bit_q <= serial_bit_i;
      2'd3: bit_q <= vector_bit_i;
    endcase
    for (int unsigned s = 0; s < Slots; s++) begin
      here_q[s] <= 32'(slot_i) == s;
      data_q[s*Bits+:Bits] <= here_q[s] ? bit_q : '0;
    end
  end

  assign data_o = data_q;
endmodule
