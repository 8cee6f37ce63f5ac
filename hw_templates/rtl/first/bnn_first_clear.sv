// Whether the word of a pixel, or of an image's plane, begins again in bnn_first_step. Words of values have places of
// their own: with them it stays at the first one.
//
// A module of its own, as its net has many loads. No registers.
(* keep_hierarchy = "yes" *)
module bnn_first_clear (
    input  logic clear_i,
    input  logic room_i,
    input  logic pixel_i,
    input  logic image_i,
    output logic clear_o
);
  assign clear_o = clear_i | (room_i & (pixel_i | image_i));
endmodule
