// Run controller: reads a program and works through its batches (docs/ARCHITECTURE.md).
//
// start_i begins a run with the addresses and the count given. Header, descriptors and first-layer block
// are read; then three loops run side by side, each over all sub-batches: the weight stream
// (commands to the weight reader, bounded by the room in the ring), the first layer (elsewhere,
// started by first_start_o) and the array layers. done_o ends the run; cycles_o, busy_o and
// error_o hold until the next start.
//
// With keep_i a run goes on with what the last one left in the core, if that was a resident program
// at the same address and ended without error: it starts at once, and loads nothing but images.
//
// Errors end the run: the readers drop what is left (abort_o), all units are reset (flush_o)
// when the bus is quiet, and done_o follows. Codes: 1 magic or version, 2 geometry,
// 3 layers, 4 AXI response, 5 a value of the header or of a descriptor out of range, a part of the
// program beyond its size, or layers that do not take the weight words of their segment.
//
// Every start, clear, abort and flush comes from a register, as do the values of the program:
// these of the first layer are constant from two cycles before first_start_o, those of a layer from
// three cycles before layer_start_o until the next layer but layer_scores_o, which follows
// layer_done_i by three cycles.
module bnn_run #(
    parameter int unsigned Pe = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned WeightDepth = 1024,
    parameter int unsigned ActDepth = 1024,
    parameter int unsigned FirstPe = 4,
    parameter int unsigned ImagePixels = 1024,
    parameter int unsigned MaxLayers = 16,
    localparam int unsigned AddrBits = $clog2(ActDepth),
    localparam int unsigned RingBits = $clog2(WeightDepth)
) (
    input  logic                clk_i,
    input  logic                rst_i,
    // Run
    input  logic                start_i,
    input  logic [63:0]         program_i,
    input  logic [63:0]         images_i,
    input  logic [63:0]         scores_i,
    input  logic [30:0]         count_i,
    input  logic                keep_i,
    output logic                done_o,
    output logic [31:0]         cycles_o,
    output logic [31:0]         busy_o,
    output logic [31:0]         error_o,
    // Bus
    input  logic                bus_busy_i,
    input  logic                bus_error_i,
    output logic                clear_error_o,
    output logic [2:0]          read_abort_o,
    output logic                write_abort_o,
    output logic                flush_o,
    // Program reader and weight reader
    output logic [63:0]         section_addr_o,
    output logic [31:0]         section_beats_o,
    output logic                program_valid_o,
    input  logic                program_ready_i,
    output logic                weight_valid_o,
    input  logic                weight_ready_i,
    output logic                credit_set_o,
    input  logic                beat_valid_i,
    input  logic [63:0]         beat_i,
    // Weight ring
    output logic                ring_clear_o,
    output logic                ring_hold_o,
    output logic [RingBits:0]   ring_words_o,
    output logic                ring_rewind_o,
    // First layer
    output logic                first_start_o,
    output logic [63:0]         first_images_o,
    output logic [31:0]         first_count_o,
    output logic                first_load_o,
    output logic [9:0]          first_index_o,
    output logic [63:0]         first_data_o,
    output logic                first_pad_o,
    output logic                first_pool_o,
    output logic [15:0]         first_channels_o,
    output logic [2:0]          image_channels_o,
    output logic [15:0]         image_height_o,
    output logic [15:0]         image_width_o,
    output logic [15:0]         image_pixels_o,
    output logic [15:0]         first_rows_o,
    output logic [15:0]         first_columns_o,
    output logic [31:0]         image_bytes_o,
    output logic [31:0]         image_elements_o,
    output logic [AddrBits-1:0] first_even_o,
    output logic [AddrBits-1:0] first_odd_o,
    output logic [AddrBits-1:0] first_image_stride_o,
    output logic [AddrBits-1:0] first_row_stride_o,
    output logic [AddrBits-1:0] first_words_o,
    output logic [15:0]         sub_batch_o,
    input  logic                first_wrong_i,  // the program has another first layer than the one wired in
    input  logic                first_done_i,
    output logic                first_consumed_o,
    // Array layers
    output logic                layer_start_o,
    output logic [19*32-1:0]    layer_o,
    output logic                layer_odd_o,
    output logic [15:0]         layer_images_o,
    output logic [15:0]         layer_in_batch_o,
    output logic [63:0]         layer_scores_o,
    input  logic [63:0]         scores_next_i,
    input  logic                layer_done_i,
    input  logic                multiply_i
);
  localparam int unsigned LayerBits = (MaxLayers > 1) ? $clog2(MaxLayers) : 1;
  localparam int unsigned WordBeats = Pe * Simd / 64;
  localparam int unsigned WordShift = $clog2(WordBeats);
  localparam int unsigned PeBits = $clog2(Pe), LaneBits = $clog2(Lanes);
  localparam int unsigned SimdBits = $clog2(Simd);
  localparam logic [31:0] Geometry = {16'(Simd), 8'(Lanes), 8'(Pe)};

  // State, one-hot.
  localparam int unsigned Idle = 0, Open = 1, Ask = 2, Read = 3, Check = 4, Begin = 5, SubBatch = 6;
  localparam int unsigned Copy = 7, Settle = 8, Start = 9, Layer = 10, Abort = 11, Flush = 12, Done = 13;
  // Parts of the program, one-hot. The four behind the header are read in this order, and checked.
  localparam int unsigned Header = 0, Layers = 1, First = 2, SegmentA = 3, SegmentB = 4;

  logic [Done:0] state_q;
  logic [9:0] wait_q;  // ones: cycles of a state that waits
  logic [SegmentB:0] section_q;
  logic [31:0] cycles_q, busy_q;
  logic [2:0] error_q;
  logic [63:0] program_q, kept_program_q, images_q, scores_q;
  logic [31:0] count_q;
  logic start_q, keep_asked_q, none_q;
  logic kept_q, same_q, keep_q;  // a program is in place; it has this address; this run uses it

  logic in_b_q, last_q, last_b_q, layer_end_q;  // segment B; its or A's last layer; the program's; a layer is done

  function automatic logic [Done:0] hot(input int unsigned state);
    return (Done + 1)'(1) << state;
  endfunction

  function automatic logic [SegmentB:0] section(input int unsigned number);
    return (SegmentB + 1)'(1) << number;
  endfunction

  // ---- Header --------------------------------------------------------------------------------

  logic [32*32-1:0] header_q;  // beats enter at the top
  logic [31:0] words_a, words_b;
  logic [32:0] words_q;  // of both segments
  logic [15:0] sub_batch, batch, layers, layers_a;
  logic resident, two_segments_q;

  always_ff @(posedge clk_i) begin
    if (state_q[Read] && section_q[Header] && beat_valid_i) begin
      header_q <= {beat_i, header_q[32*32-1:64]};
    end
    two_segments_q <= layers_a != layers;
    words_q        <= {1'b0, words_a} + {1'b0, words_b};
  end

  assign layers    = header_q[4*32+:16];
  assign layers_a  = header_q[5*32+:16];
  assign sub_batch = header_q[6*32+:16];
  assign batch     = header_q[7*32+:16];
  assign resident  = header_q[8*32];
  assign words_a   = header_q[11*32+:32];
  assign words_b   = header_q[13*32+:32];

  assign first_channels_o     = header_q[15*32+:16];
  assign image_bytes_o        = header_q[16*32+:32];
  assign image_pixels_o       = header_q[19*32+:16];
  assign image_height_o       = header_q[20*32+:16];
  assign image_width_o        = header_q[20*32+16+:16];
  assign image_channels_o     = header_q[21*32+:3];
  assign first_pad_o          = header_q[21*32+8];
  assign first_pool_o         = header_q[21*32+9];
  assign first_rows_o         = header_q[22*32+:16];
  assign first_columns_o      = header_q[22*32+16+:16];
  assign first_even_o         = header_q[23*32+:AddrBits];
  assign first_odd_o          = header_q[24*32+:AddrBits];
  assign first_image_stride_o = header_q[25*32+:AddrBits];
  assign first_row_stride_o   = header_q[26*32+:AddrBits];
  assign first_words_o        = header_q[27*32+:AddrBits];
  assign image_elements_o     = header_q[28*32+:32];
  assign sub_batch_o          = sub_batch;

  // One comparison per term, registered: the check has time.
  logic [1:0] magic_q;
  logic [1:0] geometry_q;
  logic [1:0] layers_range_q;
  logic [21:0] range_q;
  // What sizes and counts must be.
  logic [31:0] area_q, elements_q;
  logic [28:0] beats_q;
  logic [31-SimdBits:0] packed_q;
  logic [16:0] rows_q, columns_q;
  logic no_words_b_q;
  logic pack_q, bad_magic_q, bad_geometry_q, bad_layers_q, bad_range_q;
  always_ff @(posedge clk_i) begin
    magic_q           <= {header_q[0+:32] != 32'h504E_4E42, header_q[32+:32] != 32'd1};
    bad_magic_q       <= |magic_q;
    geometry_q        <= {header_q[2*32+:32] != Geometry, header_q[18*32+:32] != 32'(FirstPe)};
    bad_geometry_q    <= |geometry_q;
    layers_range_q[0] <= header_q[4*32+:32] > 32'(MaxLayers);
    layers_range_q[1] <= header_q[4*32+:32] == '0;
    bad_layers_q      <= |layers_range_q;
    pack_q            <= first_channels_o == '0;
    area_q            <= 32'(image_height_o) * 32'(image_width_o);
    elements_q        <= 32'(image_pixels_o) * 32'(image_channels_o);
    beats_q           <= image_elements_o[31:3] + 29'(image_elements_o[2:0] != '0);
    packed_q          <= image_elements_o[31:SimdBits]
        + (32 - SimdBits)'(image_elements_o[SimdBits-1:0] != '0);
    rows_q            <= 17'(image_height_o) - (first_pad_o ? 17'd0 : 17'd2);
    columns_q         <= 17'(image_width_o) - (first_pad_o ? 17'd0 : 17'd2);
    no_words_b_q      <= words_b == '0;
    range_q[0]  <= header_q[5*32+:32] > header_q[4*32+:32];
    range_q[1]  <= header_q[5*32+:32] == '0;
    range_q[2]  <= header_q[6*32+:16] == '0 || header_q[6*32+16+:16] != '0;
    range_q[3]  <= header_q[7*32+:32] < header_q[6*32+:32];
    range_q[4]  <= header_q[7*32+16+:16] != '0 || header_q[17*32+16+:16] != '0;
    range_q[5]  <= resident && words_q > 33'(WeightDepth);
    range_q[6]  <= words_a == '0;
    range_q[7]  <= two_segments_q == no_words_b_q;
    range_q[8]  <= header_q[15*32+:32] > 32'd512;
    range_q[9]  <= (header_q[15*32+:32] & 32'(FirstPe - 1)) != '0 || image_channels_o == '0
        || image_channels_o > 3'd4;
    range_q[10] <= header_q[19*32+:32] == '0;
    range_q[11] <= header_q[19*32+:32] > 32'(ImagePixels);
    range_q[12] <= header_q[16*32+:32] == '0 || header_q[16*32+:3] != '0;
    range_q[13] <= pack_q ? image_elements_o == '0 : first_rows_o == '0 || first_columns_o == '0;
    range_q[14] <= first_words_o == '0;
    range_q[15] <= |{header_q[9*32+:3], header_q[10*32+:3], header_q[12*32+:3], header_q[14*32+:3]};
    range_q[16] <= header_q[19*32+:32] != area_q;
    range_q[17] <= image_elements_o != elements_q;
    range_q[18] <= header_q[16*32+3+:29] != beats_q;
    range_q[19] <= !pack_q && {rows_q[16:1], rows_q[0] & ~first_pool_o} != {1'b0, first_rows_o};
    range_q[20] <= !pack_q && {columns_q[16:1], columns_q[0] & ~first_pool_o} != {1'b0, first_columns_o};
    range_q[21] <= pack_q && header_q[27*32+:32] != 32'(packed_q);
    bad_range_q <= |range_q;
  end

  // ---- Sections ------------------------------------------------------------------------------

  // Place and size of the one in section_q, in beats; the others' are 0. Address and end come three
  // cycles after it, beyond_q four: whether it ends behind the program.
  localparam int unsigned SizeBits = 32 + WordShift;

  logic [SegmentB:0][28:0] offset, offset_q;
  logic [SegmentB:0][SizeBits-1:0] size, size_q;
  logic [28:0] section_offset, section_offset_q;
  logic [SizeBits-1:0] section_size, section_size_q;
  logic [63:0] section_addr_q;
  logic [31:0] section_beats_q;
  logic [SizeBits:0] section_end_q;
  logic beyond_q, bad_size_q;

  assign offset = {header_q[12*32+3+:29], header_q[10*32+3+:29], header_q[14*32+3+:29],
                   header_q[9*32+3+:29], 29'd0};
  assign size = {SizeBits'(words_b) << WordShift, SizeBits'(words_a) << WordShift,
                 SizeBits'(first_channels_o) + SizeBits'(32), SizeBits'(layers) << 4, SizeBits'(16)};

  for (genvar s = 0; s <= SegmentB; s++) begin : gen_section
    always_ff @(posedge clk_i) begin
      offset_q[s] <= section_q[s] ? offset[s] : '0;
      size_q[s]   <= section_q[s] ? size[s] : '0;
    end
  end

  always_comb begin
    section_offset = '0;
    section_size   = '0;
    for (int s = 0; s <= SegmentB; s++) begin
      section_offset |= offset_q[s];
      section_size   |= size_q[s];
    end
  end

  always_ff @(posedge clk_i) begin
    section_offset_q <= section_offset;
    section_size_q   <= section_size;
    section_addr_q   <= program_q + {32'd0, section_offset_q, 3'd0};
    section_beats_q  <= section_size_q[31:0];
    section_end_q    <= (SizeBits + 1)'(section_offset_q) + (SizeBits + 1)'(section_size_q);
    beyond_q         <= section_end_q > (SizeBits + 1)'(header_q[3*32+3+:29]);
    if (state_q[Read]) bad_size_q <= 1'b0;
    else if (state_q[Check] && wait_q[3] && beyond_q) bad_size_q <= 1'b1;
  end

  // ---- Program reads -------------------------------------------------------------------------

  logic [12:0] left_beats_q;
  logic [12:0] beat_q;
  logic program_valid_q, program_taken, last_beat_q, read_end;
  logic first_load_q;
  logic [9:0] first_index_q;
  logic [63:0] first_data_q;

  assign program_taken = program_valid_q & program_ready_i;
  assign read_end = state_q[Read] & beat_valid_i & last_beat_q;

  always_ff @(posedge clk_i) begin
    program_valid_q <= ~rst_i & state_q[Ask] & wait_q[2] & ~program_taken;
    if (state_q[Ask]) begin
      beat_q       <= '0;
      left_beats_q <= section_beats_q[12:0];
      last_beat_q  <= 1'b0;
    end else if (beat_valid_i) begin
      beat_q       <= beat_q + 13'd1;
      left_beats_q <= left_beats_q - 13'd1;
      last_beat_q  <= left_beats_q == 13'd2;
    end
    first_load_q  <= state_q[Read] & section_q[First] & beat_valid_i;
    first_index_q <= beat_q[9:0];
    first_data_q  <= beat_i;
  end

  assign section_addr_o  = section_addr_q;
  assign section_beats_o = section_beats_q;
  assign program_valid_o = program_valid_q;
  assign first_load_o    = first_load_q;
  assign first_index_o   = first_index_q;
  assign first_data_o    = first_data_q;

  // ---- Descriptors ---------------------------------------------------------------------------

  (* ram_style = "block" *) logic [63:0] layer_mem[MaxLayers*16];
  logic [63:0] layer_beat_q;
  logic [20*32-1:0] fetched_q;  // beats enter at the top
  logic [19*32-1:0] layer_q;
  logic [LayerBits-1:0] layer_index_q, fetch_index_q, next_index_q;
  logic [3:0] fetch_q;
  logic fetch_busy_q, fetch_valid_q, fetch_last_q;
  logic [6:0] settle_q;  // ones: cycles since the last word, until its checks are over
  logic fetched;

  // The next descriptor is fetched while a layer runs.
  assign fetched = settle_q[6];

  always_ff @(posedge clk_i) begin
    if (state_q[Read] && section_q[Layers] && beat_valid_i) layer_mem[beat_q[LayerBits+3:0]] <= beat_i;
    layer_beat_q  <= layer_mem[{fetch_index_q, fetch_q}];
    fetch_valid_q <= fetch_busy_q;
    if (fetch_valid_q) fetched_q <= {layer_beat_q, fetched_q[20*32-1:64]};
    if (state_q[Copy]) layer_q <= fetched_q[19*32-1:0];
    fetch_last_q <= fetch_q == 4'd8;
    if (state_q[Begin] || state_q[Start]) begin
      fetch_index_q <= state_q[Begin] ? '0 : next_index_q;
      fetch_q       <= '0;
      fetch_busy_q  <= 1'b1;
    end else if (fetch_busy_q) begin
      fetch_q      <= fetch_q + 4'd1;
      fetch_busy_q <= ~fetch_last_q;
    end
    if (state_q[Begin] || state_q[Start] || fetch_busy_q || fetch_valid_q) settle_q <= '0;
    else settle_q <= {settle_q[5:0], 1'b1};
  end

  // Words of weight memory: of a group, of the layer, of the segment's layers up to it.
  logic [16:0] group_words_q;
  logic [32:0] product_q, layer_words_q;
  logic [31:0] taken_q;  // before it
  logic [33:0] needed_q;
  logic [17:0] layer_range_q;
  // What groups, blocks and words of a group must be.
  logic [16-PeBits:0] groups_q;
  logic [16-LaneBits:0] blocks_q;
  logic [19:0] taps_q;
  logic over_a_q, under_a_q, over_b_q, under_b_q, bad_words_q, bad_layer_q;

  always_ff @(posedge clk_i) begin
    group_words_q    <= 17'(fetched_q[15*32+:16]) + (fetched_q[5] ? 17'd2 : 17'd1);
    product_q        <= 33'(fetched_q[1*32+:16]) * 33'(group_words_q);
    layer_words_q    <= product_q;
    layer_range_q[0] <= fetched_q[1*32+:32] == '0;
    layer_range_q[1] <= fetched_q[1*32+16+:16] != '0 || fetched_q[2*32+16+:16] != '0;
    layer_range_q[2] <= fetched_q[2*32+:32] == '0;
    layer_range_q[3] <= fetched_q[3*32+:32] == '0 || (fetched_q[3] && fetched_q[3*32]);
    layer_range_q[4] <= fetched_q[5*32+:32] == '0;
    layer_range_q[5] <= fetched_q[5*32+16+:16] != '0 || fetched_q[15*32+16+:16] != '0;
    layer_range_q[6] <= group_words_q > 17'(WeightDepth);
    layer_range_q[7] <= fetched_q[15*32+:32] == '0;
    layer_range_q[8] <= fetched_q[17*32+:32] == '0;
    layer_range_q[9] <= fetched_q[18*32+:32] == '0;
    // What is counted in two ways must agree, or the counters of the layer end apart.
    groups_q <= (17 - PeBits)'(fetched_q[17*32+PeBits+:16-PeBits]) + (17 - PeBits)'(fetched_q[17*32+:PeBits] != '0);
    blocks_q <= (17 - LaneBits)'(fetched_q[4*32+LaneBits+:16-LaneBits])
        + (17 - LaneBits)'(fetched_q[4*32+:LaneBits] != '0);
    taps_q   <= 20'(fetched_q[2*32+:16]) + (fetched_q[0] ? {1'b0, fetched_q[2*32+:16], 3'd0} : 20'd0);
    layer_range_q[10] <= fetched_q[17*32+16+:16] != '0 || fetched_q[4*32+16+:16] != '0
        || fetched_q[3*32+16+:16] != '0;
    layer_range_q[11] <= 16'(groups_q) != fetched_q[1*32+:16];
    layer_range_q[12] <= 16'(blocks_q) != fetched_q[5*32+:16];
    layer_range_q[13] <= taps_q != 20'(fetched_q[15*32+:16]);
    layer_range_q[14] <= fetched_q[6] && (fetched_q[3*32+:16] != 16'd1 || fetched_q[5*32+:16] != 16'd1);
    // Scores are what the last layer, and no other, gives.
    layer_range_q[15] <= fetched_q[5] != last_b_q;
    layer_range_q[16] <= fetched_q[5] && !fetched_q[6];
    layer_range_q[17] <= fetched_q[5] && fetched_q[17*32+:16] != header_q[17*32+:16];
    needed_q    <= 34'(taken_q) + 34'(layer_words_q);
    over_a_q    <= needed_q > 34'(words_a);
    under_a_q   <= needed_q < 34'(words_a);
    over_b_q    <= needed_q > 34'(words_b);
    under_b_q   <= needed_q < 34'(words_b);
    bad_words_q <= in_b_q ? over_b_q | (last_q & under_b_q) : over_a_q | (last_q & under_a_q);
    bad_layer_q <= |layer_range_q;
    if (state_q[Begin] || (layer_end_q && last_q)) taken_q <= '0;
    else if (state_q[Start]) taken_q <= needed_q[31:0];
  end

  // ---- Array layers --------------------------------------------------------------------------

  logic [31:0] left;  // images of sub-batches not finished
  logic [15:0] sub_images, in_batch_q, layer_images_q, layer_in_batch_q;
  logic [1:0] ready_q;  // sub-batches the first layer has done
  logic odd_q, sub_taken, batch_end_q, first_done_q, images_b;
  logic sub_end_q, batch_over_q;  // segment A has done a sub-batch; the last segment a batch
  logic last_a_q, first_q;
  logic to_b_q, segment_end_q;  // what follows the last layer of a segment
  logic [15:0] in_batch_next_q;
  logic last_images_q, done_images_q, run_end_q;
  logic layer_start_q, first_consumed_q;

  assign sub_taken = state_q[SubBatch] & wait_q[3] & (ready_q != '0);

  bnn_sub_batch u_sub_batch (
      .clk_i,
      .restart_i(state_q[Begin]),
      .step_i   (sub_end_q),
      .count_i  (count_q),
      .size_i   (sub_batch),
      .left_o   (left),
      .images_o (sub_images)
  );

  bnn_register u_images_b (
      .clk_i,
      .data_i(in_b_q),
      .data_o(images_b)
  );

  // These settle in the nine cycles before they are used.
  always_ff @(posedge clk_i) begin
    last_a_q        <= 16'(layer_index_q) + 16'd1 == layers_a;
    last_b_q        <= 16'(layer_index_q) + 16'd1 == layers;
    last_q          <= in_b_q ? last_b_q : last_a_q;
    first_q         <= layer_index_q == '0;
    in_batch_next_q <= in_batch_q + sub_images;
    last_images_q   <= left == 32'(sub_images);
    done_images_q   <= left == '0;
    batch_end_q     <= last_images_q | (in_batch_next_q == batch);
    to_b_q          <= last_q & ~in_b_q & batch_end_q & two_segments_q;
    segment_end_q   <= last_q & (in_b_q | ~batch_end_q | ~two_segments_q);
    // left still counts this sub-batch unless segment B has run.
    run_end_q       <= in_b_q ? done_images_q : last_images_q;
    next_index_q    <= segment_end_q ? '0 : layer_index_q + 1'b1;
    // Segment B takes the images of the batch.
    layer_images_q   <= images_b ? in_batch_q : sub_images;
    layer_in_batch_q <= images_b ? '0 : in_batch_q;
  end

  always_ff @(posedge clk_i) begin
    layer_start_q    <= state_q[Start];
    first_done_q     <= first_done_i;
    layer_end_q      <= layer_done_i;
    first_consumed_q <= layer_end_q & first_q;
    sub_end_q        <= layer_end_q & last_q & ~in_b_q;
    batch_over_q     <= layer_end_q & last_q & (in_b_q | (batch_end_q & ~two_segments_q));
    ring_rewind_o    <= layer_end_q & last_q & ~in_b_q & resident & two_segments_q & ~batch_end_q;
    if (state_q[Begin]) begin
      in_batch_q <= '0;
      odd_q      <= 1'b0;
    end else begin
      if (sub_end_q) odd_q <= ~odd_q;
      if (batch_over_q) in_batch_q <= '0;
      else if (sub_end_q) in_batch_q <= in_batch_next_q;
    end
    if (state_q[Begin]) ready_q <= '0;
    else ready_q <= ready_q + 2'(first_done_q) - 2'(sub_taken);
  end

  assign layer_start_o    = layer_start_q;
  assign layer_o          = layer_q;
  assign layer_odd_o      = odd_q;
  assign layer_images_o   = layer_images_q;
  assign layer_in_batch_o = layer_in_batch_q;
  assign layer_scores_o   = scores_q;
  assign first_consumed_o = first_consumed_q;
  assign first_images_o   = images_q;
  assign first_count_o    = count_q;

  bnn_register u_first_start (
      .clk_i,
      .data_i(state_q[Begin]),
      .data_o(first_start_o)
  );

  bnn_register u_credit_set (
      .clk_i,
      .data_i(state_q[Begin]),
      .data_o(credit_set_o)
  );

  // ---- Weight stream -------------------------------------------------------------------------

  logic stream_q, weight_valid_q, weight_taken_q, stream_step_q;  // the last: a sub-batch is sent
  logic [31:0] stream_left;
  logic [15:0] stream_in_batch_q, stream_images, stream_next_q;
  logic [9:0] stream_wait_q;  // ones: the cycles in which the comparisons settle
  logic stream_last_q, stream_batch_end_q, stream_to_b_q, stream_end_q;
  logic [RingBits:0] ring_words_q;
  logic ring_clear_q, ring_hold_q;

  bnn_sub_batch u_stream (
      .clk_i,
      .restart_i(state_q[Begin]),
      .step_i   (stream_step_q),
      .count_i  (count_q),
      .size_i   (sub_batch),
      .left_o   (stream_left),
      .images_o (stream_images)
  );

  always_ff @(posedge clk_i) begin
    stream_next_q      <= stream_in_batch_q + stream_images;
    stream_last_q      <= stream_left == 32'(stream_images);
    stream_batch_end_q <= stream_last_q | (stream_next_q == batch);
    stream_to_b_q      <= section_q[SegmentA] & two_segments_q & (stream_batch_end_q | resident);
    stream_end_q       <= ~stream_to_b_q & (resident | stream_last_q);
    weight_taken_q     <= weight_valid_q & weight_ready_i;
    stream_step_q      <= weight_taken_q & ~stream_to_b_q;
    if (state_q[Begin] || weight_taken_q) stream_wait_q <= '0;
    else stream_wait_q <= {stream_wait_q[8:0], 1'b1};
    if (state_q[Begin]) stream_in_batch_q <= '0;
    else if (stream_step_q) stream_in_batch_q <= stream_batch_end_q ? '0 : stream_next_q;
    if (rst_i || state_q[Abort]) stream_q <= 1'b0;
    else if (state_q[Begin]) stream_q <= ~keep_q;
    else if (weight_taken_q && stream_end_q) stream_q <= 1'b0;
    weight_valid_q <= stream_q & stream_wait_q[9] & ~weight_taken_q
        & ~(weight_valid_q & weight_ready_i) & ~state_q[Abort];
    ring_clear_q <= state_q[Begin] & ~keep_q;
    ring_hold_q  <= resident;
    ring_words_q <= words_q[RingBits:0];
  end

  assign weight_valid_o = weight_valid_q;
  assign ring_clear_o   = ring_clear_q;
  assign ring_hold_o    = ring_hold_q;
  assign ring_words_o   = ring_words_q;

  always_ff @(posedge clk_i) begin
    if (state_q[Idle]) section_q <= section(Header);
    else if ((state_q[Check] && !wait_q[5]) || (read_end && !section_q[Header])
             || (weight_taken_q && stream_to_b_q)) begin
      section_q <= {section_q[SegmentB-1:0], section_q[SegmentB]};
    end else if (weight_taken_q) begin
      section_q <= section(SegmentA);
    end
  end

  // ---- States --------------------------------------------------------------------------------

  logic flush_q, finished_q, scores_set_q;
  logic [3:0] scores_load_q;
  logic [3:0] same_parts_q;

  for (genvar p = 0; p < 4; p++) begin : gen_scores
    bnn_register u_load (
        .clk_i,
        .data_i(start_i),
        .data_o(scores_load_q[p])
    );

    always_ff @(posedge clk_i) begin
      if (scores_set_q) begin
        scores_q[16*p+:16] <= scores_load_q[p] ? scores_i[16*p+:16] : scores_next_i[16*p+:16];
      end
      same_parts_q[p] <= program_q[16*p+:16] == kept_program_q[16*p+:16];
    end
  end

  always_ff @(posedge clk_i) begin
    if (start_q) begin
      program_q    <= program_i;
      images_q     <= images_i;
      count_q      <= {1'b0, count_i};
      keep_asked_q <= keep_i;
    end
    scores_set_q <= start_i | (layer_end_q & layer_q[5]);
    none_q       <= count_q == '0;
    same_q       <= &same_parts_q;
    flush_q      <= state_q[Flush];
    finished_q   <= state_q[Done];
    if (rst_i) begin
      start_q  <= 1'b0;
      state_q  <= hot(Idle);
      wait_q   <= '0;
      cycles_q <= '0;
      busy_q   <= '0;
      error_q  <= '0;
      kept_q   <= 1'b0;
      keep_q   <= 1'b0;
    end else begin
      start_q <= start_i;
      if (start_q) cycles_q <= '0;
      else if (!state_q[Idle]) cycles_q <= cycles_q + 32'd1;
      if (start_q) busy_q <= '0;
      else if (multiply_i) busy_q <= busy_q + 32'd1;
      if (state_q[Open]) keep_q <= keep_asked_q & kept_q & same_q;
      if (state_q[Ask]) kept_q <= 1'b0;
      else if (state_q[Done]) kept_q <= resident & (error_q == '0) & ~none_q;
      wait_q <= {wait_q[8:0], 1'b1};
      unique case (1'b1)
        state_q[Idle]: begin
          wait_q <= '0;
          if (start_q) begin
            error_q <= '0;
            state_q <= hot(Open);
          end
        end
        // The comparison of the addresses takes three cycles.
        state_q[Open]: begin
          if (wait_q[3]) begin
            wait_q  <= '0;
            state_q <= none_q ? hot(Done) : keep_q ? hot(Begin) : hot(Ask);
          end
        end
        state_q[Ask]: begin
          kept_program_q <= program_q;
          if (program_taken) state_q <= hot(Read);
        end
        state_q[Read]: begin
          wait_q <= '0;
          if (read_end) begin
            state_q <= section_q[Header] ? hot(Check) : section_q[First] ? hot(Begin) : hot(Ask);
          end
        end
        state_q[Check]: begin
          if (wait_q[9]) begin
            wait_q  <= '0;
            state_q <= hot(Ask);
            if (bad_magic_q || bad_geometry_q || bad_layers_q || bad_range_q || bad_size_q) begin
              error_q <= bad_magic_q ? 3'd1 : bad_geometry_q ? 3'd2 : bad_layers_q ? 3'd3 : 3'd5;
              state_q <= hot(Abort);
            end
          end
        end
        state_q[Begin]: begin
          in_b_q        <= 1'b0;
          layer_index_q <= '0;
          wait_q        <= '0;
          state_q       <= hot(SubBatch);
        end
        state_q[SubBatch]: begin
          if (sub_taken) begin
            state_q <= hot(Copy);
            if (first_wrong_i) begin
              error_q <= 3'd2;
              state_q <= hot(Abort);
            end
          end
        end
        state_q[Copy]: begin
          wait_q <= '0;
          if (fetched) state_q <= hot(Settle);
        end
        state_q[Settle]: begin
          if (wait_q[1]) begin
            wait_q  <= '0;
            state_q <= hot(Start);
            if (bad_layer_q || bad_words_q) begin
              error_q <= 3'd5;
              state_q <= hot(Abort);
            end
          end
        end
        state_q[Start]: state_q <= hot(Layer);
        state_q[Layer]: begin
          wait_q <= '0;
          if (layer_end_q) begin
            layer_index_q <= next_index_q;
            if (to_b_q) in_b_q <= 1'b1;
            else if (segment_end_q) in_b_q <= 1'b0;
            state_q <= !segment_end_q ? hot(Copy) : run_end_q ? hot(Abort) : hot(SubBatch);
          end
        end
        // Until then a command taken in the cycle before shows on the bus.
        state_q[Abort]: begin
          if (wait_q[3] && !bus_busy_i) begin
            wait_q  <= '0;
            state_q <= hot(Flush);
          end
        end
        state_q[Flush]: if (wait_q[2]) state_q <= hot(Done);
        default: state_q <= hot(Idle);
      endcase
      if (bus_error_i && !(state_q[Idle] || state_q[Flush] || state_q[Done])) begin
        if (!state_q[Abort]) begin
          error_q <= 3'd4;
          wait_q  <= '0;
          state_q <= hot(Abort);
        end else if (error_q == '0) begin
          error_q <= 3'd4;
        end
      end
    end
  end

  // The registers of the read masters' aborts are apart.
  for (genvar m = 0; m < 3; m++) begin : gen_abort
    bnn_register u_abort (
        .clk_i,
        .data_i(state_q[Abort] | state_q[Flush]),
        .data_o(read_abort_o[m])
    );
  end

  bnn_register u_write_abort (
      .clk_i,
      .data_i(state_q[Abort] | state_q[Flush]),
      .data_o(write_abort_o)
  );

  // For simulation: 0 idle, 1 loads the program, 2 waits for the first layer, 3 other.
  logic [1:0] tap_run  /* verilator public_flat_rd */;

  always_comb begin
    tap_run = 2'd3;
    if (state_q[Idle]) tap_run = 2'd0;
    else if (|state_q[Check:Open]) tap_run = 2'd1;
    else if (state_q[SubBatch]) tap_run = 2'd2;
  end

  assign flush_o       = flush_q;
  assign clear_error_o = flush_q;
  assign done_o        = finished_q;
  assign cycles_o      = cycles_q;
  assign busy_o        = busy_q;
  assign error_o       = 32'(error_q);

  logic unused_run;
  assign unused_run = ^{header_q[3*32+:3], header_q[21*32+:32],
                        header_q[23*32+:5*32], header_q[8*32+:32], header_q[29*32+:3*32],
                        fetched_q[19*32+:32]};
endmodule
