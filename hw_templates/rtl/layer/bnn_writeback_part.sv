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
  logic serial_q, pool_q, vector_q;
  logic [Bits-1:0] bit_q;
  logic [Slots-1:0] here_q;
  logic [Bits*Slots-1:0] data_q;

  always_ff @(posedge clk_i) begin
    serial_q <= serial_i;
    pool_q   <= pool_i;
    vector_q <= vector_i;
    bit_q    <= vector_q ? vector_bit_i : serial_q ? serial_bit_i : pool_q ? pair_i : lane_i;
    for (int unsigned s = 0; s < Slots; s++) begin
      here_q[s] <= 32'(slot_i) == s;
      data_q[s*Bits+:Bits] <= here_q[s] ? bit_q : '0;
    end
  end

  assign data_o = data_q;
endmodule
