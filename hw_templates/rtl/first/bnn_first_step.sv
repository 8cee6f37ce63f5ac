// What a write of the first layer does to its counters: one for each group of bits (bits_i, with open_i), or for each
// word (word_i, with pack_i); or in place of a group for a word of values (value_i and ready_i) or of their bits (plane_i).
//
// last_i are the flags of the loops over groups, columns and rows, value_last_i is high with the last of the latter words
// of a pixel; the outputs tell that a pixel, a row, a map (without pack_i), an image or a sub-batch ends with the write,
// lane_o that the next pixel, or with pack_i the next image, lies behind all lanes. word_clear_o and word_step_o are for
// the word of a pixel, or of an image's plane: it begins again, also with clear_i, or goes on. room_i are copies of one
// register: none of the outputs is made from another.
//
// Latency: none. A module of its own, so that its logic is made for speed.
(* keep_hierarchy = "yes" *)
module bnn_first_step (
    input  logic       clear_i,
    input  logic [8:0] room_i,
    input  logic       open_i,
    input  logic       pack_i,
    input  logic       bits_i,
    input  logic       value_i,
    input  logic       ready_i,
    input  logic       plane_i,
    input  logic       value_last_i,
    input  logic       word_i,
    input  logic [2:0] last_i,
    input  logic       word_last_i,  // its planes are the image's last
    input  logic       plane_last_i,  // the last one of its planes
    input  logic       slot_last_i,
    input  logic       lane_last_i,
    input  logic       image_last_i,
    output logic [1:0] write_o,  // twice
    output logic       bits_o,
    output logic       word_clear_o,
    output logic       word_step_o,
    output logic       pixel_o,
    output logic       lane_o,
    output logic       row_o,
    output logic       map_o,
    output logic       image_o,
    output logic       sub_o
);
  localparam int unsigned Bits = 0, Write = 1, Pixel = 3, Row = 4, Map = 5, Lane = 6, Clear = 7, Step = 8;

  // That there are; a pixel's last ones, an image's last word or the last ones of either
  logic bits, word, pixel, word_end, image;

  assign bits = open_i & (bits_i | (value_i & ready_i) | plane_i);
  assign word = pack_i & word_i;
  assign pixel = open_i & last_i[0] & (bits_i | value_last_i);
  assign word_end = word & word_last_i & plane_last_i;
  assign image = (pixel & (&last_i[2:1])) | word_end;

  bnn_first_clear u_clear (
      .clear_i,
      .room_i(room_i[Clear]),
      .open_i,
      .last_i(last_i[0]),
      .bits_i,
      .pack_i,
      .word_i,
      .word_last_i,
      .plane_last_i,
      .clear_o(word_clear_o)
  );

  for (genvar i = 0; i < 2; i++) begin : gen_write
    bnn_first_some u_write (
        .room_i(room_i[Write+i]),
        .open_i,
        .bits_i,
        .value_i,
        .ready_i,
        .plane_i,
        .pack_i,
        .word_i,
        .some_o(write_o[i])
    );
  end
  bnn_first_some u_bits (
      .room_i (room_i[Bits]),
      .open_i,
      .bits_i,
      .value_i(1'b0),
      .ready_i(1'b0),
      .plane_i(1'b0),
      .pack_i (1'b0),
      .word_i (1'b0),
      .some_o (bits_o)
  );
  assign word_step_o = room_i[Step] & ((bits & slot_last_i) | (word & plane_last_i));
  assign pixel_o = room_i[Pixel] & (pixel | word_end);
  assign lane_o  = room_i[Lane] & lane_last_i & (pixel | word_end);
  assign row_o   = room_i[Row] & pixel & last_i[1];
  assign map_o   = room_i[Map] & pixel & (&last_i[2:1]);
  assign image_o = room_i[Map] & image;
  assign sub_o   = room_i[Map] & image_last_i & image;
endmodule
