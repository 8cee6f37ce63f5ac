// Run controller: reads a program and works through its batches (docs/ARCHITECTURE.md).
//
// start_i, with no run at work, begins one with the addresses and the count given. Header, descriptors and
// first-layer block are read; then three loops run side by side, each over all sub-batches: the weight stream
// (commands to the weight reader, bounded by the room in the ring), the first layer (elsewhere, started by
// first_start_o) and the array layers. done_o ends the run; cycles_o, busy_o and error_o hold until the next start.
//
// With keep_i a run goes on with what the last one left in the core, if that was a resident program
// at the same address and ended without error: it starts at once, and loads nothing but images.
//
// Errors end the run: the readers drop what is left (*_abort_o), all units are reset (flush_o)
// when the bus is quiet, and done_o follows.
//
// Every start, clear, abort and flush comes from a register, as do the values of the program:
// header_o is constant from two cycles before first_start_o, layer_o from three cycles before layer_start_o until
// the next layer; layer_scores_o follows layer_done_i by three cycles.
//
//   this module          the states of a run
//     bnn_run_header       the program's header, checked
//     bnn_run_section      which part of the program is at hand, where it is
//     bnn_run_read         reads of parts
//     bnn_run_descriptors  the layers' descriptors, checked one by one
//     bnn_run_layers       which layer comes next, with which images
//     bnn_run_weights      the weight stream, on its own
module bnn_run
  import bnn_pkg::*;
  import bnn_add_pkg::add;
#(
    parameter int unsigned Pe = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned WeightDepth = 1024,
    parameter int unsigned ActDepth = 1024,
    parameter int unsigned FirstPe = 4,
    parameter int unsigned ImagePixels = 1024,
    parameter int unsigned MaxLayers = 16,
    parameter int unsigned Vector = 0,
    localparam int unsigned RingBits = $clog2(WeightDepth),
    localparam int unsigned RowBits = $clog2(ActDepth) + 1
) (
    input  logic              clk_i,
    input  logic              rst_i,
    // Run
    input  logic              start_i,
    input  logic [63:0]       program_i,
    input  logic [63:0]       images_i,
    input  logic [63:0]       scores_i,
    input  logic [30:0]       count_i,
    input  logic              keep_i,
    output logic              done_o,
    output logic [31:0]       cycles_o,
    output logic [31:0]       busy_o,
    output error_e            error_o,
    // Bus
    input  logic              bus_busy_i,
    input  logic              bus_error_i,
    output logic              clear_error_o,
    output logic [2:0]        read_abort_o,
    output logic              write_abort_o,
    output logic              flush_o,
    // Program reader and weight reader
    output logic [63:0]       section_addr_o,
    output logic [31:0]       section_beats_o,
    output logic              program_valid_o,
    input  logic              program_ready_i,
    output logic              weight_valid_o,
    input  logic              weight_ready_i,
    output logic              credit_set_o,
    input  logic              beat_valid_i,
    input  logic [63:0]       beat_i,
    // Weight ring
    output logic              ring_clear_o,
    output logic              ring_hold_o,
    output logic [RingBits:0] ring_words_o,
    output logic              ring_rewind_o,
    output logic              ring_in_b_o,
    output logic              ring_limit_o,
    // First layer
    output header_t           header_o,
    output logic              first_start_o,
    output logic [63:0]       first_images_o,
    output logic [31:0]       first_count_o,
    output logic              first_load_o,
    output logic [9:0]        first_index_o,
    output logic [63:0]       first_data_o,
    input  logic              first_wrong_i,  // the program has another first layer than the one wired in
    input  logic              first_row_i,
    input  logic              first_done_i,
    output logic              first_consumed_o,
    // Array layers
    output logic              layer_start_o,
    output layer_t            layer_o,
    output logic [63:0]       layer_scores_o,
    output logic              rows_wait_o,
    output logic [RowBits-1:0] rows_o,
    input  logic [63:0]       scores_next_i,
    input  logic              layer_done_i,
    input  logic              multiply_i
);
  localparam int unsigned LayerBits = (MaxLayers > 1) ? $clog2(MaxLayers) : 1;
  localparam int unsigned DescriptorBeatBits = $clog2(DescriptorWords * 4 / BeatBytes);
  localparam int unsigned DescriptorIndexBits = LayerBits + DescriptorBeatBits;
  localparam int unsigned IndexBits = (DescriptorIndexBits > 10) ? DescriptorIndexBits : 10;

  // State, one-hot.
  localparam int unsigned Idle = 0, Open = 1, Ask = 2, Read = 3, Check = 4, Begin = 5, SubBatch = 6;
  localparam int unsigned Copy = 7, Settle = 8, Start = 9, Layer = 10, Abort = 11, Flush = 12, Done = 13;

  logic [Done:0] state_q;
  logic [Done:0] stayed_q;  // a state that waits, from its second cycle on; in the first wait_q is of the one before
  logic [9:1] wait_q;  // ones: its cycles, from the second one on
  logic start_q, keep_asked_q, none_q, asked;  // asked: for a part of the program
  logic kept_q, same_q, keep_q;  // a program is in place; it has this address; this run uses it
  logic [63:0] program_q, kept_program_q, images_q, scores_q;
  logic [31:0] count_q;

  // The program
  header_t header;
  error_e header_error;
  logic two_segments;
  logic [16:0] words;  // weight words of both segments
  // Its part at hand, and the beats of that
  logic in_header, in_descriptors, in_first, in_segment_a, bad_section;
  logic program_taken, beat, last_beat, part_end, part_ended_q, part_over_q;  // part_ended_q: not the header
  logic [12:0] index;
  // A cycle later, what goes on to a memory
  logic descriptor_load_q, first_load_q;
  logic [IndexBits-1:0] index_q;
  logic [63:0] beat_q;
  // The next layer
  logic settled, bad_layer, bad_vector, in_b, last_layer, last_layer_b, layer_end, segment_end, run_end, in_batch;
  logic [LayerBits-1:0] next_layer;
  logic sub_begin;
  // Weights asked for
  logic weight_step, weight_to_b;

  // ---- The begin, in the next cycle, and what a fetch of a descriptor follows -----------------

  localparam int unsigned ForDescriptors = 0, ForLayers = 1, ForWeights = 2, ForBatches = 3;
  logic [3:0] begins;
  logic layer_start_q;

  for (genvar i = 0; i < 4; i++) begin : gen_begin
    bnn_register u_begin (
        .clk_i,
        .data_i(state_q[Begin]),
        .data_o(begins[i])
    );
  end

  always_ff @(posedge clk_i) layer_start_q <= state_q[Start];

  logic fetch;

  bnn_register u_fetch (
      .clk_i,
      .data_i(state_q[Begin] | state_q[Start]),
      .data_o(fetch)
  );

  // ---- Program: header, parts, descriptors ---------------------------------------------------

  assign beat = state_q[Read] & beat_valid_i;
  assign part_end = beat & last_beat;

  always_ff @(posedge clk_i) begin
    part_over_q  <= ~rst_i & part_end;
    part_ended_q <= ~rst_i & part_end & ~in_header;
  end

  bnn_run_header #(
      .Pe         (Pe),
      .Simd       (Simd),
      .Lanes      (Lanes),
      .WeightDepth(WeightDepth),
      .ActDepth   (ActDepth),
      .FirstPe    (FirstPe),
      .ImagePixels(ImagePixels),
      .MaxLayers  (MaxLayers),
      .Vector     (Vector)
  ) u_header (
      .clk_i,
      .load_i        ({state_q[Read], beat_valid_i, in_header}),
      .beat_i,
      .header_o      (header),
      .two_segments_o(two_segments),
      .words_o       (words),
      .error_o       (header_error)
  );

  // While the header is checked the parts are gone through once; then they are read, and weights asked for.
  bnn_run_section #(
      .Pe    (Pe),
      .Simd  (Simd),
      .Vector(Vector)
  ) u_section (
      .clk_i,
      .program_i       (header),
      .base_i          (program_q),
      .header_i        (state_q[Idle]),
      .next_i          ((state_q[Check] & ~(stayed_q[Check] & wait_q[5])) | part_ended_q | (weight_step & weight_to_b)),
      .segment_a_i     (weight_step | begins[ForWeights]),
      .in_header_o     (in_header),
      .in_descriptors_o(in_descriptors),
      .in_first_o      (in_first),
      .in_segment_a_o  (in_segment_a),
      .addr_o          (section_addr_o),
      .beats_o         (section_beats_o),
      .load_i          (state_q[Read]),
      .check_i         (stayed_q[Check] & wait_q[3]),
      .bad_o           (bad_section)
  );

  bnn_run_read u_read (
      .clk_i,
      .rst_i,
      .ask_i       (state_q[Ask]),
      .settled_i   (stayed_q[Ask] & wait_q[3]),
      .beats_i     (section_beats_o[12:0]),
      .valid_o     (program_valid_o),
      .ready_i     (program_ready_i),
      .taken_o     (program_taken),
      .beat_valid_i,
      .index_o     (index),
      .last_o      (last_beat)
  );

  bnn_run_descriptors #(
      .Pe         (Pe),
      .Simd       (Simd),
      .Lanes      (Lanes),
      .WeightDepth(WeightDepth),
      .MaxLayers  (MaxLayers),
      .Vector     (Vector)
  ) u_descriptors (
      .clk_i,
      .header_i     (header),
      .load_i       (descriptor_load_q),
      .load_index_i (index_q[DescriptorIndexBits-1:0]),
      .beat_i       (beat_q),
      .fetch_i      (fetch),
      .fetch_index_i(begins[ForDescriptors] ? '0 : next_layer),
      .settled_o    (settled),
      .bad_o        (bad_layer),
      .vector_o     (bad_vector),
      .copy_i       (state_q[Copy]),
      .layer_o      (layer_o.descriptor),
      .in_batch_o   (in_batch),
      .in_b_i       (in_b),
      .last_i       (last_layer),
      .last_b_i     (last_layer_b),
      .begin_i      (begins[ForDescriptors]),
      .start_i      (layer_start_q),
      .end_i        (layer_end)
  );

  assign header_o = header;

  // The first-layer block goes to the first layer.

  always_ff @(posedge clk_i) begin
    descriptor_load_q <= beat & in_descriptors;
    first_load_q      <= beat & in_first;
    index_q           <= index[IndexBits-1:0];
    beat_q            <= beat_i;
  end

  assign first_load_o  = first_load_q;
  assign first_index_o = index_q[9:0];
  assign first_data_o  = beat_q;

  // ---- Array layers --------------------------------------------------------------------------

  bnn_run_layers #(
      .MaxLayers(MaxLayers),
      .RowBits  (RowBits)
  ) u_layers (
      .clk_i,
      .begin_i       (begins[ForLayers]),
      .count_i       (count_q),
      .header_i      (header),
      .two_segments_i(two_segments),
      .first_row_i,
      .first_done_i,
      .sub_begin_i   (sub_begin),
      .rows_wait_o,
      .rows_o,
      .consumed_o    (first_consumed_o),
      .layer_i       (state_q[Layer]),
      .layer_done_i,
      .release_i     (layer_o.descriptor.flags.release_first),
      .batch_i       (in_batch),
      .odd_o         (layer_o.odd),
      .images_o      (layer_o.images),
      .in_batch_o    (layer_o.in_batch),
      .rewind_o      (ring_rewind_o),
      .in_b_o        (in_b),
      .last_o        (last_layer),
      .last_b_o      (last_layer_b),
      .end_o         (layer_end),
      .next_index_o  (next_layer),
      .segment_end_o (segment_end),
      .run_end_o     (run_end)
  );

  assign layer_start_o = layer_start_q;
  assign ring_in_b_o   = in_b;

  // ---- Weights and images --------------------------------------------------------------------

  bnn_run_weights #(
      .WeightDepth(WeightDepth)
  ) u_weights (
      .clk_i,
      .rst_i,
      .begin_i       ({begins[ForBatches], begins[ForWeights]}),
      .keep_i        (keep_q),
      .abort_i       (state_q[Abort]),
      .count_i       (count_q),
      .header_i      (header),
      .two_segments_i(two_segments),
      .words_i       (words[RingBits:0]),
      .in_a_i        (in_segment_a),
      .step_o        (weight_step),
      .to_b_o        (weight_to_b),
      .valid_o       (weight_valid_o),
      .ready_i       (weight_ready_i),
      .clear_o       (ring_clear_o),
      .hold_o        (ring_hold_o),
      .words_o       (ring_words_o),
      .limit_o       (ring_limit_o)
  );

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

  assign first_images_o = images_q;
  assign first_count_o  = count_q;

  // ---- Scores: where the next ones go -----------------------------------------------------------

  // And, with a start, the other addresses and the count; parts of them have registers of their own for it.
  for (genvar p = 0; p < 4; p++) begin : gen_addresses
    logic load, set;

    bnn_register #(
        .Bits(2)
    ) u_load (
        .clk_i,
        .data_i({start_i, start_i | (layer_end & layer_o.descriptor.flags.scores)}),
        .data_o({load, set})
    );

    always_ff @(posedge clk_i) begin
      if (set) scores_q[16*p+:16] <= load ? scores_i[16*p+:16] : scores_next_i[16*p+:16];
      if (load) begin
        program_q[16*p+:16] <= program_i[16*p+:16];
        images_q[16*p+:16]  <= images_i[16*p+:16];
      end
    end
  end

  logic load_count;

  bnn_register u_load_count (
      .clk_i,
      .data_i(start_i),
      .data_o(load_count)
  );
  always_ff @(posedge clk_i) begin
    if (load_count) begin
      count_q      <= {1'b0, count_i};
      keep_asked_q <= keep_i;
    end
  end

  assign layer_scores_o = scores_q;

  // ---- States --------------------------------------------------------------------------------

  logic flush_q, finished_q;
  logic [3:0] same_parts_q;
  logic [31:0] cycles_q, busy_q;
  logic [1:0] clear;  // of these
  logic multiply_q;
  error_e error_q;

  for (genvar p = 0; p < 4; p++) begin : gen_same
    always_ff @(posedge clk_i) same_parts_q[p] <= program_q[16*p+:16] == kept_program_q[16*p+:16];
  end

  // A cycle late, as the address is constant during a run
  bnn_register u_asked (
      .clk_i,
      .data_i(state_q[Ask]),
      .data_o(asked)
  );

  for (genvar i = 0; i < 2; i++) begin : gen_clear
    bnn_register u_clear (
        .clk_i,
        .data_i(rst_i | start_i),
        .data_o(clear[i])
    );
  end

  always_ff @(posedge clk_i) begin
    multiply_q <= multiply_i;
    if (asked) kept_program_q <= program_q;
    if (clear[0]) cycles_q <= '0;
    else if (!state_q[Idle]) cycles_q <= add(cycles_q, 32'd1);
    if (clear[1]) busy_q <= '0;
    else busy_q <= add(busy_q, 32'(multiply_q));
    none_q       <= count_q == '0;
    same_q       <= &same_parts_q;
    flush_q      <= state_q[Flush];
    finished_q   <= state_q[Done];
  end

  // A state is left with one of these. The comparison of the addresses takes three cycles in Open.
  logic open_end, read_end, check_end, settle_end, layer_over, abort_end, flush_end;
  logic bad_program, bus_abort;
  logic [Done:0] stay;  // those that wait
  logic bad_check_q, bad_first_q, bad_layer_q, bad_bus_q;

  assign open_end    = stayed_q[Open] & wait_q[3];
  assign read_end    = state_q[Read] & part_over_q;
  assign check_end   = stayed_q[Check] & wait_q[9];
  assign sub_begin   = stayed_q[SubBatch] & wait_q[3];
  assign settle_end  = stayed_q[Settle] & wait_q[1];
  assign layer_over  = state_q[Layer] & layer_end;
  // Until then a write that was on its way to the bus's master when it was held shows there.
  assign abort_end   = stayed_q[Abort] & wait_q[9] & ~bus_busy_i;
  assign flush_end   = stayed_q[Flush] & wait_q[2];
  assign bad_program = header_error != ErrorNone || bad_section;
  assign bus_abort   = bus_error_i & ~(state_q[Idle] | state_q[Abort] | state_q[Flush] | state_q[Done]);

  always_comb begin
    stay           = '0;
    stay[Open]     = state_q[Open] & ~open_end & ~bus_error_i;
    stay[Ask]      = state_q[Ask] & ~program_taken & ~bus_error_i;
    stay[Check]    = state_q[Check] & ~check_end & ~bus_error_i;
    stay[SubBatch] = state_q[SubBatch] & ~sub_begin & ~bus_error_i;
    stay[Settle]   = state_q[Settle] & ~settle_end & ~bus_error_i;
    stay[Abort]    = state_q[Abort] & ~abort_end;
    stay[Flush]    = state_q[Flush] & ~flush_end;
  end

  always_ff @(posedge clk_i) begin
    wait_q  <= |stayed_q ? {wait_q[8:1], 1'b1} : '0;
    start_q <= ~rst_i & start_i;
    if (rst_i) begin
      state_q  <= (Done + 1)'(1) << Idle;
      stayed_q <= '0;
      kept_q   <= 1'b0;
      keep_q   <= 1'b0;
    end else begin
      stayed_q          <= stay;
      state_q[Idle]     <= (state_q[Idle] & ~start_q) | state_q[Done];
      state_q[Open]     <= (state_q[Idle] & start_q) | stay[Open];
      state_q[Ask]      <= (~bus_error_i & ((open_end & ~none_q & ~keep_q) | (read_end & ~in_header & ~in_first)
          | (check_end & ~bad_program))) | stay[Ask];
      state_q[Read]     <= ~bus_error_i & ((state_q[Ask] & program_taken) | (state_q[Read] & ~part_over_q));
      state_q[Check]    <= (~bus_error_i & read_end & in_header) | stay[Check];
      state_q[Begin]    <= ~bus_error_i & ((open_end & ~none_q & keep_q) | (read_end & ~in_header & in_first));
      state_q[SubBatch] <= (~bus_error_i & (state_q[Begin] | (layer_over & segment_end & ~run_end))) | stay[SubBatch];
      state_q[Copy]     <= ~bus_error_i & ((sub_begin & ~first_wrong_i) | (layer_over & ~segment_end)
          | (state_q[Copy] & ~settled));
      state_q[Settle]   <= (~bus_error_i & state_q[Copy] & settled) | stay[Settle];
      state_q[Start]    <= ~bus_error_i & settle_end & ~bad_layer & ~bad_vector;
      state_q[Layer]    <= ~bus_error_i & (state_q[Start] | (state_q[Layer] & ~layer_end));
      state_q[Abort]    <= bus_abort | (check_end & bad_program) | (sub_begin & first_wrong_i)
          | (settle_end & (bad_layer | bad_vector)) | (layer_over & segment_end & run_end) | stay[Abort];
      state_q[Flush]    <= abort_end | stay[Flush];
      state_q[Done]     <= (open_end & none_q & ~bus_error_i) | flush_end;
      if (state_q[Open]) keep_q <= keep_asked_q & kept_q & same_q;
      if (state_q[Ask]) kept_q <= 1'b0;
      else if (state_q[Done]) kept_q <= header.kept.resident & (error_q == ErrorNone) & ~none_q;
    end
  end

  // What was wrong, a cycle after it; the first that was
  always_ff @(posedge clk_i) begin
    bad_check_q <= check_end & bad_program & ~bus_error_i;
    bad_first_q <= sub_begin & first_wrong_i & ~bus_error_i;
    bad_layer_q <= settle_end & (bad_layer | bad_vector) & ~bus_error_i;
    bad_bus_q   <= bus_abort;
    if (rst_i || (state_q[Idle] && start_q)) error_q <= ErrorNone;
    else if (bad_check_q) error_q <= header_error != ErrorNone ? header_error : ErrorRange;
    else if (bad_first_q) error_q <= ErrorGeometry;
    else if (bad_layer_q) error_q <= bad_vector ? ErrorVector : ErrorRange;
    else if (bad_bus_q || (bus_error_i && state_q[Abort] && error_q == ErrorNone)) error_q <= ErrorResponse;
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

  // For simulation: 0 idle, 1 loads the program, 2 other.
  logic [1:0] tap_run  /* verilator public_flat_rd */;

  always_comb begin
    tap_run = 2'd2;
    if (state_q[Idle]) tap_run = 2'd0;
    else if (|state_q[Check:Open]) tap_run = 2'd1;
  end

  assign flush_o       = flush_q;
  assign clear_error_o = flush_q;
  assign done_o        = finished_q;
  assign cycles_o      = cycles_q;
  assign busy_o        = busy_q;
  assign error_o       = error_q;

  logic unused_run;
  assign unused_run = ^{words, index};

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  one_state: assert property ($onehot($past(state_q)) |-> $onehot(state_q))
      else $error("states %b, expected one", state_q);
  start_when_idle: assert property (start_i |-> state_q[Idle] && !start_q)
      else $error("start_i during a run");
  flush_when_quiet: assert property (flush_o |-> !bus_busy_i)
      else $error("flush_o while the bus is busy");
`endif
endmodule
