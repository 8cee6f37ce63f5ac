// Pixels of C bytes out of a stream of 64-bit beats.
//
//   pixel_o[8*c +: 8] = byte (n*C + c) of the image, c < C;  the bytes above are arbitrary
//
// An image has pixels_i pixels (constant from the cycle before reset on) and starts at a beat; the bytes of its last
// beat behind the last pixel are dropped. channels_i is 1 .. 4. A beat is taken when beat_valid_i and beat_take_o are
// high, the latter never with rst_i since the cycle before. A pixel is there in each cycle with valid_o, the last one of
// an image with last_o too. Before an image ready_i is waited for, from the cycle after the last pixel of the one before on;
// its pixels then come without it.
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
  logic here_valid_d, next_valid_q, next_valid_d, empty_d, skip_q, open_d;
  logic last, last_move;  // again for the quarters
  logic over_q;  // an image was ended in the last cycle
  // Copies: for the quarters of here_q and next_q, for the counters, for what is valid
  localparam int unsigned Counts = 4, Valid = 5;
  logic [5:0] open, here_valid, take, empty;  // open: an image may begin or is at work
  logic [3:0] move;
  logic [2:0] offset_q, offset_next;
  logic [3:0] end_q, end_next;  // first byte behind the pixel
  logic both_q, both_next;  // the pixel lies in both beats
  logic there_q;  // next_valid_q, or not both_q
  logic [15:0] unused_value;
  logic valid_q;
  logic [31:0] pixel, pixel_q;

  bnn_loop #(
      .Gates (3),
      .Value (1'b0),
      .Copies(2)
  ) u_pixels (
      .clk_i,
      .restart_i(rst_i),
      .go_i     ({here_valid[Counts], open[Counts], there_q}),
      .limit_i  (pixels_i),
      .value_o  (unused_value),
      .last_o   ({last_move, last})
  );

  // next_q follows here_q; a pixel may lie in both.
  // skip_q comes after an image's last pixel, when none is open.
  assign take = here_valid & open & {6{there_q}};
  bnn_unpack_step u_step (
      .rst_i,
      .open_i (open[Valid]),
      .here_i (here_valid[Valid]),
      .next_i (next_valid_q),
      .there_i(there_q),
      .empty_i(empty[Valid]),
      .skip_i (skip_q),
      .both_i (both_q),
      .end_i  (end_q[3]),
      .last_i (last),
      .beat_valid_i,
      .ready_i,
      .over_i (over_q),
      .open_o (open_d),
      .here_o (here_valid_d),
      .next_o (next_valid_d),
      .empty_o(empty_d)
  );

  assign beat_take_o = empty[Counts];  // a beat has two pixels or more

  // end_q and the channels, added in LUTs
  logic [3:0] sum;
  logic sum_carry;  // into bit 2

  assign sum_carry = (end_q[1] & channels_i[1]) | ((end_q[1] ^ channels_i[1]) & end_q[0] & channels_i[0]);
  assign sum[0] = end_q[0] ^ channels_i[0];
  assign sum[1] = end_q[1] ^ channels_i[1] ^ (end_q[0] & channels_i[0]);
  assign sum[2] = end_q[2] ^ channels_i[2] ^ sum_carry;
  assign sum[3] = (end_q[2] & channels_i[2]) | ((end_q[2] ^ channels_i[2]) & sum_carry);

  // A reset is longer than one cycle: what follows from it comes with the second.
  always_comb begin
    offset_next = offset_q;
    end_next = end_q;
    if (take[Counts] && last) begin
      offset_next = '0;
      end_next = 4'(channels_i);
    end else if (take[Counts]) begin
      offset_next = end_q[2:0];
      end_next = sum;
    end
  end

  assign both_next = take[Valid] ? ~last & sum[3] & (sum[2:0] != '0) : both_q;

  for (genvar h = 0; h < 6; h++) begin : gen_copy
    bnn_register #(
        .Bits(3)
    ) u_valid (
        .clk_i,
        .data_i({open_d, here_valid_d, empty_d}),
        .data_o({open[h], here_valid[h], empty[h]})
    );
  end

  for (genvar h = 0; h < 4; h++) begin : gen_part
    assign move[h] = (take[h] & (end_q[3] | last_move)) | skip_q | ~here_valid[h];

    always_ff @(posedge clk_i) begin
      if (move[h]) here_q[16*h+:16] <= next_q[16*h+:16];
      if (empty[h]) next_q[16*h+:16] <= beat_i[16*h+:16];
    end
  end

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
    pixel_q      <= pixel;
    offset_q     <= rst_i ? '0 : offset_next;
    end_q        <= rst_i ? 4'(channels_i) : end_next;
    both_q       <= ~rst_i & both_next;
    there_q      <= next_valid_d | ~both_next;
    next_valid_q <= next_valid_d;
    if (rst_i) begin
      skip_q  <= 1'b0;
      valid_q <= 1'b0;
      over_q  <= 1'b0;
    end else begin
      valid_q <= take[Valid];
      // A last pixel in two beats uses up both: the second is skipped.
      skip_q  <= take[Valid] & last & both_q;
      over_q  <= take[Valid] & last;
    end
  end

  assign valid_o = valid_q;
  assign last_o  = over_q;
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
