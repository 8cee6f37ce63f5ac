// Pack mode of the first layer: the signs of eight bytes a cycle, put together to words.
//
//   word_o[n] = ~negative of byte n of the image, of the bytes that a word holds; behind the last one 0
//
// An image is beats_i beats long, elements_i[2:0] are the bytes of the last one (0: all eight). begin_o is a pulse when
// an image is begun, with some_i. A beat is taken with beat_valid_i and beat_take_o (which may be high without one);
// negative_i, in the same cycle, tells whether its bytes' entries of the table are negative. The word waits with
// word_valid_o until taken_i, and beats wait for it.
//
// The configuration is constant from two cycles before clear_i ends to the end of the run; without pack_i nothing is taken.
// Latency: a word is there two cycles after its last beat was taken; one beat per cycle, one cycle more for each word.
module bnn_first_pack #(
    parameter int unsigned Simd = 64
) (
    input  logic            clk_i,
    input  logic            clear_i,
    input  logic            pack_i,
    input  logic [23:0]     beats_i,
    input  logic [2:0]      elements_i,
    // Images
    input  logic            some_i,
    output logic            begin_o,
    // Beats
    input  logic            beat_valid_i,
    output logic            beat_take_o,
    input  logic [7:0]      negative_i,
    // Words
    output logic            word_valid_o,
    output logic [Simd-1:0] word_o,
    input  logic            taken_i
);
  localparam int unsigned Bytes = Simd / 8;

  logic busy_q, beat, word_valid_q, word_done;
  logic last;  // the last beat of the image
  logic [23:0] unused_beat;
  logic [7:0] tail_q;  // elements of that
  logic [Bytes-1:0] here_q;  // where the next byte goes
  logic [7:0] signs, sign_q;
  logic sign_valid_q, take;

  assign begin_o = ~busy_q & ~word_valid_q & some_i & sign_valid_q;
  assign beat = busy_q & sign_valid_q & ~word_valid_q;
  assign word_done = last | here_q[Bytes-1];
  assign take = beat_valid_i & (~sign_valid_q | beat);
  assign beat_take_o = ~sign_valid_q | (busy_q & ~word_valid_q);

  bnn_loop #(
      .Bits(24)
  ) u_beat (
      .clk_i,
      .restart_i(clear_i),
      .go_i     (beat),
      .limit_i  (beats_i),
      .value_o  (unused_beat),
      .last_o   (last)
  );

  for (genvar i = 0; i < 8; i++) begin : gen_sign
    // table > 0: not negative and not zero; the table holds -1 and +1 only
    always_ff @(posedge clk_i) begin
      if (take) sign_q[i] <= ~negative_i[i];
    end
    assign signs[i] = sign_q[i] & (tail_q[i] | ~last);
  end

  always_ff @(posedge clk_i) begin
    tail_q <= (elements_i == '0) ? '1 : ~(8'hFF << elements_i);
    if (begin_o) here_q <= Bytes'(1);
    else if (beat) here_q <= word_done ? Bytes'(1) : here_q << 1;
    if (clear_i || !pack_i) begin
      busy_q       <= 1'b0;
      word_valid_q <= 1'b0;
      sign_valid_q <= 1'b0;
    end else begin
      sign_valid_q <= take | (sign_valid_q & ~beat);
      busy_q       <= begin_o | (busy_q & ~(beat & last));
      if (beat) word_valid_q <= word_done;
      else if (taken_i) word_valid_q <= 1'b0;
    end
  end

  bnn_first_word #(
      .Simd(Simd)
  ) u_word (
      .clk_i,
      .write_i(beat),
      .here_i (here_q),
      .byte_i (signs),
      .word_o
  );

  assign word_valid_o = word_valid_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (clear_i);

  taken_word: assert property (taken_i |-> word_valid_o)
      else $error("taken_i without word_valid_o");
`endif
endmodule
