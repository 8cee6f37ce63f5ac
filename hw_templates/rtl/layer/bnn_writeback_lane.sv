// Data of one lane of bnn_writeback: the bits of the lane, of the pooled pair, of a serial
// column or of the vector unit, at the place of their group in the word, 0 elsewhere. In parts of up to 16 PEs with
// their own control registers.
//
// Latency: 2 cycles; slot_i comes with the bits, serial_i, pool_i and vector_i are constant.
(* keep_hierarchy = "yes" *)
module bnn_writeback_lane #(
    parameter int unsigned Pe = 32,
    parameter int unsigned Slots = 2,
    localparam int unsigned SlotBits = (Slots > 1) ? $clog2(Slots) : 1
) (
    input  logic                clk_i,
    input  logic                serial_i,
    input  logic                pool_i,
    input  logic                vector_i,
    input  logic [SlotBits-1:0] slot_i,
    input  logic [Pe-1:0]       lane_i,
    input  logic [Pe-1:0]       pair_i,
    input  logic [Pe-1:0]       serial_bit_i,
    input  logic [Pe-1:0]       vector_bit_i,
    output logic [Pe*Slots-1:0] data_o
);
  /* verilator no_inline_module */
  localparam int unsigned Bits = (Pe < 16) ? Pe : 16;

  for (genvar b = 0; b < Pe; b += Bits) begin : gen_part
    logic [Bits*Slots-1:0] data;

    bnn_writeback_part #(
        .Bits (Bits),
        .Slots(Slots)
    ) u_part (
        .clk_i,
        .serial_i,
        .pool_i,
        .vector_i,
        .slot_i,
        .lane_i      (lane_i[b+:Bits]),
        .pair_i      (pair_i[b+:Bits]),
        .serial_bit_i(serial_bit_i[b+:Bits]),
        .vector_bit_i(vector_bit_i[b+:Bits]),
        .data_o      (data)
    );

    for (genvar s = 0; s < Slots; s++) begin : gen_slot
      assign data_o[s*Pe+b+:Bits] = data[s*Bits+:Bits];
    end
  end
endmodule
