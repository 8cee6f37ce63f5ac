// Pixels of C bytes out of a stream of 64-bit beats.
//
//   pixel_o[8*c +: 8] = byte (n*C + c) of the image, c < C;  the bytes above are arbitrary
//
// An image has pixels_i pixels (constant from the cycle before reset on) and starts at a beat; the bytes of its last
// beat behind the last pixel are dropped. channels_i is 1 .. 4. A beat is taken when beat_valid_i and beat_take_o are
// high, a pixel when valid_o and ready_i are; last_o marks the last pixel of an image.
//
// Latency: a pixel is there two or three cycles after its beat is taken; one pixel a cycle.
module bnn_unpack
  import bnn_pkg::*;
(
    input  logic        clk_i,
    input  logic        rst_i,
    input  logic [2:0]  channels_i,
    input  logic [15:0] pixels_i,
    input  logic        beat_valid_i,
    output logic        beat_take_o,
    input  logic [63:0] beat_i,
    output logic        valid_o,
    input  logic        ready_i,
    output logic        last_o,
    output logic [31:0] pixel_o
);
  logic [63:0] here_q, next_q;
  logic here_valid_q, next_valid_q, skip_q, take, move, last, there;
  logic [2:0] offset, offset_next;
  logic [3:0] offset_end;
  logic [1:0] carry;
  logic [15:0] unused_value;
  logic valid_q, last_q;
  logic [31:0] pixel, pixel_q;

  bnn_loop u_pixels (
      .clk_i,
      .restart_i(rst_i),
      .go_i     (take),
      .limit_i  (pixels_i),
      .value_o  (unused_value),
      .last_o   (last)
  );

  // next_q follows here_q; a pixel may lie in both.
  // offset + channels_i, without a carry chain
  assign carry[0] = offset[0] & channels_i[0];
  assign carry[1] = (offset[1] & channels_i[1]) | (carry[0] & (offset[1] | channels_i[1]));
  assign offset_end[0] = offset[0] ^ channels_i[0];
  assign offset_end[1] = offset[1] ^ channels_i[1] ^ carry[0];
  assign offset_end[2] = offset[2] ^ channels_i[2] ^ carry[1];
  assign offset_end[3] = (offset[2] & channels_i[2]) | (carry[1] & (offset[2] | channels_i[2]));
  assign there = here_valid_q & ~skip_q & (next_valid_q | ~offset_end[3] | (offset_end[2:0] == '0));
  assign take = there & (~valid_q | ready_i);
  assign move = (take & (offset_end[3] | last)) | skip_q | ~here_valid_q;
  assign offset_next = rst_i ? '0 : !take ? offset : last ? '0 : offset_end[2:0];
  assign beat_take_o = ~next_valid_q;  // a beat has two pixels or more

  bnn_register #(
      .Bits(3)
  ) u_offset (
      .clk_i,
      .data_i(offset_next),
      .data_o(offset)
  );

  for (genvar i = 0; i < 4; i++) begin : gen_byte
    logic [2:0] at;
    bnn_register #(
        .Bits(3)
    ) u_at (
        .clk_i,
        .data_i(offset_next),
        .data_o(at)
    );
    logic [7:0][7:0] bytes;
    for (genvar j = 0; j < 8; j++) begin : gen_source
      if (i + j < 8) begin : gen_here
        assign bytes[j] = here_q[8*(i+j)+:8];
      end else begin : gen_next
        assign bytes[j] = next_q[8*(i+j-8)+:8];
      end
    end
    assign pixel[8*i+:8] = bytes[at];
  end

  always_ff @(posedge clk_i) begin
    if (move) here_q <= next_q;
    if (beat_take_o) next_q <= beat_i;
    if (take) begin
      pixel_q <= pixel;
      last_q  <= last;
    end
    if (rst_i) begin
      here_valid_q <= 1'b0;
      next_valid_q <= 1'b0;
      skip_q       <= 1'b0;
      valid_q      <= 1'b0;
    end else begin
      valid_q <= take | (valid_q & ~ready_i);
      if (move) here_valid_q <= next_valid_q;
      next_valid_q <= next_valid_q ? ~move : beat_valid_i;
      // A last pixel in two beats uses up both: the second is skipped.
      skip_q <= take & last & offset_end[3] & (offset_end[2:0] != '0);
    end
  end

  assign valid_o = valid_q;
  assign last_o  = last_q;
  assign pixel_o = pixel_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  channels_fit: assert property (beat_valid_i && beat_take_o |-> channels_i != '0
      && channels_i <= 3'(MaxChannels))
      else $error("channels_i = %0d, must be 1 to 4", channels_i);
`endif
endmodule
