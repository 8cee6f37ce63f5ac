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
// 3 layers, 4 AXI response, 5 a value of the header or of a descriptor out of range.
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
    output logic                abort_o,
    output logic                flush_o,
    // Program reader
    output logic                program_valid_o,
    input  logic                program_ready_i,
    output logic [63:0]         program_addr_o,
    output logic [31:0]         program_beats_o,
    input  logic                beat_valid_i,
    input  logic [63:0]         beat_i,
    // Weight reader and ring
    output logic                weight_valid_o,
    input  logic                weight_ready_i,
    output logic [63:0]         weight_addr_o,
    output logic [31:0]         weight_beats_o,
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
  localparam logic [31:0] Geometry = {16'(Simd), 8'(Lanes), 8'(Pe)};

  typedef enum logic [4:0] {
    Idle,
    HeaderAsk,
    Header,
    Check,
    LayersAsk,
    Layers,
    FirstAsk,
    First,
    Begin,
    SubBatch,
    Copy,
    Settle,
    Start,
    Layer,
    Next,
    Abort,
    Done
  } state_e;

  state_e state_q;
  logic [31:0] cycles_q, busy_q, error_q;
  logic [63:0] program_q, images_q, scores_q;
  logic [31:0] count_q;
  logic kept_q, same_q, keep_q;  // the program is in place; its address too; this run uses it
  logic [12:0] beat_q;

  // ---- Header --------------------------------------------------------------------------------

  logic [32*32-1:0] header_q;  // beats enter at the top
  logic [31:0] words_a, words_b;
  logic [15:0] sub_batch, batch, layers, layers_a;
  logic resident, two_segments;

  always_ff @(posedge clk_i) begin
    if (state_q == Header && beat_valid_i) header_q <= {beat_i, header_q[32*32-1:64]};
  end

  assign layers       = header_q[4*32+:16];
  assign layers_a     = header_q[5*32+:16];
  assign sub_batch    = header_q[6*32+:16];
  assign batch        = header_q[7*32+:16];
  assign resident     = header_q[8*32];
  assign words_a      = header_q[11*32+:32];
  assign words_b      = header_q[13*32+:32];
  assign two_segments = layers_a != layers;

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

  logic bad_magic, bad_geometry, bad_layers, bad_range_q;

  assign bad_magic = header_q[0+:32] != 32'h504E_4E42 || header_q[32+:32] != 32'd1;
  assign bad_geometry = header_q[2*32+:32] != Geometry || header_q[18*32+:32] != 32'(FirstPe);
  assign bad_layers = header_q[4*32+:32] > 32'(MaxLayers) || header_q[4*32+:32] == '0;

  // One comparison per term, registered: the check has time.
  logic [9:0] range_q;
  always_ff @(posedge clk_i) begin
    range_q[0] <= header_q[5*32+:32] > header_q[4*32+:32] || header_q[5*32+:32] == '0;
    range_q[1] <= header_q[6*32+:16] == '0 || header_q[6*32+16+:16] != '0;
    range_q[2] <= header_q[7*32+:32] < header_q[6*32+:32] || header_q[7*32+16+:16] != '0;
    range_q[3] <= resident && words_a + words_b > 32'(WeightDepth);
    range_q[4] <= words_a == '0 || (two_segments && words_b == '0);
    range_q[5] <= header_q[15*32+:32] > 32'd512 || (header_q[15*32+:32] & 32'(FirstPe - 1)) != '0;
    range_q[6] <= header_q[19*32+:32] == '0 || header_q[19*32+:32] > 32'(ImagePixels);
    range_q[7] <= header_q[16*32+:32] == '0 || header_q[16*32+:3] != '0 || image_channels_o == '0
        || image_channels_o > 3'd4;
    range_q[8] <= (first_channels_o != '0) && (first_rows_o == '0 || first_columns_o == '0)
        || (first_channels_o == '0 && image_elements_o == '0) || first_words_o == '0;
    range_q[9] <= |{header_q[9*32+:3], header_q[10*32+:3], header_q[12*32+:3], header_q[14*32+:3]};
    bad_range_q <= |range_q;
  end

  // ---- Descriptors ---------------------------------------------------------------------------

  (* ram_style = "block" *) logic [63:0] layer_mem[MaxLayers*16];
  logic [63:0] layer_beat_q;
  logic [20*32-1:0] fetched_q;  // beats enter at the top
  logic [19*32-1:0] layer_q;
  logic [15:0] layer_index_q;
  logic [LayerBits-1:0] fetch_index_q, next_index;
  logic [3:0] fetch_q;
  logic fetch_busy_q, fetch_valid_q;
  logic [2:0] settle_q;  // cycles since the last word, until the check of the range is over
  logic fetched;

  // The next descriptor is fetched while a layer runs.
  assign fetched = settle_q == 3'd3;

  always_ff @(posedge clk_i) begin
    if (state_q == Layers && beat_valid_i) layer_mem[beat_q[LayerBits+3:0]] <= beat_i;
    layer_beat_q  <= layer_mem[{fetch_index_q, fetch_q}];
    fetch_valid_q <= fetch_busy_q;
    if (fetch_valid_q) fetched_q <= {layer_beat_q, fetched_q[20*32-1:64]};
    if (state_q == Copy && fetched) layer_q <= fetched_q[19*32-1:0];
    if (state_q == Begin || state_q == Start) begin
      fetch_index_q <= (state_q == Begin) ? '0 : next_index;
      fetch_q       <= '0;
      fetch_busy_q  <= 1'b1;
      settle_q      <= '0;
    end else if (fetch_busy_q) begin
      fetch_q      <= fetch_q + 4'd1;
      fetch_busy_q <= fetch_q != 4'd9;
    end else if (!fetch_valid_q && !fetched) begin
      settle_q <= settle_q + 3'd1;
    end
  end

  logic [5:0] layer_range_q;
  logic bad_layer_q;
  always_ff @(posedge clk_i) begin
    layer_range_q[0] <= fetched_q[1*32+:32] == '0 || fetched_q[1*32+16+:16] != '0;
    layer_range_q[1] <= fetched_q[2*32+:32] == '0 || fetched_q[2*32+16+:16] != '0;
    layer_range_q[2] <= fetched_q[3*32+:32] == '0 || (fetched_q[3] && fetched_q[3*32]);
    layer_range_q[3] <= fetched_q[5*32+:32] == '0 || fetched_q[5*32+16+:16] != '0;
    layer_range_q[4] <= fetched_q[15*32+:32] + 32'd2 > 32'(WeightDepth) + 32'(!fetched_q[5])
        || fetched_q[15*32+:32] == '0;
    layer_range_q[5] <= fetched_q[17*32+:32] == '0 || fetched_q[18*32+:32] == '0;
    bad_layer_q      <= |layer_range_q;
  end

  // ---- Array layers --------------------------------------------------------------------------

  logic [31:0] left_q;  // images of sub-batches not finished
  logic [15:0] sub_images_q, in_batch_q;
  logic [1:0] ready_q;  // sub-batches the first layer has done
  logic odd_q, in_b_q, sub_taken, last_of_segment, batch_end_q;
  logic [15:0] in_batch_next_q;
  logic last_images_q, done_images_q;

  assign sub_taken = (state_q == SubBatch) & (ready_q != '0);
  assign next_index = (last_of_segment && (in_b_q || !batch_end_q || !two_segments))
      ? '0 : layer_index_q[LayerBits-1:0] + 1'b1;
  // These settle in the four cycles before they are used.
  always_ff @(posedge clk_i) begin
    last_of_segment <= layer_index_q + 16'd1 == (in_b_q ? layers : layers_a);
    sub_images_q    <= (left_q < 32'(sub_batch)) ? left_q[15:0] : sub_batch;
    in_batch_next_q <= in_batch_q + sub_images_q;
    last_images_q   <= left_q == 32'(sub_images_q);
    done_images_q   <= left_q == '0;
    batch_end_q     <= last_images_q | (in_batch_next_q == batch);
  end

  assign layer_start_o    = state_q == Start;
  assign layer_o          = layer_q;
  assign layer_odd_o      = odd_q;
  assign layer_images_o   = in_b_q ? in_batch_q : sub_images_q;
  assign layer_in_batch_o = in_b_q ? '0 : in_batch_q;
  assign layer_scores_o   = scores_q;
  assign first_consumed_o = layer_done_i & (layer_index_q == '0);
  assign first_start_o    = state_q == Begin;
  assign first_images_o   = images_q;
  assign first_count_o    = count_q;
  assign first_load_o     = (state_q == First) & beat_valid_i;
  assign first_index_o    = beat_q[9:0];

  // ---- Program reads -------------------------------------------------------------------------

  logic [31:0] program_offset;
  logic [12:0] program_beats;

  always_comb begin
    unique case (state_q)
      LayersAsk: begin
        program_offset = header_q[9*32+:32];
        program_beats  = {layers[8:0], 4'd0};
      end
      FirstAsk: begin
        program_offset = header_q[14*32+:32];
        program_beats  = 13'(first_channels_o[9:0]) + 13'd32;
      end
      default: begin
        program_offset = '0;
        program_beats  = 13'd16;
      end
    endcase
  end

  assign program_valid_o = (state_q == HeaderAsk) | (state_q == LayersAsk) | (state_q == FirstAsk);
  assign program_addr_o  = program_q + 64'(program_offset);
  assign program_beats_o = 32'(program_beats);

  // ---- Weight stream -------------------------------------------------------------------------

  logic stream_q, stream_b_q, stream_taken;
  logic [31:0] stream_left_q;
  logic [15:0] stream_in_batch_q, stream_images_q, stream_next_q;
  logic [2:0] stream_wait_q;  // the comparisons settle
  logic stream_last_q, stream_batch_end_q;

  assign stream_taken = weight_valid_o & weight_ready_i;
  assign weight_valid_o = stream_q & (stream_wait_q == '0);
  assign weight_addr_o = program_q + 64'(stream_b_q ? header_q[12*32+:32] : header_q[10*32+:32]);
  assign weight_beats_o = (stream_b_q ? words_b : words_a) << WordShift;
  assign ring_clear_o = (state_q == Begin) & ~keep_q;
  assign ring_hold_o = resident;
  assign ring_words_o = (RingBits + 1)'(words_a + words_b);

  always_ff @(posedge clk_i) begin
    stream_images_q    <= (stream_left_q < 32'(sub_batch)) ? stream_left_q[15:0] : sub_batch;
    stream_next_q      <= stream_in_batch_q + stream_images_q;
    stream_last_q      <= stream_left_q == 32'(stream_images_q);
    stream_batch_end_q <= stream_last_q | (stream_next_q == batch);
    if (state_q == Begin || stream_taken) stream_wait_q <= 3'd5;
    else if (stream_wait_q != '0) stream_wait_q <= stream_wait_q - 3'd1;
    if (state_q == Begin) begin
      stream_b_q        <= 1'b0;
      stream_left_q     <= count_q;
      stream_in_batch_q <= '0;
    end else if (stream_taken) begin
      if (!stream_b_q && two_segments && (stream_batch_end_q || resident)) begin
        stream_b_q <= 1'b1;
      end else begin
        stream_b_q        <= 1'b0;
        stream_left_q     <= stream_left_q - 32'(stream_images_q);
        stream_in_batch_q <= stream_batch_end_q ? '0 : stream_next_q;
      end
    end
    if (rst_i || flush_o) stream_q <= 1'b0;
    else if (state_q == Begin) stream_q <= ~keep_q;
    else if (abort_o) stream_q <= 1'b0;
    else if (stream_taken && (stream_b_q || !two_segments || (!stream_batch_end_q && !resident))) begin
      stream_q <= ~resident & ~stream_last_q;
    end
  end

  // ---- States --------------------------------------------------------------------------------

  logic [2:0] wait_q;
  logic running, failed;

  assign running = (state_q != Idle) & (state_q != Done) & (state_q != Abort);
  assign failed = running & bus_error_i;

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      program_q <= program_i;
      images_q  <= images_i;
      scores_q  <= scores_i;
      count_q   <= {1'b0, count_i};
    end else if (layer_done_i && layer_q[5]) begin
      scores_q <= scores_next_i;
    end
    same_q <= program_i == program_q;
    if (beat_valid_i) beat_q <= beat_q + 13'd1;
    else if (program_valid_o) beat_q <= '0;
    wait_q <= (state_q == Check || state_q == Settle) ? wait_q + 3'd1 : '0;
    if (state_q == Begin) begin
      left_q     <= count_q;
      in_batch_q <= '0;
      odd_q      <= 1'b0;
    end else if (state_q == Next && last_of_segment) begin
      if (!in_b_q) begin
        odd_q  <= ~odd_q;
        left_q <= left_q - 32'(sub_images_q);
      end
      // Segment B takes the images of the batch.
      if (!in_b_q && !(batch_end_q && !two_segments)) in_batch_q <= in_batch_next_q;
      else in_batch_q <= '0;
    end
    if (rst_i) begin
      state_q  <= Idle;
      cycles_q <= '0;
      busy_q   <= '0;
      error_q  <= '0;
      kept_q   <= 1'b0;
      keep_q   <= 1'b0;
    end else begin
      if (start_i) keep_q <= keep_i & kept_q & same_q & (count_i != '0);
      // A run without images may have had another address.
      if (state_q == HeaderAsk) kept_q <= 1'b0;
      else if (state_q == Done) kept_q <= resident & (error_q == '0) & (count_q != '0);
      if (start_i) begin
        cycles_q <= '0;
        busy_q   <= '0;
        error_q  <= '0;
      end else begin
        if (state_q != Idle) cycles_q <= cycles_q + 32'd1;
        if (multiply_i) busy_q <= busy_q + 32'd1;
      end
      if (state_q == Begin) ready_q <= '0;
      else ready_q <= ready_q + 2'(first_done_i) - 2'(sub_taken);
      unique case (state_q)
        Idle: begin
          if (start_i) begin
            if (count_i == '0) state_q <= Done;
            else if (keep_i && kept_q && same_q) state_q <= Begin;
            else state_q <= HeaderAsk;
          end
        end
        HeaderAsk: if (program_ready_i) state_q <= Header;
        Header: if (beat_valid_i && beat_q == 13'd15) state_q <= Check;
        Check: begin
          if (bad_magic || bad_geometry || bad_layers) begin
            error_q <= bad_magic ? 32'd1 : bad_geometry ? 32'd2 : 32'd3;
            state_q <= Abort;
          end else if (wait_q == 3'd3) begin
            if (bad_range_q) error_q <= 32'd5;
            state_q <= bad_range_q ? Abort : LayersAsk;
          end
        end
        LayersAsk: if (program_ready_i) state_q <= Layers;
        Layers: if (beat_valid_i && beat_q + 13'd1 == {layers[8:0], 4'd0}) state_q <= FirstAsk;
        FirstAsk: if (program_ready_i) state_q <= First;
        First: begin
          if (beat_valid_i && beat_q + 13'd1 == 13'(first_channels_o[9:0]) + 13'd32) state_q <= Begin;
        end
        Begin: begin
          in_b_q        <= 1'b0;
          layer_index_q <= '0;
          state_q       <= SubBatch;
        end
        SubBatch: if (sub_taken) state_q <= Copy;
        Copy: begin
          if (fetched) begin
            if (bad_layer_q) error_q <= 32'd5;
            state_q <= bad_layer_q ? Abort : Settle;
          end
        end
        Settle: if (wait_q == 3'd1) state_q <= Start;
        Start: state_q <= Layer;
        Layer: if (layer_done_i) state_q <= Next;
        Next: begin
          if (!last_of_segment) begin
            layer_index_q <= layer_index_q + 16'd1;
            state_q       <= Copy;
          end else if (!in_b_q && batch_end_q && two_segments) begin
            layer_index_q <= layer_index_q + 16'd1;
            in_b_q        <= 1'b1;
            state_q       <= Copy;
          end else begin
            layer_index_q <= '0;
            in_b_q        <= 1'b0;
            // left_q still counts this sub-batch unless segment B has run.
            if (in_b_q ? done_images_q : last_images_q) state_q <= Abort;
            else state_q <= SubBatch;
          end
        end
        Abort: if (!bus_busy_i) state_q <= Done;
        Done: state_q <= Idle;
        default: state_q <= Idle;
      endcase
      if (failed) begin
        error_q <= 32'd4;
        state_q <= Abort;
      end
      if (state_q == Abort && bus_error_i && error_q == '0) error_q <= 32'd4;
    end
  end

  always_ff @(posedge clk_i) ring_rewind_o <= (state_q == Next) & last_of_segment & ~in_b_q & resident
      & two_segments & ~batch_end_q;
  // For simulation: 0 idle, 1 loads the program, 2 waits for the first layer, 3 other.
  logic [1:0] tap_run  /* verilator public_flat_rd */;

  always_comb begin
    tap_run = 2'd3;
    if (state_q == Idle) tap_run = 2'd0;
    else if (state_q < Begin) tap_run = 2'd1;
    else if (state_q == SubBatch) tap_run = 2'd2;
  end

  assign abort_o = state_q == Abort;
  assign flush_o = state_q == Done;
  assign clear_error_o = start_i;
  assign done_o = state_q == Done;
  assign cycles_o = cycles_q;
  assign busy_o = busy_q;
  assign error_o = error_q;

  logic unused_run;
  assign unused_run = ^{header_q[3*32+:32], header_q[17*32+:32], header_q[21*32+:32],
                        header_q[23*32+:5*32], header_q[8*32+:32], header_q[29*32+:3*32],
                        fetched_q[19*32+:32]};
endmodule
