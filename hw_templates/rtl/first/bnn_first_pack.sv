// Pack mode of the first layer: the signs of eight bytes a cycle, put together to words.
//
//   word_o[n] = top bit of value_i, inverted, of byte n of the image, of the bytes that a word holds; then 0
//   with planes_i = B, in a design that has Planes: B words, of bits B - 1 to 0 of value_i + 2^(B - 1) in turn
//
// An image is beats_i beats long, elements_i[2:0] are the bytes of the last one (0: all eight). begin_o is a pulse when
// an image is begun, with some_i. A beat is taken with beat_valid_i and beat_take_o (which may be high without one);
// value_i, in the same cycle, has its bytes' entries of the table. The word waits with
// word_valid_o until taken_i, all bits of it, which without one means nothing, and beats wait for it; word_last_o tells
// that it is the last of its planes, also without pack_i.
//
// The configuration is constant from three cycles before clear_i ends to the end of the run; without pack_i nothing is
// taken, and beat_take_o is low. Latency: a word is there two cycles after its last beat was taken; one beat per cycle,
// one cycle more for each word.
module bnn_first_pack #(
    parameter int unsigned Simd = 64,
    parameter bit Planes = 1'b0
) (
    input  logic            clk_i,
    input  logic            clear_i,
    input  logic            pack_i,
    input  logic [23:0]     beats_i,
    input  logic [2:0]      elements_i,
    input  logic [3:0]      planes_i,  // 0: signs
    // Images
    input  logic            some_i,
    output logic            begin_o,
    // Beats
    input  logic            beat_valid_i,
    output logic            beat_take_o,
    input  logic [7:0][7:0] value_i,
    // Words
    output logic [1:0]      word_valid_o,  // twice
    output logic            word_last_o,
    output logic [Simd-1:0] word_o,
    input  logic [1:0]      taken_i
);
  localparam int unsigned Bytes = Simd / 8;

  // As they are in the next cycle with _d
  logic busy_q, busy_d, beat, beat_d, word_valid_q, word_valid_d, stop;
  logic last, last_here;  // the last beat of the image; again for here_q, and for the data
  logic [(Planes ? 4 : 1)-1:0] last_data;
  logic [23:0] beats_q, unused_beat;
  logic [2:0] elements_q;
  logic [7:0] tail_q;  // elements of that
  logic [Bytes-1:0] here_q, here_d;  // where the next byte goes
  logic sign_valid_q, sign_valid_d, free, free_d;
  logic plane_last;  // word_last_o again
  logic [1:0] word_next;  // there is no word, or it is taken: for the planes
  logic beat_loop, beat_here, beat_take;  // beat and free again

  // What many registers wait for is known a cycle ahead: whether a beat goes on, and whether the next one may come.
  bnn_first_pack_step u_step (
      .stop_i      (stop),
      .some_i,
      .beat_valid_i,
      .taken_i,
      .plane_last_i(plane_last),
      .last_i      (last),
      .word_end_i  (here_q[Bytes-1]),
      .busy_i      (busy_q),
      .beat_i      (beat),
      .free_i      (free),
      .signs_i     (sign_valid_q),
      .word_i      (word_valid_q),
      .begin_o,
      .busy_o      (busy_d),
      .beat_o      (beat_d),
      .free_o      (free_d),
      .signs_o     (sign_valid_d),
      .word_o      (word_valid_d),
      .next_o      (word_next)
  );

  assign beat_take_o = beat_take;

  // A cycle late: some_i comes four cycles after clear_i or later.
  bnn_register u_stop (
      .clk_i,
      .data_i(clear_i | ~pack_i),
      .data_o(stop)
  );

  bnn_register #(
      .Bits(5)
  ) u_state (
      .clk_i,
      .data_i({{3{beat_d}}, {2{free_d}}}),
      .data_o({beat_loop, beat_here, beat, beat_take, free})
  );

  // An image ends with a word, and so the next one begins with one.
  for (genvar i = 0; i < Bytes; i++) begin : gen_here
    assign here_d[i] = stop ? i == 0 : ~beat_here ? here_q[i] :
        (last_here | here_q[Bytes-1]) ? i == 0 : here_q[(i+Bytes-1)%Bytes];
  end

  bnn_loop #(
      .Bits  (24),
      .Value (1'b0),
      .Copies(Planes ? 6 : 3)
  ) u_beat (
      .clk_i,
      .restart_i(clear_i),
      .go_i     (beat_loop),
      .limit_i  (beats_q),
      .value_o  (unused_beat),
      .last_o   ({last_data, last_here, last})
  );

  always_ff @(posedge clk_i) begin
    beats_q      <= beats_i;
    elements_q   <= elements_i;
    tail_q       <= (elements_q == '0) ? '1 : ~(8'hFF << elements_q);
    here_q       <= here_d;
    busy_q       <= busy_d;
    word_valid_q <= word_valid_d;
    sign_valid_q <= sign_valid_d;
  end

  if (Planes) begin : gen_planes
    localparam int unsigned Part = 16;
    // A word for each bit of a table's entry; they leave from bit B - 1 on, which is inverted.
    logic [7:0][Simd-1:0] word;
    logic [2:0] top_q, bit_q, bit_d;
    logic last_q, last_d;  // bit_q is 0, or there are signs only
    logic only_q;  // it is so from the first one on

    for (genvar n = 0; n < 8; n++) begin : gen_bit
      logic [7:0] sign_q, signs;
      logic invert_q, take;

      bnn_register u_take (
          .clk_i,
          .data_i(free_d),
          .data_o(take)
      );

      always_ff @(posedge clk_i) begin
        invert_q <= top_q == 3'(n);
        for (int unsigned i = 0; i < 8; i++) begin
          if (take) sign_q[i] <= value_i[i][n];
        end
      end

      assign signs = (sign_q ^ {8{invert_q}}) & (tail_q | {8{~last_data[n/2]}});

      bnn_first_word #(
          .Simd(Simd)
      ) u_word (
          .clk_i,
          .write_next_i(beat_d),
          .here_next_i (here_d),
          .byte_i      (signs),
          .word_o      (word[n])
      );
    end

    // The table of signs holds -1 and +1 only: bit 7.
    always_ff @(posedge clk_i) begin
      top_q  <= {planes_i[2] ^ ~(|planes_i[1:0]), planes_i[1] ^ ~planes_i[0], ~planes_i[0]};  // less 1, in LUTs
      only_q <= planes_i == '0 | planes_i == 4'd1;
      bit_q  <= bit_d;
      last_q <= last_d;
    end

    always_comb begin
      bit_d = bit_q;
      if (word_next[0]) bit_d = top_q;
      else if (&taken_i) bit_d = {bit_q[2] ^ ~(|bit_q[1:0]), bit_q[1] ^ ~bit_q[0], ~bit_q[0]};
    end

    assign last_d = word_next[1] ? only_q : (&taken_i) ? bit_q == 3'd1 : last_q;
    assign plane_last = last_q;

    bnn_register u_last (
        .clk_i,
        .data_i(last_d),
        .data_o(word_last_o)
    );

    // Some bits of the word that leaves, with a register for which it is
    for (genvar b = 0; b < Simd; b += Part) begin : gen_part
      logic [2:0] select;
      logic [7:0][Part-1:0] part;

      bnn_register #(
          .Bits(3)
      ) u_select (
          .clk_i,
          .data_i(bit_d),
          .data_o(select)
      );

      for (genvar n = 0; n < 8; n++) begin : gen_word
        assign part[n] = word[n][b+:Part];
      end

      bnn_mux #(
          .Words(8),
          .Bits (Part)
      ) u_mux (
          .select_i(select),
          .word_i  (part),
          .data_o  (word_o[b+:Part])
      );
    end
  end else begin : gen_signs
    logic [7:0] sign_q;
    logic unused_planes;

    for (genvar i = 0; i < 8; i++) begin : gen_sign
      always_ff @(posedge clk_i) begin
        if (free) sign_q[i] <= value_i[i][7];
      end
    end

    bnn_first_word #(
        .Simd(Simd)
    ) u_word (
        .clk_i,
        .write_next_i(beat_d),
        .here_next_i (here_d),
        .byte_i      (~sign_q & (tail_q | {8{~last_data[0]}})),  // table > 0: not negative; it holds -1 and +1 only
        .word_o
    );

    assign unused_planes = ^{planes_i, value_i, word_next};
    assign word_last_o = 1'b1;
    assign plane_last = 1'b1;
  end

  bnn_register #(
      .Bits(2)
  ) u_word_valid (
      .clk_i,
      .data_i({2{word_valid_d}}),
      .data_o(word_valid_o)
  );
endmodule
