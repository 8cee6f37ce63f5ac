// Whether the first layer writes: there are bits, a word of values or a packed one, and room
//
// A module of its own, so that it is made from its inputs alone. No registers.
(* keep_hierarchy = "yes" *)
module bnn_first_some (
    input  logic room_i,
    input  logic open_i,
    input  logic bits_i,
    input  logic value_i,
    input  logic pack_i,
    input  logic word_i,
    output logic some_o
);
  assign some_o = room_i & ((open_i & (bits_i | value_i)) | (pack_i & word_i));
endmodule
