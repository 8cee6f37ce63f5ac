// Writes of the first layer: the order of its bits or words, their addresses, and the words that are written.
//
//   for each sub-batch, to base_even_i and base_odd_i in turn: for i < its images:
//     for y < rows_i: for x < columns_i: for group < group_end_i:  FirstPe channels to lane x mod Lanes,
//         base + i*image_stride + y*row_stride + (x / Lanes)*words + (group*FirstPe) / Simd
//     with pack_i:  for w < plane_words_i: for each plane p:
//         a word to lane i mod Lanes, base + (i / Lanes)*image_stride + p*plane_words_i + w
//     with values_i, in place of groups of channels:  a word, value_i or with plane_i value_bits_i, to value_offset_i
//         of the pixel's words; value_last_i goes with the pixel's last one
//
// With values_i and fewer than PairWords words in a pixel the words of an even lane wait for those of the odd one
// behind it, at the same addresses, and both lanes are written at once; the last pixel of a row may have none behind
// it. write_data_o has the even lanes' word and above it the odd lanes'.
//
// rows_i and columns_i are those after the pool. Every write has the whole word: the channels before, those of this
// write, and 0 for those to come. bits_pop_o takes FirstPe bits that are there; a word of values that is there is taken
// with all bits of value_taken_o, a packed word with those of word_taken_o. No word is there in the
// cycle after the last one of an image was taken.
// done_o is a pulse at least one cycle after the last write of a sub-batch was taken, row_o one after that of a row, for
// the sub-batch's last one together with done_o.
//
// clear_i begins again, run_i is high during a run; the configuration is constant from two cycles before clear_i ends
// to the end of the run. pack_data_i and values_data_i are pack_i and values_i once more, for what is wide. Writes:
// bnn_first_layer.
//
// Latency: a write is at the port 2 cycles after its bits or its word were taken.
module bnn_first_write
  import bnn_pkg::*;
  import bnn_add_pkg::add;
#(
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned AddrBits = 10,
    parameter int unsigned FirstPe = 4,
    parameter int unsigned GroupBits = 5,
    parameter int unsigned OffsetBits = 8,
    parameter bit Values = 1'b0
) (
    input  logic                clk_i,
    input  logic                clear_i,
    input  logic                run_i,
    // Configuration
    input  logic                pack_i,
    input  logic                pack_data_i,
    input  logic                planes_i,  // every group is a word
    input  logic                values_i,  // only with Values
    input  logic                values_data_i,
    input  logic [GroupBits:0]  group_end_i,
    input  logic [15:0]         rows_i,
    input  logic [15:0]         columns_i,
    input  logic [AddrBits-1:0] base_even_i,
    input  logic [AddrBits-1:0] base_odd_i,
    input  logic [AddrBits-1:0] image_stride_i,
    input  logic [AddrBits-1:0] row_stride_i,
    input  logic [AddrBits-1:0] words_i,
    input  logic [15:0]         sub_batch_i,
    input  logic [31:0]         count_i,
    // Bits of channels
    input  logic [2:0]          bits_valid_i,  // three times
    output logic                bits_pop_o,
    input  logic [FirstPe-1:0]  bits_i,
    // Words of values and of the bits beside them
    output logic [1:0]          value_taken_o,
    input  logic                value_valid_i,  // with value_ready_i, without plane_i
    input  logic                value_ready_i,
    input  logic [1:0]          plane_i,  // twice
    input  logic [1:0]          value_last_i,  // with plane_i, twice
    input  logic [OffsetBits-1:0] value_offset_i,  // 0 without values_i
    input  logic [Simd-1:0]     value_i,
    input  logic [Simd-1:0]     value_bits_i,
    // Packed words
    input  logic [1:0]          word_valid_i,  // twice
    input  logic                word_last_i,  // of its planes
    input  logic [AddrBits-1:0] plane_words_i,  // from a plane to the next
    output logic [1:0]          word_taken_o,
    input  logic [Simd-1:0]     word_i,
    // Write port
    output logic                write_valid_o,
    input  logic                write_wait_i,
    input  logic                write_next_i,
    output logic [Lanes-1:0]    write_lane_o,
    output logic [AddrBits-1:0] write_addr_o,
    output logic [2*Simd-1:0]   write_data_o,
    output logic                row_o,
    output logic                done_o
);
  localparam int unsigned Slots = Simd / FirstPe;
  localparam int unsigned LaneBits = $clog2(Lanes);
  localparam int unsigned Third = (AddrBits + 2) / 3;  // of an address
  localparam int unsigned IndexBits = $clog2(PairWords);

  // ---- Loops ---------------------------------------------------------------------------------

  localparam int unsigned G = 0, X = 1, Y = 2;

  // Copies of a register: whether the write port has room. Those from Here on are for the counters, for addresses, for
  // what is wide, for the loops and for what is taken.
  localparam int unsigned Steps = 9, Here = 9, Place = 10, Slice = 11, Pair = 12, Loop = 13, Value = 14, Plane = 15;
  localparam int unsigned Word = 16, Even = 17, Image = 18, Row = 19, Pixel = 20, Rooms = 21;

  logic [Rooms-1:0] room;
  logic write, write_here;  // the latter of bits alone, for their places in a word
  logic active_q, image_last_q;
  logic [2:0] word_clear;
  logic word_last, word_step, pixel_end, lane_end, row_end, map_end, image_end;
  logic [1:0] sub_end;  // if there is room, and with it
  logic packing;  // active_q with pack_i
  logic [2:0] packings;  // the same, three times
  localparam int unsigned Words = 1, Loops = 2;
  logic [2:0] clear_late;  // for the loops, two each, and for the sub-batches
  logic [2:0] open;  // active_q without pack_i and the pauses; again for words of values, and for the loops
  logic some_bits, last_bits;  // there are bits or a word of values, the last ones of a group
  logic row_end_q, sub_end_q;  // a write has ended a row, a sub-batch
  logic [2:0] last;
  logic group_loop, group_step;  // last[G] again, for the loops, for what is ended
  logic slot_end;  // bits of a word
  logic [15:0] unused_value[2];
  logic [GroupBits:0] unused_group, group_limit_q;
  logic [AddrBits-1:0] unused_word;
  logic [LaneBits-1:0] lane_q, lane_next;

  bnn_first_step u_step (
      .clear_i      (clear_late[1]),
      .room_i       (room[Steps-1:0]),
      .open_i       (open[0]),
      .pack_i       (packings[2]),
      .bits_i       (bits_valid_i[0]),
      .value_i      (Values & value_valid_i),
      .ready_i      (value_ready_i),
      .plane_i      (Values & plane_i[0]),
      .ends_i       (bits_valid_i[2]),
      .value_last_i (Values & value_last_i[0]),
      .word_i       (word_valid_i[0]),
      .last_i       ({last[Y:X], group_step}),
      .word_last_i  (word_last),
      .plane_last_i (word_last_i),
      .slot_last_i  (slot_end),
      .lane_last_i  (&lane_q),
      .image_last_i (image_last_q),
      .write_o      (write),
      .bits_o       ({write_here, bits_pop_o}),
      .word_clear_o (word_clear),
      .word_step_o  (word_step),
      .pixel_o      (pixel_end),
      .lane_o       (lane_end),
      .row_o        (row_end),
      .map_o        (map_end),
      .image_o      (image_end),
      .sub_o        (sub_end)
  );

  // What goes on is told to each loop by registers, so that it is made from them there.
  assign some_bits = bits_valid_i[1] | (Values & ((value_valid_i & value_ready_i) | plane_i[0]));
  assign last_bits = bits_valid_i[1] | (Values & value_last_i[1]);

  for (genvar i = 0; i < 3; i++) begin : gen_clear
    bnn_register u_clear (
        .clk_i,
        .data_i(clear_i),
        .data_o(clear_late[i])
    );
  end

  // value_last_i ends a pixel
  always_ff @(posedge clk_i) group_limit_q <= Values && values_i ? (GroupBits + 1)'(1) : group_end_i;

  bnn_loop #(
      .Bits  (GroupBits + 1),
      .Gates (3),
      .Value (1'b0),
      .Copies(3)
  ) u_group (
      .clk_i,
      .restart_i(clear_late[0]),
      .go_i     ({room[Loop], open[Loops], some_bits}),
      .limit_i  (group_limit_q),
      .value_o  (unused_group),
      .last_o   ({group_step, group_loop, last[G]})
  );
  bnn_loop #(
      .Gates(4),
      .Value(1'b0)
  ) u_x (
      .clk_i,
      .restart_i(clear_late[0]),
      .go_i     ({room[Loop], open[Loops], last_bits, group_loop}),
      .limit_i  (columns_i),
      .value_o  (unused_value[0]),
      .last_o   (last[X])
  );
  // A cycle later, in the pause behind a row
  bnn_loop #(
      .Value(1'b0)
  ) u_y (
      .clk_i,
      .restart_i(clear_late[1]),
      .go_i     (row_end_q),
      .limit_i  (rows_i),
      .value_o  (unused_value[1]),
      .last_o   (last[Y])
  );
  bnn_loop #(
      .Bits (AddrBits),
      .Gates(4),
      .Value(1'b0)
  ) u_word (
      .clk_i,
      .restart_i(clear_late[1]),
      .go_i     ({room[Loop], packing, word_valid_i[1], word_last_i}),
      .limit_i  (plane_words_i),
      .value_o  (unused_word),
      .last_o   (word_last)
  );

  assign value_taken_o = {room[Value], open[Words]};
  assign word_taken_o  = {room[Word], packings[1]};

  // ---- Sub-batches ---------------------------------------------------------------------------

  // Counted apart from those that are begun: the writes lag behind.
  logic parity_q, begin_d, begin_q, left_some_q, given_q;
  logic pause_q;  // a row has ended, for one cycle with room
  logic [4:0] begins;  // one for each address, for the images and those left
  logic [2:0] settle_q;  // ones: cycles since next changed
  logic [31:0] left;
  logic [15:0] images_q, less_q, next;  // less_q: one less
  logic image_end_q;  // counted a cycle later, as images do not end one right after the other
  logic [1:0] end_q, ended_q;  // of a row, of the sub-batch: with the write at hand, with the one that waits
  logic [1:0][1:0] done_q;

  bnn_sub_batch u_written (
      .clk_i,
      .restart_i(clear_late[2]),
      .step_i   (begins[4]),
      .count_i,
      .size_i   (sub_batch_i),
      .left_o   (left),
      .images_o (next)
  );

  // What was written last has left the first one of the registers below, which are placed by the bases' old values.
  assign begin_d = ~active_q & ~begin_q & settle_q[2] & left_some_q & ~given_q;

  for (genvar i = 0; i < 5; i++) begin : gen_begin
    bnn_register u_begin (
        .clk_i,
        .data_i(begin_d),
        .data_o(begins[i])
    );
  end

  // A sub-batch ends with a row
  for (genvar i = 0; i < 3; i++) begin : gen_open
    bnn_first_open u_open (
        .clk_i,
        .clear_i,
        .pack_i,
        .begin_i    (begin_q),
        .active_i   (active_q & ~sub_end_q),
        .room_i     (room[Here]),
        .pause_i    (pause_q),
        .bits_i     (bits_valid_i[1]),
        .value_last_i(Values & value_last_i[0]),
        .last_i     (last[X:G]),
        .open_o     (open[i])
    );
  end

  for (genvar i = 0; i < 3; i++) begin : gen_packed
    bnn_first_packed u_packed (
        .clk_i,
        .clear_i,
        .pack_i,
        .begin_i (begin_q),
        .active_i(active_q),
        .end_i   (sub_end_q),
        .packed_o(packings[i])
    );
  end

  assign packing = packings[0];

  always_ff @(posedge clk_i) begin
    left_some_q <= left != '0;
    image_end_q <= image_end;
    less_q      <= 16'(add(32'(images_q), '1));
    settle_q    <= {settle_q[1:0], run_i} & {3{~active_q & ~clear_i}};
    if (begins[3]) begin
      images_q     <= next;
      image_last_q <= next == 16'd1;
    end else if (image_end_q) begin
      images_q     <= less_q;
      image_last_q <= images_q == 16'd2;
    end
    if (clear_i) begin
      active_q <= 1'b0;
      pause_q  <= 1'b0;
      begin_q  <= 1'b0;
      parity_q <= 1'b0;
      done_q   <= '0;
      end_q    <= '0;
      ended_q  <= '0;
      row_end_q <= 1'b0;
      sub_end_q <= 1'b0;
    end else begin
      begin_q  <= begin_d;
      active_q <= begin_q | (active_q & ~sub_end_q);
      pause_q  <= room[Here] ? row_end : pause_q;
      row_end_q <= room[Here] & row_end;
      sub_end_q <= sub_end[1];
      parity_q <= parity_q ^ sub_end_q;
      if (room[Here]) end_q <= {row_end, sub_end[0]};
      ended_q  <= (end_q & {2{room[Here]}}) | (ended_q & {2{write_wait_i}});
      done_q   <= {done_q[0], ended_q & {2{~write_wait_i}}};
    end
  end

  assign {row_o, done_o} = done_q[1];

  // ---- Addresses -----------------------------------------------------------------------------

  logic [AddrBits-1:0] image_stride_q, row_stride_q;
  logic [AddrBits-1:0] base_q, pixel_stride_q, image_base_q, row_base_q, pixel_base_q;
  logic [3*Third-1:0] word_q, word_next;
  logic [AddrBits-1:0] plane_q;  // of pack mode, else 0
  // Where the next image, row and place behind all lanes begin: a cycle after the bases have changed, and before they do
  // so again, as a row is followed by a pause and there are two lanes or more.
  logic [AddrBits-1:0] image_next_q, row_next_q, pixel_next_q;
  logic map_q, row_q, lane_end_q;  // of the write before: what it ends moves the bases with the next one
  logic [Slots-1:0] here_q, here_next;  // which bits of the word, one-hot
  logic here_last, slots_end;  // here_last: the top bit of here_q again

  always_comb begin
    here_next = here_q;
    if (!active_q) here_next = Slots'(1);  // between sub-batches
    else if (write_here) here_next = slots_end ? Slots'(1) : here_q << 1;
  end

  bnn_register u_here_last (
      .clk_i,
      .data_i(here_next[Slots-1]),
      .data_o(here_last)
  );

  assign word_next = (3 * Third)'(add(32'(word_q), 32'd1));
  assign slot_end = here_last | planes_i;
  assign slots_end = last[G] | slot_end;  // the word's last write

  // One more, in LUTs
  for (genvar b = 0; b < LaneBits; b++) begin : gen_lane
    assign lane_next[b] = lane_q[b] ^ (&(lane_q | ~LaneBits'((1 << b) - 1)));
  end

  always_ff @(posedge clk_i) begin
    base_q         <= parity_q ? base_odd_i : base_even_i;
    pixel_stride_q <= pack_data_i ? image_stride_i : words_i;
    image_stride_q <= image_stride_i;
    row_stride_q   <= row_stride_i;
    image_next_q   <= AddrBits'(add(32'(image_base_q), 32'(image_stride_q)));
    row_next_q     <= AddrBits'(add(32'(row_base_q), 32'(row_stride_q)));
    pixel_next_q   <= AddrBits'(add(32'(pixel_base_q), 32'(pixel_stride_q)));
    if (begins[0]) image_base_q <= base_q;
    else if (room[Image] && map_q) image_base_q <= image_next_q;
    if (begins[1]) row_base_q <= base_q;
    else if (room[Row] && row_q) row_base_q <= map_q ? image_next_q : row_next_q;
    if (begins[2]) pixel_base_q <= base_q;
    else if (room[Pixel] && (row_q || lane_end_q)) begin
      pixel_base_q <= map_q ? image_next_q : row_q ? row_next_q : pixel_next_q;
    end
    if (clear_i) {map_q, row_q, lane_end_q} <= '0;
    else if (room[Place]) {map_q, row_q, lane_end_q} <= {map_end, row_end, lane_end};
    // What counts within a pixel or the planes of a word ends with it.
    for (int unsigned i = 0; i < 3; i++) begin
      if (word_clear[i]) word_q[i*Third+:Third] <= '0;
      else if (word_step) word_q[i*Third+:Third] <= word_next[i*Third+:Third];
    end
    if (!active_q) begin  // between sub-batches
      lane_q <= '0;
    end else if (pixel_end) begin
      lane_q <= (~pack_i & last[X]) ? '0 : lane_next;
    end
    here_q <= here_next;
    if (!packing || (room[Plane] && word_valid_i[1] && word_last_i)) plane_q <= '0;
    else if (write) plane_q <= AddrBits'(add(32'(plane_q), 32'(plane_words_i[AddrBits-1:0])));
  end

  // ---- Write port ----------------------------------------------------------------------------

  // The write, registered twice: it waits for the array's, and both registers with it.
  logic pairs_q, valid_q, valid, first, first_next;  // first: here_q[0] again, for the slices
  logic even_q;  // the write is one of an even lane
  logic [IndexBits-1:0] index_q;
  logic [1:0][Lanes-1:0] lane_mask_q;
  logic [AddrBits-1:0] place, offset_q, addr_q;  // of the word in the pixel; from the pixel's base; the address
  logic [OffsetBits-1:0] value_offset_q;
  logic [Simd-1:0] data;

  for (genvar i = 0; i < Rooms; i++) begin : gen_room
    bnn_first_room u_room (
        .clk_i,
        .clear_i,
        .given_i(given_q),
        .valid_i(valid_q),
        .wait_i (write_next_i),
        .room_o (room[i])
    );
  end

  assign place = AddrBits'(add(32'(word_q), 32'(plane_q)));

  assign valid = room[Here] ? given_q : valid_q;

  always_comb begin
    first_next = first;
    if (!active_q) first_next = 1'b1;
    else if (write) first_next = slots_end;
  end

  bnn_register u_first (
      .clk_i,
      .data_i(first_next),
      .data_o(first)
  );

  always_ff @(posedge clk_i) begin
    pairs_q <= Values & values_i & (words_i >> IndexBits) == '0;
    if (room[Here]) begin
      even_q  <= write & ~lane_q[0];
      index_q <= IndexBits'(value_offset_i);
      for (int unsigned l = 0; l < Lanes; l++) begin
        lane_mask_q[0][l] <= lane_q == LaneBits'(l) | (pairs_q & lane_q == LaneBits'(l | 1));
      end
      lane_mask_q[1] <= lane_mask_q[0];
    end
    if (room[Place]) begin
      offset_q <= place;
      value_offset_q <= value_offset_i;
      addr_q   <= AddrBits'(add(32'(pixel_base_q), 32'(offset_q | AddrBits'(value_offset_q))));  // one of them is 0
    end
    if (clear_i) begin
      given_q <= 1'b0;
      valid_q <= 1'b0;
    end else begin
      if (room[Here]) given_q <= write & ~(pairs_q & ~lane_q[0] & ~last[X]);
      valid_q <= valid;
    end
  end

  for (genvar s = 0; s < Slots; s++) begin : gen_slice
    bnn_first_slice #(
        .Bits  (FirstPe),
        .Values(Values)
    ) u_slice (
        .clk_i,
        .enable_i (room[Slice]),
        .pack_i   (pack_data_i),
        .begin_i  (first),
        .here_i   (here_q[s]),
        .channel_i(bits_i),
        .word_i   (word_i[s*FirstPe+:FirstPe]),
        .values_i (values_data_i),
        .plane_i  (plane_i[1]),
        .value_i  (value_i[s*FirstPe+:FirstPe]),
        .bits_i   (value_bits_i[s*FirstPe+:FirstPe]),
        .data_o   (data[s*FirstPe+:FirstPe])
    );
  end

  if (Values) begin : gen_pair
    bnn_first_pair #(
        .Simd (Simd),
        .Words(PairWords)  // a LUT of RAM has no fewer
    ) u_pair (
        .clk_i,
        .enable_i(room[Pair]),
        .write_i (room[Even] & even_q),
        .index_i (index_q),
        .data_i  (data),
        .data_o  (write_data_o)
    );
  end else begin : gen_single
    logic [Simd-1:0] data_q;
    logic unused_pair;

    always_ff @(posedge clk_i) if (room[Pair]) data_q <= data;

    assign write_data_o = {2{data_q}};
    assign unused_pair = ^{even_q, index_q};
  end

  assign write_valid_o = valid_q;
  assign write_lane_o  = lane_mask_q[1];
  assign write_addr_o  = addr_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (clear_i);

  one_source: assert property (|bits_valid_i |-> !value_valid_i && plane_i == '0)
      else $error("bits_valid_i together with value_valid_i or plane_i");
`endif
endmodule
