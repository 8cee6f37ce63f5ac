// What a write of the first layer does to its counters: one for each group of bits (bits_i, not
// pack_i), or for each word (word_i, with pack_i).
//
// last_i are the flags of the loops over groups, columns and rows; the outputs tell that a pixel, a
// row, a map (without pack_i), an image or a sub-batch ends with the write, lane_o that the next pixel lies
// behind all lanes, word_lane_o the same of images.
//
// Latency: none. A module of its own, so that its logic is made for speed.
(* keep_hierarchy = "yes" *)
module bnn_first_step (
    input  logic       room_i,
    input  logic       active_i,
    input  logic       pack_i,
    input  logic       bits_i,
    input  logic       word_i,
    input  logic [2:0] last_i,
    input  logic       word_last_i,
    input  logic       lane_last_i,
    input  logic       image_last_i,
    output logic       write_o,
    output logic       bits_o,
    output logic [2:0] go_o,
    output logic       word_o,
    output logic       pixel_o,
    output logic       lane_o,
    output logic       row_o,
    output logic       map_o,
    output logic       word_lane_o,
    output logic       image_o,
    output logic       sub_o
);
  logic bits, word;

  assign bits = room_i & active_i & ~pack_i & bits_i;
  assign word = room_i & active_i & pack_i & word_i;

  assign write_o     = bits | word;
  assign bits_o      = bits;
  assign go_o        = {bits & last_i[0] & last_i[1], bits & last_i[0], bits};
  assign word_o      = word;
  assign pixel_o     = (bits & last_i[0]) | (word & word_last_i);
  assign lane_o      = bits & last_i[0] & lane_last_i;
  assign row_o       = bits & last_i[0] & last_i[1];
  assign map_o       = bits & (&last_i);
  assign word_lane_o = word & word_last_i & lane_last_i;
  assign image_o     = (bits & (&last_i)) | (word & word_last_i);
  assign sub_o       = image_last_i & ((bits & (&last_i)) | (word & word_last_i));
endmodule
