// First-layer engine: images from memory to the activation memory, ahead of the array.
//
// Convolution mode: the images go through the pixel table into an image buffer (two images, one
// is filled while the other is read). Columns of three rows (four with a pool) are read into a
// patch of 4x4 pixels; for every position of it all channels are computed, FirstPe at a time,
// so a pixel takes max(3, groups) cycles, a quad of a pool max(8, 4*groups + 1).
// With pixel_map the bits of the table's entries are planes, each a group of its own of at most four channels.
// With values (header_i.first_result) a byte of each sum is written too, and a pixel takes 4*groups cycles without a pool.
// Pack mode: every byte becomes the sign of its table entry; eight bits a cycle, and one cycle more
// for each word.
// Both follow docs/ARCHITECTURE.md, "The first layer".
//
// load_*: the beats of the program's first-layer block in order, load_index_i from 0.
// start_i: a pulse before a run, after the block is loaded; header_i, count_i and images_i are constant from three
// cycles before it until rst_i, which ends the run. count_i images are read from images_i on, in sub-batches of
// header_i.sub_batch (the last may be smaller), to the even and the odd base in turn. done_o is a pulse at least one
// cycle after the last write of a sub-batch was taken, row_o one after that of a row of a map. consumed_i is a pulse
// when the array has read a sub-batch: at most two sub-batches are done and not consumed.
//
// With FirstWired the sums are those of bnn_first_wired, a generated module with the weights of one first layer, and no
// values; wrong_o tells that the program's is another.
//
// Writes: to all lanes of write_lane_o at the same address, the lower word of write_data_o to even ones, the upper one
// to odd ones; once for every FirstPe channels, those to come 0; taken without write_wait_i; write_next_i is that of the
// next cycle.
module bnn_first_layer
  import bnn_pkg::*;
  import bnn_add_pkg::add, bnn_add_pkg::count;
#(
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned ActDepth = 1024,
    parameter int unsigned FirstPe = 4,
    parameter int unsigned ImagePixels = 1024,
    parameter bit FirstWired = 1'b0,
    parameter bit Vector = 1'b0,  // planes of pixels by image, and values
    localparam int unsigned AddrBits = $clog2(ActDepth)
) (
    input  logic                clk_i,
    input  logic                rst_i,
    // First-layer block of the program
    input  logic                load_valid_i,
    input  logic [9:0]          load_index_i,
    input  logic [63:0]         load_data_i,
    output logic                wrong_o,
    // Run
    input  header_t             header_i,
    input  logic                start_i,
    input  logic [31:0]         count_i,
    input  logic [63:0]         images_i,
    input  logic                consumed_i,
    output logic                row_o,
    output logic                done_o,
    // Reads of images
    output logic                command_valid_o,
    input  logic                command_ready_i,
    output logic [63:0]         command_addr_o,
    output logic [31:0]         command_beats_o,
    input  logic                beat_valid_i,
    input  logic [63:0]         beat_i,
    output logic                beat_give_o,
    output logic                hungry_o,  // half of the queue or more is free
    // Writes
    output logic                write_valid_o,
    input  logic                write_wait_i,
    input  logic                write_next_i,
    output logic [Lanes-1:0]    write_lane_o,
    output logic [AddrBits-1:0] write_addr_o,
    output logic [2*Simd-1:0]   write_data_o
);
  localparam int unsigned PixelBits = $clog2(ImagePixels);
  localparam int unsigned PeBits = $clog2(FirstPe);
  localparam int unsigned SimdBits = $clog2(Simd);
  localparam int unsigned GroupBits = $clog2(FirstChannels / FirstPe);
  localparam int unsigned TableBeats = TableBytes / BeatBytes;
  localparam int unsigned WordBits = $clog2(FirstChannels / Simd) + 1;
  localparam int unsigned OffsetBits = $clog2((FirstChannels + 8 * FirstValues) / Simd + 1);
  localparam bit Values = Vector && !FirstWired;
  localparam int unsigned BeatFifo = 128;
  localparam int unsigned Results = 32;  // more than the sums that are on their way

  // ---- Configuration, as it is used; a run begins two cycles after start_i -------------------------

  // A copy of the mode for each part.
  localparam int unsigned Parts = 11;
  localparam int unsigned Read = 0, Turn = 1, Column = 2, Window = 3, Pack = 4, Write = 5, Slice = 6, Image = 7;
  localparam int unsigned Bit = 8, Value = 9, Queue = 10;

  logic [Parts-1:0] clear, pack, pool, values;
  logic [2:0] channels_q;
  logic [3:0] planes_q, pack_planes_q;
  logic [AddrBits-1:0] plane_words_q;
  logic pack_q, pad_q, map_q, begin_q, run_q;
  logic [2:0] no_channels_q;  // parts of their number
  logic [15:0] all_columns_q, column_limit_q, columns_q, rows_q;
  logic [AddrBits-1:0] elements_words_q;
  logic carry_q;  // into the upper half of column_limit_q
  logic more_words_q, planes_some_q;
  logic [GroupBits:0] group_end_q;

  for (genvar i = 0; i < Parts; i++) begin : gen_part
    bnn_register #(
        .Bits(3)
    ) u_mode (
        .clk_i,
        .data_i({rst_i | start_i, pack_q, header_i.image_mode.pool}),
        .data_o({clear[i], pack[i], pool[i]})
    );
    if (Values) begin : gen_values
      bnn_register u_values (
          .clk_i,
          .data_i(header_i.first_result.value_channels[$clog2(FirstValues):SimdBits] != '0),
          .data_o(values[i])
      );
    end else begin : gen_bits
      assign values[i] = 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    no_channels_q  <= {~(|header_i.first_channels[15:11]) & ~header_i.image_mode.pixel_map,
                       ~(|header_i.first_channels[10:5]), ~(|header_i.first_channels[4:0])};
    pack_q         <= &no_channels_q;
    channels_q     <= header_i.image_mode.channels[2:0];
    map_q          <= header_i.image_mode.pixel_map;
    pack_planes_q  <= header_i.image_mode.first_planes & {4{~map_q}};
    more_words_q   <= header_i.elements[SimdBits-1:0] != '0;
    elements_words_q <= header_i.elements[SimdBits+:AddrBits];
    plane_words_q  <= AddrBits'(add(32'(elements_words_q), 32'(more_words_q)));
    // A plane of pixels is a group of its own, of the window's middle
    planes_q       <= header_i.image_mode.first_planes & {4{map_q}};
    planes_some_q  <= map_q & (header_i.image_mode.first_planes != '0);
    pad_q          <= header_i.image_mode.pad | header_i.image_mode.pixel_map;
    group_end_q    <= map_q ? (GroupBits + 1)'(header_i.image_mode.first_planes)
        : (GroupBits + 1)'(header_i.first_channels[15:0] >> PeBits);
    // Two more, by halves
    all_columns_q  <= header_i.computed.columns;
    carry_q        <= &all_columns_q[7:1];
    column_limit_q <= {8'(count(32'(all_columns_q[15:8]), carry_q, 1'b0)),
                       7'(count(32'(all_columns_q[7:1]), 1'b1, 1'b0)), all_columns_q[0]};
    columns_q      <= pool[Read] ? header_i.computed.columns >> 1 : header_i.computed.columns;
    rows_q         <= pool[Write] ? header_i.computed.rows >> 1 : header_i.computed.rows;
    begin_q        <= start_i & ~rst_i;
    run_q          <= ~rst_i & (begin_q | run_q);
  end

  // ---- First-layer block: the pixel table, then a beat per channel, then one per value -------------

  logic table_load, channel_load, value_load, channels_next_q, values_next_q;
  logic [9:0] last_channel_q;
  logic [8:0] channel_index;
  logic [$clog2(FirstValues)-1:0] value_index_q;
  logic [63:0] load_data_q;

  assign table_load = load_valid_i & (load_index_i < 10'(TableBeats));
  assign channel_load = load_valid_i & channels_next_q & ~values_next_q;

  // load_index_i less TableBeats, 32, in LUTs
  assign channel_index = {load_index_i[8:6] ^ {~(|load_index_i[7:5]), ~(|load_index_i[6:5]), ~load_index_i[5]},
                          ~load_index_i[5], load_index_i[4:0]};

  always_ff @(posedge clk_i) begin
    load_data_q <= load_data_i;
    if (load_valid_i) begin
      channels_next_q <= load_index_i == 10'(TableBeats - 1) || (channels_next_q && load_index_i != '0);
    end
  end

  if (Values) begin : gen_value_load
    assign value_load = load_valid_i & values_next_q;

    always_ff @(posedge clk_i) begin
      // TableBeats, 32, and one less than the channels, in LUTs
      last_channel_q <= {5'(count(32'(header_i.first_channels[9:5]), ~no_channels_q[0], 1'b0)),
                         5'(count(32'(header_i.first_channels[4:0]), 1'b0, 1'b1))};
      if (load_valid_i) values_next_q <= load_index_i == last_channel_q || (values_next_q && load_index_i != '0);
      if (!values_next_q) value_index_q <= '0;
      else if (load_valid_i) value_index_q <= $bits(value_index_q)'(count(32'(value_index_q), 1'b1, 1'b0));
    end
  end else begin : gen_no_values
    assign {value_load, values_next_q, last_channel_q, value_index_q} = '0;
  end

  // ---- Images: beats, looked up ----------------------------------------------------------------

  logic beat_valid, image_take, pack_take;
  logic [63:0] beat;  // at the head of the queue
  logic [31:0] pixel;
  logic [3:0][4:0] pixel_row;  // [7:3] of its bytes again
  logic [3:0][7:0] value;  // of the pixel's bytes
  logic [7:0][7:0] pack_value;  // of the beat's

  bnn_first_read #(
      .Depth(BeatFifo)
  ) u_read (
      .clk_i,
      .rst_i,
      .clear_i      (clear[Read]),
      .begin_i      (begin_q),
      .count_i,
      .images_i,
      .image_bytes_i(header_i.image_bytes),
      .command_valid_o,
      .command_ready_i,
      .command_addr_o,
      .command_beats_o,
      .beat_valid_i,
      .beat_i,
      .beat_give_o,
      .hungry_o,
      .valid_o      (beat_valid),
      .pop_i        ({pack_take, image_take}),  // one of them is low throughout a run
      .data_o       (beat)
  );

  bnn_first_table #(
      .Whole(Vector)
  ) u_table (
      .clk_i,
      .load_valid_i(table_load),
      .load_index_i(load_index_i[4:0]),
      .load_data_i (load_data_q),
      .pixel_i     (pixel),
      .row_i       (pixel_row),
      .pixel_o     (value),
      .beat_i      (beat),
      .pack_o      (pack_value)
  );

  // ---- Sub-batches: which image may be begun -------------------------------------------------------

  logic some, image_begin, pack_begin, image_begun_q;

  // One of them has nothing to begin. An image takes three cycles or more: the next one is begun with what follows.
  always_ff @(posedge clk_i) image_begun_q <= ~clear[Image] & (image_begin | pack_begin);

  bnn_first_turn u_turn (
      .clk_i,
      .rst_i,
      .clear_i    (clear[Turn]),
      .run_i      (run_q),
      .count_i,
      .sub_batch_i(header_i.sub_batch[15:0]),
      .begin_i    (image_begun_q),
      .consumed_i,
      .some_o     (some)
  );

  // ---- Convolution mode: image buffer, columns, windows, bits --------------------------------------

  logic read_last, column_valid, column_complete, bits_pop;
  logic [1:0] column_pop;
  logic [2:0] bits_valid;  // three times
  logic window_valid, window_first, window_last;
  logic [1:0] full;
  logic [PixelBits-1:0] filled;
  logic [PixelBits:0] read_addr;
  logic [31:0] read_data;
  logic [127:0] column;
  logic [FirstTaps*MaxChannels*8-1:0] window;
  logic [1:0][GroupBits-1:0] window_group;
  logic [FirstPe-1:0] bits;
  logic wrong, sums_soon;
  logic [1:0] results_pop;  // bits, a group of values
  logic [FirstPe*15-1:0] sums;

  bnn_first_image #(
      .ImagePixels(ImagePixels)
  ) u_image (
      .clk_i,
      .clear_i     (clear[Image]),
      .pack_i      (pack[Image]),
      .channels_i  (channels_q),
      .pixels_i    (header_i.pixels[15:0]),
      .beat_valid_i(beat_valid),
      .beat_take_o (image_take),
      .beat_i      (beat),
      .pixel_o     (pixel),
      .row_o       (pixel_row),
      .value_i     (value),
      .full_o      (full),
      .filled_o    (filled),
      .read_last_i (read_last),
      .read_addr_i (read_addr),
      .read_data_o (read_data)
  );

  bnn_first_columns #(
      .PixelBits(PixelBits)
  ) u_columns (
      .clk_i,
      .clear_i       ({clear[Queue], clear[Column]}),
      .pack_i        (pack[Column]),
      .pool_i        (pool[Column]),
      .pad_i         (pad_q),
      .rows_i        (rows_q),
      .column_limit_i(column_limit_q),
      .height_i      (header_i.image_size.height),
      .width_i       (header_i.image_size.width),
      .some_i        (some),
      .begin_o       (image_begin),
      .full_i        (full),
      .filled_i      (filled),
      .read_last_o   (read_last),
      .read_addr_o   (read_addr),
      .read_data_i   (read_data),
      .valid_o       (column_valid),
      .pop_i         (column_pop),
      .complete_o    (column_complete),
      .data_o        (column)
  );

  bnn_first_windows #(
      .GroupBits(GroupBits),
      .Results  (Results)
  ) u_windows (
      .clk_i,
      .clear_i       (clear[Window]),
      .pool_i        (pool[Window]),
      .four_i        (pool[Window] | values[Window]),
      .group_end_i   (group_end_q),
      .column_valid_i(column_valid),
      .column_pop_o  (column_pop),
      .complete_i    (column_complete),
      .column_i      (column),
      .valid_o       (window_valid),
      .first_o       (window_first),
      .last_o        (window_last),
      .window_o      (window),
      .group_o       (window_group),
      .pop_i         (results_pop)
  );

  bnn_first_bits #(
      .FirstPe   (FirstPe),
      .GroupBits (GroupBits),
      .Results   (Results),
      .FirstWired(FirstWired),
      .Values    (Values)
  ) u_bits (
      .clk_i,
      .clear_i       (clear[Bit]),
      .load_valid_i  (channel_load),
      .load_index_i  (channel_index),
      .load_data_i   (load_data_q),
      .channels_out_i(header_i.first_channels[15:0]),
      .channels_in_i (header_i.image_mode.channels[2:0]),
      .planes_i      (planes_q),
      .values_i      (values[Window]),
      .wrong_o       (wrong),
      .valid_i       (window_valid),
      .first_i       (window_first),
      .last_i        (window_last),
      .window_i      (window),
      .group_i       (window_group),
      .valid_o       (bits_valid),
      .pop_i         (bits_pop),
      .data_o        (bits),
      .sums_soon_o   (sums_soon),
      .sums_o        (sums)
  );

  // ---- Values: words of them and of their bits, in place of bits -----------------------------------

  logic value_valid, value_ready;
  logic [1:0] value_last, value_plane, value_taken;
  logic [OffsetBits-1:0] value_offset;
  logic [Simd-1:0] value_word, value_bits;

  if (Values) begin : gen_values
    logic group_pop;
    logic [WordBits-1:0] words_q, value_words_q;

    always_ff @(posedge clk_i) begin
      words_q       <= WordBits'(header_i.first_channels[15:0] >> SimdBits) & {WordBits{values[Value]}};
      value_words_q <= WordBits'(header_i.first_result.value_channels >> SimdBits);
    end

    bnn_first_values #(
        .Simd     (Simd),
        .FirstPe  (FirstPe),
        .GroupBits(GroupBits),
        .Results  (Results)
    ) u_values (
        .clk_i,
        .clear_i      (clear[Value]),
        .load_i       (value_load),
        .load_index_i (value_index_q),
        .load_data_i  (load_data_q),
        .group_end_i  (group_end_q),
        .words_i      (words_q),
        .value_words_i(value_words_q),
        .result_i     (header_i.first_result),
        .soon_i       (sums_soon),
        .sums_i       (sums),
        .pop_o        (group_pop),
        .valid_o      (value_valid),
        .ready_o      (value_ready),
        .plane_o      (value_plane),
        .taken_i      (value_taken),
        .last_o       (value_last),
        .offset_o     (value_offset),
        .value_o      (value_word),
        .bits_o       (value_bits)
    );

    assign results_pop = {group_pop, bits_pop};
    assign wrong_o = wrong;
  end else begin : gen_bits
    logic unused_values;
    assign unused_values = ^{value_load, value_taken, last_channel_q, value_index_q, sums_soon, sums};
    assign {value_valid, value_ready, value_plane, value_last, value_offset, value_word, value_bits} = '0;
    assign results_pop = {1'b0, bits_pop};
    assign wrong_o = wrong | (Vector & (header_i.first_result.value_channels != '0));
  end

  // ---- Pack mode: words of signs -------------------------------------------------------------------

  logic [1:0] word_valid;  // twice
  logic word_last;
  logic [1:0] word_taken;
  logic [Simd-1:0] word;

  bnn_first_pack #(
      .Simd  (Simd),
      .Planes(Vector)
  ) u_pack (
      .clk_i,
      .clear_i     (clear[Pack]),
      .pack_i      (pack[Pack]),
      .beats_i     (header_i.image_bytes[26:3]),
      .elements_i  (header_i.elements[2:0]),
      .some_i      (some),
      .begin_o     (pack_begin),
      .beat_valid_i(beat_valid),
      .beat_take_o (pack_take),
      .planes_i    (pack_planes_q),
      .value_i     (pack_value),
      .word_valid_o(word_valid),
      .word_last_o (word_last),
      .word_o      (word),
      .taken_i     (word_taken)
  );

  // ---- Writes --------------------------------------------------------------------------------------

  bnn_first_write #(
      .Simd      (Simd),
      .Lanes     (Lanes),
      .AddrBits  (AddrBits),
      .FirstPe   (FirstPe),
      .GroupBits (GroupBits),
      .OffsetBits(OffsetBits),
      .Values    (Values)
  ) u_write (
      .clk_i,
      .clear_i       (clear[Write]),
      .run_i         (run_q),
      .pack_i        (pack[Write]),
      .pack_data_i   (pack[Slice]),
      .planes_i      (planes_some_q),
      .values_i      (values[Write]),
      .values_data_i (values[Slice]),
      .group_end_i   (group_end_q),
      .rows_i        (rows_q),
      .columns_i     (columns_q),
      .base_even_i   (header_i.out_even[AddrBits-1:0]),
      .base_odd_i    (header_i.out_odd[AddrBits-1:0]),
      .image_stride_i(header_i.out_image_stride[AddrBits-1:0]),
      .row_stride_i  (header_i.out_row_stride[AddrBits-1:0]),
      .words_i       (header_i.out_words[AddrBits-1:0]),
      .sub_batch_i   (header_i.sub_batch[15:0]),
      .count_i,
      .bits_valid_i  (bits_valid),
      .bits_pop_o    (bits_pop),
      .bits_i        (bits),
      .value_taken_o (value_taken),
      .value_valid_i (value_valid),
      .value_ready_i (value_ready),
      .plane_i       (value_plane),
      .value_last_i  (value_last),
      .value_offset_i(value_offset),
      .value_i       (value_word),
      .value_bits_i  (value_bits),
      .word_valid_i  (word_valid),
      .word_last_i   (word_last),
      .plane_words_i (plane_words_q),
      .word_taken_o  (word_taken),
      .word_i        (word),
      .write_valid_o,
      .write_wait_i,
      .write_next_i,
      .write_lane_o,
      .write_addr_o,
      .write_data_o,
      .row_o,
      .done_o
  );

  logic unused_first;
  assign unused_first = ^{header_i, clear, pack, pool, values};

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  int due_q;  // sub-batches done and not consumed

  always_ff @(posedge clk_i) due_q <= (rst_i || start_i) ? 0 : due_q + 32'(done_o) - 32'(consumed_i);

  load_before_run: assert property (load_valid_i |-> !run_q && !start_i)
      else $error("load_valid_i during a run");
  program_constant: assert property (run_q |-> $stable({header_i, count_i, images_i}))
      else $error("header_i, count_i or images_i change during a run");
  consumed_is_done: assert property (consumed_i |-> due_q > 0)
      else $error("consumed_i without a sub-batch that is done");
  ahead_limited: assert property (due_q <= 2)
      else $error("%0d sub-batches are done and not consumed", due_q);
  wait_announced: assert property (write_wait_i == $past(write_next_i))
      else $error("write_wait_i = %b, write_next_i was another", write_wait_i);
`endif
endmodule
