// Slot of a write of bnn_writeback: the vector unit's, that of a serial column or that of a block
//
// No registers.
(* keep_hierarchy = "yes" *)
module bnn_writeback_slot #(
    parameter int unsigned Bits = 1
) (
    input  logic            vector_i,
    input  logic            serial_i,
    input  logic [Bits-1:0] vector_slot_i,
    input  logic [Bits-1:0] late_i,
    input  logic [Bits-1:0] now_i,
    output logic [Bits-1:0] slot_o
);
  assign slot_o = vector_i ? vector_slot_i : serial_i ? late_i : now_i;
endmodule
