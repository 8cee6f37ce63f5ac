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
    output logic [31:0] pixel_o,
    output logic [3:0][4:0] row_o  // [7:3] of its bytes again
);
  // Copies of what is valid: for the quarters of the beats, for both halves of what is valid next, for the counters.
  localparam int unsigned Copies = 7, Step = 4, Counts = 6;
  logic [Copies-1:0] open, here_valid, empty, there;  // open: an image may begin or is at work
  logic [1:0] open_d, here_valid_d, next_valid_d, empty_d, there_d, both_d;  // the same twice
  logic next_valid_q, skip_q;  // skip_q comes after an image's last pixel, when none is open
  logic over_q;  // an image was ended in the last cycle
  logic [1:0] rst_late;  // for the counter, and for the quarters
  logic [4:0] last;  // again for the steps, and for the quarters in pairs
  logic [63:0] here, next;
  logic [3:0] end_q, end_next, sum;  // first byte behind the pixel; of the one behind that
  logic [2:0] ends;  // end_q[3] again, for the quarters and the steps
  logic both_q, wide_q, wide;  // the pixel lies in both beats; the next one, the one behind it
  logic take;
  logic [15:0] unused_value;
  logic valid_q;
  logic [31:0] pixel, pixel_q;

  for (genvar i = 0; i < 2; i++) begin : gen_late
    bnn_register u_rst (
        .clk_i,
        .data_i(rst_i),
        .data_o(rst_late[i])
    );
  end

  bnn_loop #(
      .Gates (3),
      .Value (1'b0),
      .Copies(5)
  ) u_pixels (
      .clk_i,
      .restart_i(rst_late[0]),
      .go_i     ({here_valid[Counts], open[Counts], there[Counts]}),
      .limit_i  (pixels_i),
      .value_o  (unused_value),
      .last_o   (last)
  );

  // The beat behind follows the one at hand; a pixel may lie in both.
  for (genvar i = 0; i < 2; i++) begin : gen_step
    bnn_unpack_step u_step (
        .rst_i,
        .open_i (open[Step+i]),
        .here_i (here_valid[Step+i]),
        .next_i (next_valid_q),
        .there_i(there[Step+i]),
        .empty_i(empty[Step+i]),
        .skip_i (skip_q),
        .both_i (both_q),
        .wide_i (wide_q),
        .end_i  (ends[2]),
        .last_i (last[1+i]),
        .beat_valid_i,
        .ready_i,
        .over_i (over_q),
        .open_o (open_d[i]),
        .here_o (here_valid_d[i]),
        .next_o (next_valid_d[i]),
        .empty_o(empty_d[i]),
        .there_o(there_d[i]),
        .both_o (both_d[i])
    );
  end

  for (genvar h = 0; h < Copies; h++) begin : gen_copy
    localparam int unsigned From = h < 2 || h == Step ? 0 : 1;

    bnn_register #(
        .Bits(4)
    ) u_valid (
        .clk_i,
        .data_i({open_d[From], here_valid_d[From], empty_d[From], there_d[From]}),
        .data_o({open[h], here_valid[h], empty[h], there[h]})
    );
  end

  assign beat_take_o = empty[Counts];  // a beat has two pixels or more
  assign take = here_valid[Counts] & open[Counts] & there[Counts];

  bnn_unpack_end u_end (
      .begin_i   (end_q[2:0]),
      .channels_i,
      .sum_o     (sum),
      .wide_o    (wide)
  );

  // A reset is longer than one cycle: what follows from it comes with the second.
  assign end_next = rst_i ? 4'(channels_i) : ~take ? end_q : last[0] ? 4'(channels_i) : sum;

  bnn_register #(
      .Bits(3)
  ) u_ends (
      .clk_i,
      .data_i({3{end_next[3]}}),
      .data_o(ends)
  );

  for (genvar h = 0; h < 4; h++) begin : gen_part
    logic [2:0] at;
    logic [7:0][7:0] bytes;  // from this one on

    bnn_unpack_part u_part (
        .clk_i,
        .rst_i  (rst_late[1]),
        .here_i (here_valid[h]),
        .open_i (open[h]),
        .there_i(there[h]),
        .empty_i(empty[h]),
        .skip_i (skip_q),
        .end_i  (ends[h/2]),
        .last_i (last[3+h/2]),
        .begin_i(end_q[2:0]),
        .beat_i (beat_i[16*h+:16]),
        .here_o (here[16*h+:16]),
        .next_o (next[16*h+:16]),
        .at_o   (at)
    );
    for (genvar j = 0; j < 8; j++) begin : gen_source
      if (h + j < 8) begin : gen_here
        assign bytes[j] = here[8*(h+j)+:8];
      end else begin : gen_next
        assign bytes[j] = next[8*(h+j-8)+:8];
      end
    end
    assign pixel[8*h+:8] = bytes[at];

    bnn_register #(
        .Bits(5)
    ) u_row (
        .clk_i,
        .data_i(pixel[8*h+3+:5]),
        .data_o(row_o[h])
    );
  end

  always_ff @(posedge clk_i) begin
    pixel_q      <= pixel;
    end_q        <= end_next;
    both_q       <= ~rst_i & both_d[1];
    wide_q       <= ~rst_i & (take ? ~last[0] & wide : wide_q);  // neither of an image's first two
    next_valid_q <= next_valid_d[1];
    if (rst_i) begin
      skip_q  <= 1'b0;
      valid_q <= 1'b0;
      over_q  <= 1'b0;
    end else begin
      valid_q <= take;
      // A last pixel in two beats uses up both: the second is skipped.
      skip_q  <= take & last[0] & both_q;
      over_q  <= take & last[0];
    end
  end

  logic unused_copies;
  assign unused_copies = ^{next_valid_d[0], both_d[0], next[63:24]};

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
