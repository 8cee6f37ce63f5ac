// One array layer: from a descriptor to the bits in the activation memory, or the scores.
//
// The steps of the sequencer read the activation memory and the weight ring; lanes are aligned,
// the array sums, thresholds become bits, the write-back stores them. Before each group it waits
// until all words of the group are in the ring, reads its headers, and pops the group after the
// last step. Where those of the next one are there by then too, its header is read right behind that step, unless
// there are scores or the vector unit is at work. Sums that leave the engine one by one (scores, serial writes) are
// started one at a time.
//
// With rows_wait_i the first layer is still at work on the sub-batch, and has done rows_i rows of its images. A
// convolution by pixel of these rows without the vector unit begins a row of its first group when all that it reads is
// there, any other layer when rows_wait_i is low; none ends before. A layer that is early does not wait for it to be low.
//
// rst_i is a cycle early, for copies of it. start_i: a pulse with idle; layer_i and scores_i are constant from three
// cycles before it until two cycles after done_o, a pulse, the descriptor of layer_i until three. The next start_i
// comes at least five cycles after it: its reads find all bits written. multiply_o is high in cycles in which the array
// has a word.
//
// Latency, from a step to the array: 7 cycles (addresses 4, memory 2, alignment 1).
module bnn_engine
  import bnn_pkg::*;
  import bnn_add_pkg::add;
#(
    parameter int unsigned Pe = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned WeightDepth = 1024,
    parameter int unsigned ActDepth = 1024,
    parameter int unsigned Vector = 0,
    parameter int unsigned DspLanes = 0,
    localparam int unsigned AddrBits = $clog2(ActDepth),
    localparam int unsigned RingBits = $clog2(WeightDepth),
    localparam int unsigned Groups = Simd / Pe
) (
    input  logic                      clk_i,
    input  logic                      rst_i,
    // Layer
    input  logic                      start_i,
    input  layer_t                    layer_i,
    input  logic [63:0]               scores_i,
    input  logic                      rows_wait_i,
    input  logic [AddrBits:0]         rows_i,
    output logic [63:0]               scores_next_o,
    output logic                      done_o,
    output logic                      multiply_o,
    // Weight ring
    input  logic [RingBits:0]         ring_available_i,
    input  logic                      ring_all_i,  // all of the group's and the next one's are there
    output logic                      ring_read_o,
    output logic [RingBits-1:0]       ring_index_o,
    input  logic [Pe*Simd-1:0]        ring_data_i,
    output logic                      ring_pop_o,
    output logic                      ring_pop_again_o,  // the same, twice
    output logic                      ring_pop_more_o,
    output logic [RingBits:0]         ring_pop_count_o,
    // Activation memory
    output logic                      act_read_o,
    output logic [Lanes*AddrBits-1:0] act_addr_o,
    input  logic [Lanes*Simd-1:0]     act_data_i,
    output logic                      write_next_o,  // a write in the next cycle, or a read at that port
    output logic                      write_read_o,
    output logic [Lanes-1:0]          write_lane_o,
    output logic [Groups-1:0]         write_group_o,
    output logic [AddrBits-1:0]       write_addr_o,
    output logic [Lanes*Simd-1:0]     write_data_o,
    input  logic [Lanes*Simd-1:0]     second_data_i,
    // Scores
    output logic                      score_valid_o,
    input  logic                      score_ready_i,
    output logic [63:0]               score_addr_o,
    output logic [1:0]                score_half_o,
    output logic [63:0]               score_o
);
  localparam int unsigned SumBits = AccBits + 1;  // with a sign: less the threshold
  localparam int unsigned LaneBits = $clog2(Lanes);
  localparam int unsigned SimdBits = $clog2(Simd);
  localparam int unsigned SlotBits = (Groups > 1) ? $clog2(Groups) : 1;
  localparam int unsigned SumLatency = array_latency(Simd);
  localparam int unsigned StepLatency = 4;  // from a step to the addresses
  localparam int unsigned MemoryLatency = 3;  // from the addresses to the operands of the array
  // A write leaves the write-back StepLatency + MemoryLatency + SumLatency + 5 cycles after its
  // step. Finish is entered 6 cycles after the last step, done_o follows its end by one cycle and
  // the descriptor changes 4 cycles after that, with the last write at the earliest.
  localparam int unsigned Drain = StepLatency + MemoryLatency + SumLatency + 5 - 6 - 1 - 4;

  // ---- Resets: copies, a cycle after rst_i ------------------------------------------------------

  localparam int unsigned Control = 0, Steps = 1, Sums = 2, Scores = 3, Values = 4, Writes = 5, Reads = 6;

  logic [6:0] rst;

  for (genvar i = 0; i < 7; i++) begin : gen_rst
    bnn_register u_rst (
        .clk_i,
        .data_i(rst_i),
        .data_o(rst[i])
    );
  end

  // ---- Descriptor ----------------------------------------------------------------------------

  descriptor_t layer;
  flags_t flags;
  logic pool, serial, scores, dense, step_pool, step_serial, step_first, step_dense, start_q;
  logic vector, average;
  logic plain_q, one_by_one_q;  // sums become bits; or leave the array one by one
  logic [1:0] pad_q;
  logic [4:0] inner_q, outer_q;  // passes
  logic [3:0] more_inner_q, more_outer_q;  // less one
  logic [AddrBits-1:0] record_q;  // words of a pixel of the source
  logic [15:0] tap_rows_q, tap_columns_q;
  logic [15:0] blocks, rows_q, group_words, dense_blocks_q, images_q;
  logic [5:0] headers_q;
  logic [63:0] scores_q;
  logic [AddrBits-1:0] source_base_q;
  logic [RingBits:0] group_total_q, last_total_q;  // words of a group that the ring drops, and of the layer's last one

  logic is_vector;
  logic [5:0] vector_headers;

  assign layer       = layer_i.descriptor;
  assign is_vector   = flags.vector & (Vector != 0);
  assign flags       = layer.flags;
  assign blocks      = layer.blocks[15:0];
  assign group_words = layer.group_words[15:0];

  bnn_register #(
      .Bits(6)
  ) u_flags (
      .clk_i,
      .data_i({flags.average & is_vector, is_vector, flags.dense | flags.by_image, flags.scores & ~is_vector,
               flags.serial & ~is_vector, flags.pool}),
      .data_o({average, vector, dense, scores, serial, pool})
  );
  bnn_register #(
      .Bits(3)
  ) u_step_flags (
      .clk_i,
      .data_i({flags.dense, flags.scores | is_vector, flags.serial & ~is_vector}),
      .data_o({step_dense, step_first, step_serial})
  );
  bnn_register u_step_pool (
      .clk_i,
      .data_i(flags.pool),
      .data_o(step_pool)
  );

  always_ff @(posedge clk_i) begin
    rows_q         <= pool ? layer.rows[15:0] >> 1 : layer.rows[15:0];
    dense_blocks_q <= (layer_i.images + 16'(Lanes - 1)) >> LaneBits;
    images_q       <= dense ? dense_blocks_q : layer_i.images;
    plain_q        <= ~scores & ~vector;
    one_by_one_q   <= serial | scores;
    headers_q      <= vector ? vector_headers : scores ? 6'd2 : 6'd1;
    scores_q       <= scores_i;
    source_base_q  <= layer_i.odd ? layer.source_odd[AddrBits-1:0] : layer.source_even[AddrBits-1:0];
    // What a program of version 1 leaves 0
    pad_q          <= {flags.pad2, flags.pad};
    more_inner_q   <= layer.passes.planes_outer ? layer.passes.more_bases : layer.passes.more_planes;
    more_outer_q   <= layer.passes.planes_outer ? layer.passes.more_planes : layer.passes.more_bases;
    inner_q        <= 5'(add(32'(more_inner_q), 32'd1));
    outer_q        <= 5'(add(32'(more_outer_q), 32'd1));
    record_q       <= (layer.source_words[AddrBits-1:0] == '0) ? layer.tap_words[AddrBits-1:0]
        : layer.source_words[AddrBits-1:0];
    tap_rows_q     <= layer.taps.tap_rows | {14'd0, {2{layer.taps.tap_rows == '0}} & {flags.kernel3, 1'b1}};
    tap_columns_q  <= layer.taps.tap_columns | {14'd0, {2{layer.taps.tap_columns == '0}} & {flags.kernel3, 1'b1}};
    if (rst[Control]) start_q <= 1'b0;
    else start_q <= start_i;
  end

  // ---- Steps ---------------------------------------------------------------------------------

  typedef enum logic [3:0] {
    Stop,
    Wait,
    Header0,
    Header1,
    Load,
    Rows,
    Run,
    Space,
    Pop,
    Finish
  } state_e;

  state_e state_q;
  logic next_valid, seq_done, step, pending, pending_q, wait_again, enough_q, block_done;
  logic run, run_event, wait_event;  // the latter run_q and wait_again once more
  // run_q: in Run; the others with a step
  logic run_q, run_begin, run_end, row_end, group_end, pop_end, final_end, sum_end;
  logic ahead_q, follow_q;  // the next group's words are there too; its header may follow this one's last step
  logic soon_q;  // or not much later
  logic vector_busy, load_ready, load_read, load_done, room, hand_soon, read;
  logic [5:0] load_index;
  logic [1:0] gap_q;  // ones: cycles since a sum's last step
  logic average_pop_q;
  logic [15:0] average_left_q;  // groups
  logic next_hold, next_last, next_final, next_row_last, next_image_last, next_group_last, next_over;
  logic sequence_over_q, score_busy, done_q;
  logic over_q;  // the layer's last step is taken
  logic [$clog2(SumLatency+2)-1:0] space_q;  // cycles until a header may come
  logic [3:0] pop_wait_q;  // a one for each cycle to wait, as a count's compare is one more level
  logic [Drain-1:0] drain_q;  // the same
  logic quiet_q, finish_q;  // finish_q: in the last state
  // Steps taken, as they read the memories
  logic step_q, first_q, last_q, second_q, tail_q;
  logic [6:0] shift_q;
  logic [Lanes-1:0] outside_q;
  logic zero_plane_q, plus;
  // Of the step that does in the next cycle
  logic step_soon, group_last;
  logic [15:0] weight_index;

  bnn_sequencer #(
      .Lanes   (Lanes),
      .ActDepth(ActDepth)
  ) u_sequencer (
      .clk_i,
      .rst_i(rst[Steps]),
      .start_i          (start_i & ~average),
      .done_o           (seq_done),
      .tap_rows_i       (tap_rows_q),
      .tap_columns_i    (tap_columns_q),
      .pad_i            (pad_q),
      .inner_i          (inner_q),
      .outer_i          (outer_q),
      .planes_outer_i   (layer.passes.planes_outer),
      .hand_i           (layer.passes.hand),
      .pool_i           (step_pool),
      .stride2_i        (flags.stride2),
      .dense_i          (step_dense),
      .by_image_i       (flags.by_image),
      .hold_first_i     (step_first),
      .hold_final_i     (step_serial),
      .index_first_i    (headers_q),
      .groups_i         (layer.groups[15:0]),
      .images_i         (images_q),
      .rows_i           (rows_q),
      .blocks_i         (blocks),
      .cw_i             (layer.tap_words[15:0]),
      .record_i         (record_q),
      .height_i         (layer.input_size.height),
      .width_i          (layer.input_size.width),
      .source_base_i    (source_base_q),
      .image_stride_i   (layer.source_image_stride[AddrBits-1:0]),
      .row_stride_i     (layer.source_row_stride[AddrBits-1:0]),
      .next_valid_o     (next_valid),
      .ready_i          ({run_event, run_q}),
      .wait_i           ({wait_event, wait_again}),
      .next_hold_o      (next_hold),
      .next_last_o      (next_last),
      .next_final_o     (next_final),
      .next_group_last_o(next_group_last),
      .next_row_last_o  (next_row_last),
      .next_image_last_o(next_image_last),
      .next_over_o      (next_over),
      .valid_o          (step_q),
      .read_addr_o      (act_addr_o),
      .shift_o          (shift_q),
      .pad_o            (outside_q),
      .zero_plane_o     (zero_plane_q),
      .tail_o           (tail_q),
      .soon_o           (step_soon),
      .index_o          (weight_index),
      .first_o          (first_q),
      .last_o           (last_q),
      .second_o         (second_q),
      .group_last_o     (group_last)
  );

  // ---- Rows of the first layer that the next row of steps reads --------------------------------------

  // Up to that of row y of image i: i*height + y*step + taps + pool - pad, which may be one beyond the image; in a band
  // beyond the row at which its source begins. It is looked for four cycles after a row's last step, or, within an
  // image, a row before it is needed.
  logic [3:0] rows_less_q, rows_begin_q;  // of at most eight taps
  logic [AddrBits:0] rows_first_q, rows_all_q, rows_left_q, rows_more_q, rows_need_q, rows_next_q;
  // From an image's last row to the next one's first; what a row's end leads to
  logic [AddrBits:0] rows_image_q, rows_add_q;
  logic rows_there, rows_ahead;  // rows of the first layer, or none is waited for; also those of the next row
  logic rows_block_q, rows_free_q, rows_some_q, rows_more_there_q, rows_old_q;  // what makes them, apart
  logic by_rows_q, rows_wait_q, row_step_q, row_late_q, row_later_q, two_q;
  logic rows_go_q, rows_idle_q;  // rows_need_q is another; none is needed
  logic two_next;  // two_q again
  logic rows_over_q;  // the first group has had them all
  logic rows_hold;  // the first row of a group waits for them
  logic end_wait_q;  // the layer does not end before the first layer

  always_ff @(posedge clk_i) begin
    by_rows_q    <= flags.from_first & ~dense & ~vector & ~scores;
    two_q        <= pool | flags.stride2;
    rows_less_q  <= 4'(flags.pool) - 4'({flags.pad2, flags.pad});
    rows_begin_q <= 4'(add(32'(tap_rows_q[3:0]), 32'(rows_less_q)));
    rows_first_q <= (AddrBits + 1)'(add(32'(rows_begin_q), 32'(layer.band.source_row)));
    rows_all_q   <= two_q ? (AddrBits + 1)'(rows_q) << 1 : (AddrBits + 1)'(rows_q);
    rows_left_q  <= (AddrBits + 1)'(layer.input_size.height) - rows_all_q;
    row_step_q   <= step & next_row_last;
    rows_image_q <= (AddrBits + 1)'(add(32'(rows_left_q), two_next ? 32'd2 : 32'd1));
    rows_more_q  <= next_image_last ? rows_image_q : two_q ? (AddrBits + 1)'(2) : (AddrBits + 1)'(1);
    // From 0 on at the start: what is added is all that is picked.
    rows_idle_q  <= state_q == Stop & ~start_i & ~start_q;
    rows_add_q   <= rows_idle_q ? rows_first_q : rows_more_q;
    rows_go_q    <= start_i | row_step_q;
    if (rows_idle_q) rows_need_q <= '0;
    else if (rows_go_q) rows_need_q <= (AddrBits + 1)'(add(32'(rows_need_q), 32'(rows_add_q)));
    rows_over_q  <= ~start_i & (rows_over_q | (step & next_group_last));
    rows_wait_q  <= rows_wait_i & ~rows_over_q & ~(flags.early & ~flags.from_first);
    end_wait_q   <= rows_wait_i & ~flags.early;
    // Rows are waited for, if they are not there
    rows_block_q <= rows_wait_i & ~rows_over_q & ~(flags.early & ~flags.from_first)
        & (start_i | ~(step & next_group_last));
    rows_free_q  <= ~rows_wait_i | rows_over_q;
    rows_some_q  <= rows_i >= rows_need_q;
    // Of the next row; not before rows_next_q is that
    row_late_q   <= row_step_q;
    row_later_q  <= row_late_q;
    rows_next_q  <= (AddrBits + 1)'(add(32'(rows_need_q), two_next ? 32'd2 : 32'd1));
    rows_old_q   <= (step & next_row_last) | row_step_q | row_late_q | row_later_q;
    rows_more_there_q <= rows_i >= rows_next_q;
  end

  assign rows_there = rows_free_q | rows_some_q;
  assign rows_ahead = rows_more_there_q & ~rows_old_q;
  assign rows_hold = rows_block_q & ~rows_some_q;

  assign run = ~rst[Control] & (run_begin | (run_q & ~run_end));

  bnn_register u_run_event (.clk_i, .data_i(run), .data_o(run_event));

  bnn_register u_two_next (
      .clk_i,
      .data_i(pool | flags.stride2),
      .data_o(two_next)
  );

  // What ends the steps of a group, or of a row that the first layer has not done the next one of; what begins them
  assign row_end = next_row_last & rows_wait_q & (next_image_last | ~rows_ahead);

  bnn_engine_step u_step (
      .valid_i     (next_valid),
      .run_i       (run_q),
      .pending_i   (pending_q),
      .hold_i      (next_hold),
      .group_last_i(next_group_last),
      .pop_i       (next_over | ~soon_q),
      .row_end_i   (row_end),
      .one_by_one_i(one_by_one_q),
      .final_i     (next_final),
      .step_o      (step),
      .group_end_o (group_end),
      .pop_end_o   (pop_end),
      .run_end_o   (run_end),
      .last_i      (next_last),
      .final_end_o (final_end),
      .sum_end_o   (sum_end)
  );

  always_comb begin
    unique case (state_q)
      Header0: run_begin = plain_q & ~rows_hold;
      Rows:    run_begin = ~pop_wait_q[1] & rows_there;
      Load:    run_begin = load_done & ~average;
      Header1: run_begin = 1'b1;
      default: run_begin = 1'b0;
    endcase
  end

  always_ff @(posedge clk_i) begin
    group_total_q <= (RingBits + 1)'(add(32'(group_words), 32'(headers_q)));
    last_total_q  <= group_total_q - (RingBits + 1)'(layer.band.weights_back);
    over_q        <= ~start_q & (over_q | (step & next_over));
    enough_q      <= ring_all_i | (ring_available_i >= group_total_q);
    ahead_q       <= ring_all_i | ((RingBits + 2)'(ring_available_i) >= {group_total_q, 1'b0});
    follow_q      <= ahead_q & space_q <= 1 & state_q != Header0 & plain_q;
    soon_q        <= ahead_q & plain_q;
    pop_wait_q    <= (state_q == Rows || state_q == Pop) ? pop_wait_q >> 1 : '1;
    quiet_q       <= ~pending_q & ~score_busy & ~vector_busy & ~end_wait_q;
    if (!finish_q) drain_q <= '1;
    else if (quiet_q) drain_q <= drain_q >> 1;
    if (start_q) average_left_q <= layer.groups[15:0];
    else if (average_pop_q) average_left_q <= average_left_q - 16'd1;
    pending_q     <= pending;
    run_q         <= run;
    if (rst[Control]) begin
      state_q         <= Stop;
      done_q          <= 1'b0;
      finish_q        <= 1'b0;
      space_q         <= '0;
      sequence_over_q <= 1'b0;
      gap_q           <= '0;
      average_pop_q   <= 1'b0;
    end else begin
      // Sums are handed over in the three cycles after one's last step.
      gap_q <= {gap_q[0], sum_end};
      average_pop_q <= average & state_q == Load & load_done;
      if (state_q == Header0) space_q <= ($bits(space_q))'(SumLatency - 2);
      else if (space_q != '0) space_q <= space_q - 1'b1;
      if (start_q) sequence_over_q <= 1'b0;
      else if (seq_done || (average_pop_q && average_left_q == 16'd1)) sequence_over_q <= 1'b1;
      done_q <= 1'b0;
      unique case (state_q)
        Stop: if (start_q) state_q <= Wait;
        Wait: begin
          if (enough_q && space_q == '0 && !(scores && pending_q) && !(vector && !load_ready)
              && (by_rows_q || !rows_wait_q)) begin
            state_q <= Header0;
          end
        end
        Header0: begin
          state_q <= vector ? Load : scores ? Header1 : rows_hold ? Rows : Run;
        end
        Rows: begin
          if (run_begin) state_q <= Run;
        end
        Load: begin
          if (load_done) state_q <= average ? Pop : Run;
        end
        Header1: state_q <= Run;
        Run: begin
          if (pop_end) state_q <= Pop;
          else if (group_end) state_q <= follow_q ? Header0 : Space;
          else if (run_end) state_q <= Rows;
        end
        Space: if (space_q == '0) state_q <= Header0;
        // The pop follows the last step by StepLatency cycles; enough_q knows of it two later.
        Pop: begin
          if (!pop_wait_q[0]) begin
            state_q  <= sequence_over_q ? Finish : Wait;
            finish_q <= sequence_over_q;
          end
        end
        Finish: begin
          if (!drain_q[0]) begin
            state_q  <= Stop;
            finish_q <= 1'b0;
            done_q   <= 1'b1;
          end
        end
        default: state_q <= Stop;
      endcase
    end
  end

  always_comb begin
    pending = final_end | (pending_q & ~block_done);
    if (vector) pending = sum_end | (|gap_q) | ~room;
    if (rst[Control]) pending = 1'b0;
  end

  bnn_register u_wait (
      .clk_i,
      .data_i(pending),
      .data_o(wait_again)
  );
  bnn_register u_wait_event (.clk_i, .data_i(pending), .data_o(wait_event));

  assign done_o = done_q;

  // For simulation: 0 idle, 1 a step, or why there is none: 2 weights, 3 serial writes, 4 scores,
  // 5 change of group or layer, 6 the first layer.
  logic [2:0] tap_engine  /* verilator public_flat_rd */;

  always_comb begin
    tap_engine = 3'd5;
    if (state_q == Stop) tap_engine = 3'd0;
    else if (step) tap_engine = 3'd1;
    else if (rows_wait_q || (state_q == Finish && end_wait_q)) tap_engine = 3'd6;
    else if (state_q == Wait && !enough_q) tap_engine = 3'd2;
    else if ((pending_q || score_busy) && (state_q == Run || state_q == Wait || state_q == Finish)) begin
      tap_engine = scores ? 3'd4 : 3'd3;
    end
  end

  // ---- Reads -----------------------------------------------------------------------------------

  // Headers pass through the same stages as steps; the ring's inputs are registers of their own.
  logic [StepLatency-1:0] header0_d_q, header1_d_q;
  logic ring_read_q, ring_pop, ring_pop_q;
  logic [RingBits-1:0] ring_index_q;
  logic [RingBits:0] pop_count_q;

  always_ff @(posedge clk_i) begin
    if (rst[Reads]) begin
      header0_d_q <= '0;
      header1_d_q <= '0;
      ring_read_q <= 1'b0;
    end else begin
      header0_d_q <= {header0_d_q[StepLatency-2:0], state_q == Header0};
      header1_d_q <= {header1_d_q[StepLatency-2:0], state_q == Header1};
      ring_read_q <= step_soon | header0_d_q[StepLatency-2] | header1_d_q[StepLatency-2] | load_read;
    end
    ring_pop_q   <= ring_pop;
    pop_count_q  <= over_q ? last_total_q : group_total_q;
    ring_index_q <= RingBits'(weight_index);
    if (header0_d_q[StepLatency-2]) ring_index_q <= '0;
    if (header1_d_q[StepLatency-2]) ring_index_q <= RingBits'(1);
    if (load_read) ring_index_q <= RingBits'(load_index);
  end

  assign ring_pop = ~rst[Reads] & ((step_soon & group_last) | average_pop_q);

  bnn_register u_pop_again (
      .clk_i,
      .data_i(ring_pop),
      .data_o(ring_pop_again_o)
  );
  bnn_register u_pop_more (.clk_i, .data_i(ring_pop), .data_o(ring_pop_more_o));

  assign ring_read_o      = ring_read_q;
  assign ring_index_o     = ring_index_q;
  assign ring_pop_o       = ring_pop_q;
  assign ring_pop_count_o = pop_count_q;
  assign act_read_o       = step_q;
  assign multiply_o       = step_q;

  // ---- Operands --------------------------------------------------------------------------------

  logic [Lanes*Simd-1:0] operand;
  logic [Simd-1:0] tail_mask_q;
  // [n] is n + 1 cycles after the addresses
  logic [MemoryLatency-1:0] valid_d_q, first_d_q, last_d_q, second_d_q;
  logic [MemoryLatency-2:0] header0_m_q, header1_m_q;
  logic score_header_q;

  // Eights that are valid, that in which the last valid bit may be, and those before it in an eight
  logic [Simd/8-1:0] eight_q, last_eight_q;
  logic [7:0] part_q;

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Simd / 8; i++) begin
      eight_q[i]      <= layer.last_bits[SimdBits:3] > (SimdBits - 2)'(i);
      last_eight_q[i] <= layer.last_bits[SimdBits:3] == (SimdBits - 2)'(i);
    end
    for (int unsigned i = 0; i < 8; i++) part_q[i] <= layer.last_bits[2:0] > 3'(i);
    for (int unsigned i = 0; i < Simd; i++) tail_mask_q[i] <= eight_q[i/8] | (last_eight_q[i/8] & part_q[i%8]);
  end

  always_ff @(posedge clk_i) begin
    first_d_q  <= {first_d_q[MemoryLatency-2:0], first_q};
    last_d_q   <= {last_d_q[MemoryLatency-2:0], last_q};
    second_d_q <= {second_d_q[MemoryLatency-2:0], second_q};
    if (rst[Reads]) begin
      valid_d_q   <= '0;
      header0_m_q <= '0;
      header1_m_q <= '0;
    end else begin
      valid_d_q   <= {valid_d_q[MemoryLatency-2:0], step_q};
      header0_m_q <= {header0_m_q[MemoryLatency-3:0], header0_d_q[StepLatency-1]};
      header1_m_q <= {header1_m_q[MemoryLatency-3:0], header1_d_q[StepLatency-1]};
    end
    score_header_q <= header0_m_q[MemoryLatency-3] & scores;
  end

  assign plus = flags.pad_one | (flags.pad_first & zero_plane_q);

  bnn_align #(
      .Simd (Simd),
      .Lanes(Lanes)
  ) u_align (
      .clk_i,
      .shift_i    (shift_q),
      .pad_i      (outside_q),
      .plus_i     (plus),
      .tail_i     (tail_q),
      .tail_mask_i(tail_mask_q),
      .data_i     (act_data_i),
      .data_o     (operand)
  );

  // ---- Array and what becomes of its results -----------------------------------------------------

  logic bits_soon, sum_valid, sum_shift, serial_done, score_done;
  logic [Lanes*Pe-1:0] bits;
  logic [2*Lanes*SumBits-1:0] sums;
  logic [Pe/4*Lanes*SumBits-1:0] hand;
  logic write_next, read_q;
  logic [Lanes-1:0] vector_lane;
  logic [AddrBits-1:0] vector_addr, read_addr;
  logic [SlotBits-1:0] vector_slot;
  logic [Lanes*Pe-1:0] vector_bit;
  logic plain_score_valid, vector_score_valid;
  logic [63:0] plain_score_addr, vector_score_addr, plain_score, vector_score;
  logic [1:0] plain_score_half, vector_score_half;
  bnn_array #(
      .Pe      (Pe),
      .Simd    (Simd),
      .Lanes   (Lanes),
      .SumBits (SumBits),
      .DspLanes(DspLanes)
  ) u_array (
      .clk_i,
      .rst_i(rst[Sums]),
      .valid_i    (valid_d_q[MemoryLatency-1]),
      .first_i    (first_d_q[MemoryLatency-1]),
      .last_i     (last_d_q[MemoryLatency-1]),
      .second_i   (second_d_q[MemoryLatency-1]),
      .header_soon_i(header0_m_q[MemoryLatency-2]),
      .pool_i     (pool),
      .plain_i    (~plain_q),
      .hand_i     (vector),
      .weight_i   (ring_data_i),
      .act_i      (operand),
      .bit_soon_o (bits_soon),
      .bit_o      (bits),
      .shift_i    (sum_shift),
      .sum_valid_o(sum_valid),
      .hand_soon_o(hand_soon),
      .sum_o      (sums),
      .hand_o     (hand)
  );

  bnn_writeback #(
      .Pe       (Pe),
      .Simd     (Simd),
      .Lanes    (Lanes),
      .ActDepth (ActDepth)
  ) u_writeback (
      .clk_i,
      .rst_i(rst[Writes]),
      .start_i,
      .pool_i        (pool),
      .serial_i      (serial),
      .images_i      (images_q),
      .rows_i        (rows_q),
      .blocks_i      (blocks),
      .columns_i     (layer.out_columns[LaneBits-1:0]),
      .in_batch_i    (layer_i.in_batch),
      .base_i        (layer.dest_base[AddrBits-1:0]),
      .image_stride_i(layer.dest_image_stride[AddrBits-1:0]),
      .row_stride_i  (layer.dest_row_stride[AddrBits-1:0]),
      .words_i       (layer.dest_words[AddrBits-1:0]),
      .soon_i        (bits_soon & plain_q),
      .bit_i         (bits),
      .block_done_o  (serial_done),
      .vector_lane_i (vector_lane),
      .vector_addr_i (vector_addr),
      .vector_slot_i (vector_slot),
      .vector_bit_i  (vector_bit),
      .vector_i      (is_vector),
      .read_i        (read),
      .read_addr_i   (read_addr),
      .write_next_o  (write_next),
      .write_lane_o,
      .write_group_o,
      .write_addr_o,
      .write_data_o
  );

  assign write_next_o = write_next | read;
  always_ff @(posedge clk_i) read_q <= read;
  assign write_read_o = read_q;

  bnn_score #(
      .Pe     (Pe),
      .Simd   (Simd),
      .Lanes  (Lanes),
      .SumBits(SumBits)
  ) u_score (
      .clk_i,
      .rst_i(rst[Scores]),
      .start_i     (start_q),
      .images_i    (layer_i.images),
      .classes_i   (layer.outputs[15:0]),
      .base_i      (scores_q),
      .next_o      (scores_next_o),
      .header0_soon_i(score_header_q),
      .header1_soon_i(header1_m_q[MemoryLatency-2]),
      .weight_i    (ring_data_i),
      .valid_i     (sum_valid & scores),
      .sum_i       (sums),
      .shift_o     (sum_shift),
      .block_done_o(score_done),
      .busy_o       (score_busy),
      .score_valid_o(plain_score_valid),
      .score_ready_i,
      .score_addr_o (plain_score_addr),
      .score_half_o (plain_score_half),
      .score_o      (plain_score)
  );

  if (Vector != 0) begin : gen_vector
    logic from_vector_addr, from_vector_score;

    bnn_register u_from_vector_addr (
        .clk_i,
        .data_i(vector),
        .data_o(from_vector_addr)
    );
    bnn_register u_from_vector_score (
        .clk_i,
        .data_i(vector),
        .data_o(from_vector_score)
    );

    assign score_valid_o = plain_score_valid | vector_score_valid;
    assign score_addr_o  = from_vector_addr ? vector_score_addr : plain_score_addr;
    assign score_half_o  = from_vector_addr ? vector_score_half : plain_score_half;
    assign score_o       = from_vector_score ? vector_score : plain_score;

    bnn_vector #(
        .Pe      (Pe),
        .Simd    (Simd),
        .Lanes   (Lanes),
        .SumBits (SumBits),
        .ActDepth(ActDepth)
    ) u_vector (
        .clk_i,
        .rst_i(rst[Values]),
        .start_i,
        .layer_i,
        .units_i     (images_q),
        .rows_i      (rows_q),
        .busy_o      (vector_busy),
        .headers_o   (vector_headers),
        .load_ready_o(load_ready),
        .load_i      (state_q == Header0 & vector),
        .load_read_o (load_read),
        .load_index_o(load_index),
        .load_data_i (ring_data_i),
        .load_done_o (load_done),
        .take_i      (step & next_hold & vector),
        .room_o      (room),
        .sum_soon_i  (hand_soon),
        .hand_i      (hand),
        .scores_i    (scores_q),
        .score_valid_o(vector_score_valid),
        .score_ready_i,
        .score_addr_o (vector_score_addr),
        .score_half_o (vector_score_half),
        .score_o      (vector_score),
        .read_o      (read),
        .read_addr_o (read_addr),
        .read_data_i (second_data_i),
        .write_lane_o(vector_lane),
        .write_addr_o(vector_addr),
        .write_slot_o(vector_slot),
        .write_data_o(vector_bit)
    );
  end else begin : gen_plain
    logic unused_plain;
    assign unused_plain = ^{rst[Values], hand_soon, hand, second_data_i, vector_score_valid, vector_score_addr,
                            vector_score_half, vector_score};
    assign score_valid_o = plain_score_valid;
    assign score_addr_o  = plain_score_addr;
    assign score_half_o  = plain_score_half;
    assign score_o       = plain_score;
    assign {vector_score_valid, vector_score_addr, vector_score_half, vector_score} = '0;
    assign {vector_busy, load_ready, load_read, load_done, room, read} = '0;
    assign {vector_headers, load_index, read_addr, vector_lane, vector_addr, vector_slot, vector_bit} = '0;
  end

  assign block_done = scores ? score_done : serial_done;

  logic unused_engine;
  assign unused_engine = ^{layer, flags, group_words, weight_index};

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst[Control]);

  layer_t layer_q;
  logic [63:0] scores_before_q;
  logic constant;
  logic [1:0] constant_q;
  logic [3:0] done_before_q;  // ones: cycles since done_o

  assign constant = layer_i == layer_q && scores_i == scores_before_q;

  always_ff @(posedge clk_i) begin
    layer_q         <= layer_i;
    scores_before_q <= scores_i;
    constant_q      <= {constant_q[0], constant};
    done_before_q   <= rst[Control] ? '0 : {done_before_q[2:0], done_q};
  end

  start_when_idle: assert property (start_i |-> state_q == Stop && !start_q)
      else $error("start_i during a layer");
  start_after_writes: assert property (start_i |-> !done_q && done_before_q == '0)
      else $error("start_i less than five cycles after done_o");
  start_constant: assert property (start_i |-> constant && (&constant_q))
      else $error("layer_i or scores_i not constant from three cycles before start_i");
  layer_constant: assert property (start_q || state_q != Stop || done_q || done_before_q[1:0] != '0 |-> constant)
      else $error("layer_i or scores_i change during a layer, or less than three cycles after done_o");
`endif
endmodule
