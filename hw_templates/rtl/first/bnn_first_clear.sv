// Whether the word of a pixel, or of an image's plane, begins again in bnn_first_step. Words of values have places of
// their own: with them it stays at the first one.
//
// Apart from what else a write ends, which comes from as many flags: its net has many loads. No registers.
(* keep_hierarchy = "yes" *)
module bnn_first_clear (
    input  logic clear_i,
    input  logic room_i,
    // The last group of a pixel
    input  logic open_i,
    input  logic last_i,
    input  logic bits_i,
    // The last word of an image
    input  logic pack_i,
    input  logic word_i,
    input  logic word_last_i,
    input  logic plane_last_i,
    output logic clear_o
);
  assign clear_o = clear_i | (room_i & ((open_i & last_i & bits_i) | (pack_i & word_i & word_last_i & plane_last_i)));
endmodule
