// Values of the first layer: sums become bytes, and with their bits the words of records.
//
//   v = (sum*scale + offset) >> shift, at least low, at most high       low, high: -128, 127; unsigned 0, 2^value_bits - 1
//
// Channels come in the order of the bytes: for a pixel, for w < words_i: for s < 8: a word of Simd / 8 bytes, of channels
// 8*j + s of word w, if w < value_words_i; then a word with the bits of all these channels:
//
//   word_o with plane_o:     bit 8*j + s = bit of byte j of word s,        offset_o = w
//   word_o without plane_o:  byte j = value of channel 8*j + s of word w,  offset_o = words_i + 8*w + s
//
// last_o marks the pixel's last word, always one with plane_o. A word waits with plane_o, or with valid_o and ready_o, until
// taken_i, all bits of it, which without one means nothing. With words_i 0, without values, offset_o is 0.
//
// soon_i, at least four cycles apart, tells that sums_i hold another group of FirstPe channels from the third cycle
// on, four cycles long: bnn_first_pe. pop_o is high in a cycle for each group that has left: no more than Results groups are
// in the queue or on their way. load_i: the beat of channel load_index_i of those with a value, load_data_i a cycle later.
//
// The configuration is constant from two cycles before clear_i ends to the end of the run. Latency: 15 cycles from soon_i
// to a word of a quarter of the group.
module bnn_first_values
  import bnn_pkg::*;
  import bnn_add_pkg::count;
#(
    parameter int unsigned Simd = 64,
    parameter int unsigned FirstPe = 4,
    parameter int unsigned GroupBits = 5,
    parameter int unsigned Results = 32,
    localparam int unsigned IndexBits = $clog2(FirstValues),
    localparam int unsigned WordBits = $clog2(FirstChannels / Simd) + 1,
    localparam int unsigned OffsetBits = $clog2(FirstChannels / Simd + 8 * (FirstValues / Simd) + 1)
) (
    input  logic                  clk_i,
    input  logic                  clear_i,
    // Channels of the program
    input  logic                  load_i,
    input  logic [IndexBits-1:0]  load_index_i,
    input  logic [63:0]           load_data_i,
    // Configuration
    input  logic [GroupBits:0]    group_end_i,
    input  logic [WordBits-1:0]   words_i,
    input  logic [WordBits-1:0]   value_words_i,
    input  first_result_t         result_i,
    // Sums
    input  logic                  soon_i,
    input  logic [FirstPe*15-1:0] sums_i,
    output logic                  pop_o,
    // Words
    output logic                  valid_o,
    output logic                  ready_o,
    output logic [1:0]            plane_o,  // twice
    input  logic [1:0]            taken_i,
    output logic [1:0]            last_o,  // twice
    output logic [OffsetBits-1:0] offset_o,
    output logic [Simd-1:0]       value_o,  // without plane_o
    output logic [Simd-1:0]       bits_o  // with plane_o
);
  localparam int unsigned Turns = 4;  // cycles of a group
  localparam int unsigned Units = FirstPe / Turns;
  localparam int unsigned UnitBits = $clog2(Units);
  localparam int unsigned Bytes = Simd / 8;
  localparam int unsigned Parts = Bytes / Units;  // of a word
  localparam int unsigned Depth = FirstValues / Units;
  localparam int unsigned TableBits = $clog2(Depth);
  // Words of a group, and groups of a word: one of them is 1
  localparam int unsigned Words = (FirstPe > Bytes) ? FirstPe / Bytes : 1;
  localparam int unsigned Groups = (FirstPe > Bytes) ? 1 : Bytes / FirstPe;

  if (Units > Bytes) begin : gen_check
    $error("bnn_first_values: FirstPe = %0d, must be at most Simd / 2 = %0d", FirstPe, Simd / 2);
  end

  // ---- Groups: a turn for every Units channels -----------------------------------------------------

  localparam int unsigned ByteLate = 10;  // cycles from a turn to its bytes

  logic [1:0] soon_q;  // until the greatest sums are there
  logic soon;
  logic [Turns-1:0] turn_q;
  logic [ByteLate-1:0] byte_valid_q;
  logic [GroupBits:0] group;
  logic unused_group_last;
  logic clear_late;  // for the loops

  assign soon = soon_q[1];

  always_ff @(posedge clk_i) begin
    if (clear_i) begin
      soon_q       <= '0;
      turn_q       <= '0;
      byte_valid_q <= '0;
    end else begin
      soon_q       <= {soon_q[0], soon_i};
      turn_q       <= {turn_q[Turns-2:0], soon};
      byte_valid_q <= {byte_valid_q[ByteLate-2:0], |turn_q};
    end
  end

  bnn_register u_clear (
      .clk_i,
      .data_i(clear_i),
      .data_o(clear_late)
  );

  bnn_loop #(
      .Bits(GroupBits + 1)
  ) u_group (
      .clk_i,
      .restart_i(clear_late),
      .go_i     (turn_q[Turns-1]),
      .limit_i  (group_end_i),
      .value_o  (group),
      .last_o   (unused_group_last)
  );

  // ---- Bytes ---------------------------------------------------------------------------------------

  logic unsigned_q;
  logic [7:0] high_q;
  logic [Units-1:0][7:0] bytes;
  logic [Units-1:0] bits;

  always_ff @(posedge clk_i) begin
    unsigned_q <= result_i.value_bits != '0;
    for (int unsigned i = 0; i < 8; i++) high_q[i] <= result_i.value_bits == '0 ? i < 7 : i < 32'(result_i.value_bits);
  end

  for (genvar u = 0; u < Units; u++) begin : gen_unit
    logic [Turns-1:0][14:0] sums;
    logic here;

    for (genvar t = 0; t < Turns; t++) begin : gen_turn
      assign sums[t] = sums_i[15*(t*Units+u)+:15];
    end

    if (Units > 1) begin : gen_here
      assign here = load_index_i[UnitBits-1:0] == UnitBits'(u);
    end else begin : gen_one
      assign here = 1'b1;
    end

    bnn_first_value #(
        .Depth(Depth)
    ) u_value (
        .clk_i,
        .write_i     (load_i && here),
        .write_addr_i(load_index_i[UnitBits+:TableBits]),
        .write_data_i(load_data_i),
        .shift_i     (result_i.shift[4:2]),
        .unsigned_i  (unsigned_q),
        .high_i      (high_q),
        .soon_i      (soon),
        .group_i     (group[TableBits-3:0]),
        .sums_i      (sums),
        .byte_o      (bytes[u]),
        .bit_o       (bits[u])
    );
  end

  // ---- Words, and their queue ------------------------------------------------------------------

  logic [Parts-1:0] here_q, put_q;  // part of the word, one-hot
  logic [Parts-1:0][Units-1:0][7:0] byte_q;
  logic [Parts-1:0][Units-1:0] bit_q;
  logic push_q, room, some, pop;
  logic [1:0] pops;  // pop, and again for the queue
  logic [Bytes-1:0] head_bits;

  always_ff @(posedge clk_i) begin
    for (int unsigned n = 0; n < Parts; n++) begin
      if (put_q[n]) begin
        byte_q[n] <= bytes;
        bit_q[n]  <= bits;
      end
    end
    if (clear_i) begin
      here_q <= Parts'(1);
      put_q  <= '0;
      push_q <= 1'b0;
    end else begin
      if (byte_valid_q[ByteLate-2]) here_q <= (here_q << 1) | Parts'(here_q[Parts-1]);
      put_q  <= here_q & {Parts{byte_valid_q[ByteLate-2]}};
      push_q <= put_q[Parts-1];
    end
  end

  bnn_fifo #(
      .Width(Simd + Bytes),
      .Depth(Results * Words)
  ) u_words (
      .clk_i,
      .rst_i  (clear_i),
      .push_i (push_q),
      .data_i ({bit_q, byte_q}),
      .room_o (room),
      .valid_o(some),
      .pop_i  (pops[1]),
      .data_o ({head_bits, value_o})
  );

  // ---- Order of the words ------------------------------------------------------------------------

  logic more_q, next_more, value_end_q;  // whether the eight words at hand are given; whether the next ones are
  // They are given, or only their bits are taken; all are taken, and then their bits are complete
  logic given_q, bits_only_q, full_q, plane_q;
  logic eighth, end_q, left_q, left_bits, plane_taken, last;  // left_bits: left_q again
  logic given_pop;  // pop of a word that is given
  logic [2:0] number_q;  // of the eight
  logic [WordBits-1:0] value_last_q;  // of the value words
  logic [WordBits-1:0] plane;
  logic [2:0] planes;  // plane_q again, for who takes the words
  logic [OffsetBits-1:0] value_offset_q;
  logic [Bytes-1:0] bits_q;
  logic [Bytes-1:0][7:0] plane_bits_q;

  assign eighth      = pop & end_q;
  assign plane_taken = plane_q & (&taken_i);
  assign next_more   = last | (more_q & ~value_end_q);

  for (genvar i = 0; i < 2; i++) begin : gen_pop
    bnn_first_pop u_pop (
        .some_i     (some),
        .bits_only_i(bits_only_q),
        .given_i    (given_q),
        .taken_i,
        .pop_o      (pops[i])
    );
  end

  assign pop = pops[0];

  bnn_first_all #(
      .Bits(4)
  ) u_given (
      .bits_i({some, given_q, taken_i}),
      .all_o (given_pop)
  );

  bnn_loop #(
      .Bits (WordBits),
      .Gates(3)
  ) u_plane (
      .clk_i,
      .restart_i(clear_late),
      .go_i     ({plane_q, taken_i}),
      .limit_i  (words_i),
      .value_o  (plane),
      .last_o   (last)
  );

  for (genvar i = 0; i < 3; i++) begin : gen_planes
    bnn_register u_plane (
        .clk_i,
        .data_i(~clear_i & full_q & ~plane_taken),
        .data_o(planes[i])
    );
  end

  for (genvar i = 0; i < 2; i++) begin : gen_last
    bnn_register u_last (
        .clk_i,
        .data_i(~clear_i & full_q & ~plane_taken & last),
        .data_o(last_o[i])
    );
  end

  assign plane_q = planes[2];

  bnn_register u_left (
      .clk_i,
      .data_i(pop),
      .data_o(left_bits)
  );

  always_ff @(posedge clk_i) begin
    bits_q      <= head_bits;
    value_last_q <= WordBits'(count(32'(value_words_i), 1'b0, 1'b1));
    value_end_q  <= plane == value_last_q;
    for (int unsigned j = 0; j < Bytes; j++) begin
      if (left_bits) plane_bits_q[j] <= {bits_q[j], plane_bits_q[j][7:1]};
    end
    if (clear_i || (full_q && last)) value_offset_q <= OffsetBits'(words_i);
    else if (given_pop) value_offset_q <= OffsetBits'(count(32'(value_offset_q), 1'b1, 1'b0));
    if (clear_i) begin
      number_q    <= '0;
      end_q       <= 1'b0;
      more_q      <= 1'b1;
      given_q     <= 1'b1;
      bits_only_q <= 1'b0;
      full_q      <= 1'b0;
      left_q      <= 1'b0;
    end else begin
      if (pop) begin
        number_q <= 3'(count(32'(number_q), 1'b1, 1'b0));
        end_q    <= number_q == 3'd6;
      end
      if (plane_taken) more_q <= next_more;
      if (plane_taken) {given_q, bits_only_q} <= {next_more, ~next_more};
      else if (eighth) {given_q, bits_only_q} <= '0;
      full_q  <= eighth | (full_q & ~plane_taken);
      left_q  <= pop;
    end
  end

  assign valid_o  = some;
  assign ready_o  = given_q;
  assign plane_o  = planes[1:0];
  assign offset_o = plane_q ? OffsetBits'(plane) : value_offset_q;
  assign bits_o   = plane_bits_q;

  // ---- Groups that have left -------------------------------------------------------------------------

  logic over;  // the word that has left was the last one of a group, or of several

  if (Words > 1) begin : gen_words
    assign over = left_q & (number_q[$clog2(Words)-1:0] == '0);
  end else begin : gen_groups
    assign over = left_q;
  end

  if (Groups == 1) begin : gen_in_turn
    logic over_q;

    always_ff @(posedge clk_i) over_q <= ~clear_i & over;

    assign pop_o = over_q;
  end else begin : gen_owed
    logic [4:0] owed_q;

    always_ff @(posedge clk_i) begin
      if (clear_i) owed_q <= '0;
      else owed_q <= owed_q + (over ? 5'(Groups) : 5'd0) - 5'(pop_o);
    end

    assign pop_o = owed_q != '0;
  end

  logic unused_values;
  assign unused_values = ^{result_i, group, load_index_i};

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (clear_i);

  groups_apart: assert property (soon |-> turn_q[Turns-2:0] == '0)
      else $error("soon_i with a group of %b turns at work", turn_q);
  words_have_room: assert property (push_q |-> room)
      else $error("more than Results = %0d groups in the queue", Results);
`endif
endmodule
