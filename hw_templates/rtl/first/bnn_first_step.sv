// What a write of the first layer does to its counters: one for each group of bits (bits_i, with open_i), or for each
// word (word_i, with pack_i); or in place of a group for a word of values (value_i and ready_i) or of their bits (plane_i).
//
// last_i are the flags of the loops over groups, columns and rows, value_last_i is high with the last of the latter words
// of a pixel; the outputs tell that a pixel or an image ends with the write, and without regard to room_i that a row, a
// map (without pack_i) or a sub-batch does, lane_o that the next pixel, or with pack_i the next image, lies behind all
// lanes. word_clear_o and word_step_o are for the word of a pixel, or of an image's plane: it begins again, also with
// clear_i, or goes on. room_i are copies of one register, ends_i of bits_i: none of the outputs is made from another.
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
    input  logic       ends_i,
    input  logic       value_last_i,
    input  logic       word_i,
    input  logic [2:0] last_i,
    input  logic       word_last_i,  // its planes are the image's last
    input  logic       plane_last_i,  // the last one of its planes
    input  logic       slot_last_i,
    input  logic       lane_last_i,
    input  logic       image_last_i,
    output logic       write_o,
    output logic [1:0] bits_o,  // twice
    output logic [2:0] word_clear_o,  // three times
    output logic       word_step_o,
    output logic       pixel_o,
    output logic       lane_o,
    output logic       row_o,
    output logic       map_o,
    output logic       image_o,
    output logic [1:0] sub_o  // and with regard to it
);
  localparam int unsigned Bits = 0, Write = 2, Pixel = 3, Image = 4, Step = 5, Clear = 6;

  // A pixel's last ones, an image's last word: for what ends with them, for places, for the word
  localparam int unsigned Ends = 0, Place = 1, Over = 2, Word = 3;
  logic [5:0] pixel, image;
  logic there;

  bnn_first_there u_there (
      .value_i,
      .ready_i,
      .plane_i,
      .there_o(there)
  );

  for (genvar i = 0; i < 6; i++) begin : gen_end
    bnn_first_pixel u_pixel (
        .open_i,
        .bits_i      (ends_i),
        .last_i      (last_i[0]),
        .value_last_i(value_last_i & (i < Word)),
        .pixel_o     (pixel[i])
    );
    bnn_first_all #(
        .Bits(4)
    ) u_image (
        .bits_i({pack_i, word_i, word_last_i, plane_last_i}),
        .all_o (image[i])
    );
  end

  for (genvar i = 0; i < 3; i++) begin : gen_clear
    bnn_first_clear u_clear (
        .clear_i,
        .room_i (room_i[Clear+i]),
        .pixel_i(pixel[Word+i]),
        .image_i(image[Word+i]),
        .clear_o(word_clear_o[i])
    );
  end

  bnn_first_some u_write (
      .room_i (room_i[Write]),
      .open_i,
      .bits_i,
      .value_i(there),
      .pack_i,
      .word_i,
      .some_o (write_o)
  );
  for (genvar i = 0; i < 2; i++) begin : gen_bits
    bnn_first_all u_bits (
        .bits_i({room_i[Bits+i], open_i, bits_i}),
        .all_o (bits_o[i])
    );
  end
  assign word_step_o = room_i[Step] & ((open_i & (bits_i | there) & slot_last_i)
      | (pack_i & word_i & plane_last_i));
  assign pixel_o = room_i[Pixel] & (pixel[Place] | image[Place]);
  assign lane_o  = lane_last_i & (pixel[Ends] | image[Ends]);
  assign row_o   = pixel[Ends] & last_i[1];
  assign map_o   = pixel[Ends] & (&last_i[2:1]);

  bnn_first_over u_image (
      .room_i (room_i[Image]),
      .last_i (1'b1),
      .pixel_i(pixel[Over]),
      .ends_i (last_i[2:1]),
      .image_i(image[Over]),
      .over_o (image_o)
  );

  for (genvar i = 0; i < 2; i++) begin : gen_sub
    bnn_first_over u_sub (
        .room_i (i == 0 | room_i[Image]),
        .last_i (image_last_i),
        .pixel_i(pixel[Over]),
        .ends_i (last_i[2:1]),
        .image_i(image[Over]),
        .over_o (sub_o[i])
    );
  end
endmodule
