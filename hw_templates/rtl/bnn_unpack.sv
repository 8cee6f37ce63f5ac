// Pixels of C bytes out of a stream of 64-bit beats.
//
//   pixel_o[8*c +: 8] = byte (n*C + c) of the image, c < C;  the bytes above are arbitrary
//
// An image has pixels_i pixels (constant from reset on) and starts at a beat; the bytes of its last beat behind the last
// pixel are dropped. channels_i is 1 .. 4. A beat is taken when beat_valid_i and beat_take_o are
// high, a pixel when valid_o and ready_i are; last_o marks the last pixel of an image.
//
// Latency: a beat is visible to pixels one or two cycles after it is taken; one pixel a cycle.
module bnn_unpack (
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
  logic here_valid_q, next_valid_q, skip_q, take, move, used_up;
  logic [2:0] offset_q;
  logic [3:0] offset_end;
  logic [15:0] left_q;

  // next_q follows here_q; a pixel may lie in both.
  assign offset_end = {1'b0, offset_q} + {1'b0, channels_i};
  assign used_up = offset_end[3];  // here_q is used up
  assign valid_o = here_valid_q & ~skip_q & (next_valid_q | offset_end <= 4'd8) & (left_q != '0);
  assign last_o = left_q == 16'd1;
  assign pixel_o = 32'({next_q, here_q} >> {offset_q, 3'b000});
  assign take = valid_o & ready_i;
  assign move = (take & (used_up | last_o)) | skip_q | ~here_valid_q;
  assign beat_take_o = ~next_valid_q | move;

  always_ff @(posedge clk_i) begin
    if (move) here_q <= next_q;
    if (beat_take_o) next_q <= beat_i;
    if (rst_i) begin
      here_valid_q <= 1'b0;
      next_valid_q <= 1'b0;
      skip_q       <= 1'b0;
      offset_q     <= '0;
      left_q       <= '0;
    end else begin
      if (move) here_valid_q <= next_valid_q;
      if (beat_take_o) next_valid_q <= beat_valid_i;
      // A last pixel in two beats uses up both: the second is skipped.
      skip_q <= take & last_o & (offset_end > 4'd8);
      if (take) begin
        offset_q <= last_o ? '0 : offset_end[2:0];
        left_q   <= left_q - 16'd1;
      end
      if (left_q == '0 || (take && last_o)) left_q <= pixels_i;
    end
  end
endmodule
