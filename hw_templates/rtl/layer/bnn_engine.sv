// One array layer: from a descriptor to the bits in the activation memory, or the scores.
//
// The steps of the sequencer read the activation memory and the weight ring; lanes are aligned,
// the array sums, thresholds become bits, the write-back stores them. Before each group it waits
// until all words of the group are in the ring, reads its headers, and pops the group after the
// last step. Sums that leave the engine one by one (scores, serial writes) are started one at a
// time.
//
// start_i: a pulse with idle; layer_i and scores_i are constant from two cycles before it until two cycles
// after done_o, a pulse. The next start_i comes at least five cycles after it: its reads find all bits
// written. multiply_o is high in cycles in which the array has a word.
//
// Latency, from a step to the array: 7 cycles (addresses 4, memory 2, alignment 1).
module bnn_engine
  import bnn_pkg::*;
#(
    parameter int unsigned Pe = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned WeightDepth = 1024,
    parameter int unsigned ActDepth = 1024,
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
    output logic [63:0]               scores_next_o,
    output logic                      done_o,
    output logic                      multiply_o,
    // Weight ring
    input  logic [RingBits:0]         ring_available_i,
    output logic                      ring_read_o,
    output logic [RingBits-1:0]       ring_index_o,
    input  logic [Pe*Simd-1:0]        ring_data_i,
    output logic                      ring_pop_o,
    output logic [RingBits:0]         ring_pop_count_o,
    // Activation memory
    output logic                      act_read_o,
    output logic [Lanes*AddrBits-1:0] act_addr_o,
    input  logic [Lanes*Simd-1:0]     act_data_i,
    output logic                      write_next_o,  // a write in the next cycle
    output logic [Lanes-1:0]          write_lane_o,
    output logic [Groups-1:0]         write_group_o,
    output logic [AddrBits-1:0]       write_addr_o,
    output logic [Lanes*Simd-1:0]     write_data_o,
    // Scores
    output logic                      score_valid_o,
    input  logic                      score_ready_i,
    output logic [63:0]               score_addr_o,
    output logic [1:0]                score_half_o,
    output logic [63:0]               score_o
);
  localparam int unsigned SumBits = AccBits + 1;  // with a sign: less the threshold
  localparam int unsigned LaneBits = $clog2(Lanes);
  localparam int unsigned SumLatency = array_latency(Simd);
  localparam int unsigned StepLatency = 4;  // from a step to the addresses
  localparam int unsigned MemoryLatency = 3;  // from the addresses to the operands of the array
  // A write leaves the write-back StepLatency + MemoryLatency + SumLatency + 5 cycles after its
  // step. Finish is entered 6 cycles after the last step, done_o follows its end by one cycle and
  // layer_i changes 3 cycles after that.
  localparam int unsigned Drain = StepLatency + MemoryLatency + SumLatency + 5 - 6 - 1 - 3 + 1;
  localparam int unsigned DrainBits = $clog2(Drain + 1);

  // ---- Descriptor ----------------------------------------------------------------------------

  descriptor_t layer;
  flags_t flags;
  logic pool, serial, scores, dense, step_pool, step_pad, step_kernel, step_serial, step_scores, step_dense, start_q;
  logic [15:0] blocks, rows_q, group_words, dense_blocks_q, images_q;
  logic [1:0] headers;
  logic [RingBits:0] group_total_q;

  assign layer       = layer_i.descriptor;
  assign flags       = layer.flags;
  assign blocks      = layer.blocks[15:0];
  assign group_words = layer.group_words[15:0];
  assign headers     = scores ? 2'd2 : 2'd1;

  bnn_register #(
      .Bits(4)
  ) u_flags (
      .clk_i,
      .data_i({flags.dense, flags.scores, flags.serial, flags.pool}),
      .data_o({dense, scores, serial, pool})
  );
  bnn_register #(
      .Bits(3)
  ) u_step_flags (
      .clk_i,
      .data_i({flags.dense, flags.scores, flags.serial}),
      .data_o({step_dense, step_scores, step_serial})
  );
  bnn_register #(
      .Bits(3)
  ) u_step_shape (
      .clk_i,
      .data_i({flags.pool, flags.pad, flags.kernel3}),
      .data_o({step_pool, step_pad, step_kernel})
  );

  always_ff @(posedge clk_i) begin
    rows_q         <= pool ? layer.rows[15:0] >> 1 : layer.rows[15:0];
    dense_blocks_q <= (layer_i.images + 16'(Lanes - 1)) >> LaneBits;
    images_q       <= dense ? dense_blocks_q : layer_i.images;
    if (rst_i) start_q <= 1'b0;
    else start_q <= start_i;
  end

  // ---- Steps ---------------------------------------------------------------------------------

  typedef enum logic [2:0] {
    Stop,
    Wait,
    Header0,
    Header1,
    Run,
    Pop,
    Finish
  } state_e;

  state_e state_q;
  logic next_valid, seq_done, step, one_by_one, pending_q, enough_q, block_done, run_q;
  logic next_hold, next_final, next_group_last, sequence_over_q, score_busy, done_q;
  logic [$clog2(SumLatency+2)-1:0] space_q;  // cycles until a header may come
  logic [2:0] pop_wait_q;
  logic [DrainBits-1:0] drain_q;
  // Steps taken, as they read the memories
  logic step_q, first_q, last_q, second_q, group_last_q, tail_q;
  logic [3:0] shift_q;
  logic [Lanes-1:0] pad_q;
  logic [15:0] weight_index_q;

  bnn_sequencer #(
      .Lanes   (Lanes),
      .ActDepth(ActDepth)
  ) u_sequencer (
      .clk_i,
      .rst_i,
      .start_i,
      .done_o           (seq_done),
      .kernel3_i        (step_kernel),
      .pad_one_i        (step_pad),
      .pool_i           (step_pool),
      .dense_i          (step_dense),
      .hold_first_i     (step_scores),
      .hold_final_i     (step_serial),
      .index_first_i    (headers),
      .groups_i         (layer.groups[15:0]),
      .images_i         (images_q),
      .rows_i           (rows_q),
      .blocks_i         (blocks),
      .cw_i             (layer.tap_words[15:0]),
      .height_i         (layer.input_size.height),
      .width_i          (layer.input_size.width),
      .source_base_i    (layer_i.odd ? layer.source_odd[AddrBits-1:0] : layer.source_even[AddrBits-1:0]),
      .image_stride_i   (layer.source_image_stride[AddrBits-1:0]),
      .row_stride_i     (layer.source_row_stride[AddrBits-1:0]),
      .next_valid_o     (next_valid),
      .ready_i          (run_q),
      .wait_i           (pending_q),
      .next_hold_o      (next_hold),
      .next_final_o     (next_final),
      .next_group_last_o(next_group_last),
      .valid_o          (step_q),
      .read_addr_o      (act_addr_o),
      .shift_o          (shift_q),
      .pad_o            (pad_q),
      .tail_o           (tail_q),
      .index_o          (weight_index_q),
      .first_o          (first_q),
      .last_o           (last_q),
      .second_o         (second_q),
      .group_last_o     (group_last_q)
  );

  // Sums leave the array one by one while the next ones are begun, scores before.
  assign one_by_one = serial | scores;
  assign step = next_valid & run_q & ~(pending_q & next_hold);

  always_ff @(posedge clk_i) begin
    group_total_q <= (RingBits + 1)'(group_words) + (RingBits + 1)'(headers);
    enough_q      <= ring_available_i >= group_total_q;
    if (rst_i) begin
      state_q         <= Stop;
      run_q           <= 1'b0;
      done_q          <= 1'b0;
      pending_q       <= 1'b0;
      space_q         <= '0;
      pop_wait_q      <= '0;
      drain_q         <= '0;
      sequence_over_q <= 1'b0;
    end else begin
      if (step && one_by_one && next_final) pending_q <= 1'b1;
      else if (block_done) pending_q <= 1'b0;
      if (state_q == Header0) space_q <= ($bits(space_q))'(SumLatency);
      else if (space_q != '0) space_q <= space_q - 1'b1;
      if (start_q) sequence_over_q <= 1'b0;
      else if (seq_done) sequence_over_q <= 1'b1;
      done_q <= 1'b0;
      unique case (state_q)
        Stop: if (start_q) state_q <= Wait;
        Wait: if (enough_q && space_q == '0 && !(scores && pending_q)) state_q <= Header0;
        Header0: begin
          state_q <= scores ? Header1 : Run;
          run_q   <= ~scores;
        end
        Header1: begin
          state_q <= Run;
          run_q   <= 1'b1;
        end
        Run: begin
          if (step && next_group_last) begin
            state_q    <= Pop;
            run_q      <= 1'b0;
            pop_wait_q <= 3'd4;
          end
        end
        // The pop follows the last step by StepLatency cycles; enough_q knows of it two later.
        Pop: begin
          pop_wait_q <= pop_wait_q - 3'd1;
          if (pop_wait_q == '0) begin
            state_q <= sequence_over_q ? Finish : Wait;
            drain_q <= DrainBits'(Drain);
          end
        end
        Finish: begin
          if (!pending_q && !score_busy && drain_q != '0) drain_q <= drain_q - 1'b1;
          if (drain_q == '0) begin
            state_q <= Stop;
            done_q  <= 1'b1;
          end
        end
        default: state_q <= Stop;
      endcase
    end
  end

  assign done_o = done_q;

  // For simulation: 0 idle, 1 a step, or why there is none: 2 weights, 3 serial writes, 4 scores,
  // 5 change of group or layer.
  logic [2:0] tap_engine  /* verilator public_flat_rd */;

  always_comb begin
    tap_engine = 3'd5;
    if (state_q == Stop) tap_engine = 3'd0;
    else if (step) tap_engine = 3'd1;
    else if (state_q == Wait && !enough_q) tap_engine = 3'd2;
    else if ((pending_q || score_busy) && (state_q == Run || state_q == Wait || state_q == Finish)) begin
      tap_engine = scores ? 3'd4 : 3'd3;
    end
  end

  // ---- Reads -----------------------------------------------------------------------------------

  // Headers pass through the same stages as steps.
  logic [StepLatency-1:0] header0_d_q, header1_d_q;
  logic [RingBits-1:0] index;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      header0_d_q <= '0;
      header1_d_q <= '0;
    end else begin
      header0_d_q <= {header0_d_q[StepLatency-2:0], state_q == Header0};
      header1_d_q <= {header1_d_q[StepLatency-2:0], state_q == Header1};
    end
  end

  always_comb begin
    index = RingBits'(weight_index_q);
    if (header0_d_q[StepLatency-1]) index = '0;
    if (header1_d_q[StepLatency-1]) index = RingBits'(1);
  end

  assign ring_read_o      = step_q | header0_d_q[StepLatency-1] | header1_d_q[StepLatency-1];
  assign ring_index_o     = index;
  assign ring_pop_o       = step_q & group_last_q;
  assign ring_pop_count_o = group_total_q;
  assign act_read_o       = step_q;
  assign multiply_o       = step_q;

  // ---- Operands --------------------------------------------------------------------------------

  logic [Lanes*Simd-1:0] operand;
  logic [Simd-1:0] tail_mask_q;
  // [n] is n + 1 cycles after the addresses
  logic [MemoryLatency-1:0] valid_d_q, first_d_q, last_d_q, second_d_q, header0_m_q, header1_m_q;

  for (genvar i = 0; i < Simd; i += 16) begin : gen_mask
    logic [8:0] valid_bits;
    bnn_register #(
        .Bits(9)
    ) u_valid_bits (
        .clk_i,
        .data_i(layer.last_bits[8:0]),
        .data_o(valid_bits)
    );
    for (genvar j = i; j < i + 16; j++) begin : gen_bit
      always_ff @(posedge clk_i) tail_mask_q[j] <= 9'(j) < valid_bits;
    end
  end

  always_ff @(posedge clk_i) begin
    first_d_q  <= {first_d_q[MemoryLatency-2:0], first_q};
    last_d_q   <= {last_d_q[MemoryLatency-2:0], last_q};
    second_d_q <= {second_d_q[MemoryLatency-2:0], second_q};
    if (rst_i) begin
      valid_d_q   <= '0;
      header0_m_q <= '0;
      header1_m_q <= '0;
    end else begin
      valid_d_q   <= {valid_d_q[MemoryLatency-2:0], step_q};
      header0_m_q <= {header0_m_q[MemoryLatency-2:0], header0_d_q[StepLatency-1]};
      header1_m_q <= {header1_m_q[MemoryLatency-2:0], header1_d_q[StepLatency-1]};
    end
  end

  bnn_align #(
      .Simd (Simd),
      .Lanes(Lanes)
  ) u_align (
      .clk_i,
      .shift_i    (shift_q),
      .pad_i      (pad_q),
      .plus_i     (flags.pad_one),
      .tail_i     (tail_q),
      .tail_mask_i(tail_mask_q),
      .data_i     (act_data_i),
      .data_o     (operand)
  );

  // ---- Array and what becomes of its results -----------------------------------------------------

  logic bits_soon, sum_valid, sum_shift, serial_done, score_done;
  logic [Lanes*Pe-1:0] bits;
  logic [2*Lanes*SumBits-1:0] sums;

  bnn_array #(
      .Pe     (Pe),
      .Simd   (Simd),
      .Lanes  (Lanes),
      .SumBits(SumBits)
  ) u_array (
      .clk_i,
      .rst_i,
      .valid_i    (valid_d_q[MemoryLatency-1]),
      .first_i    (first_d_q[MemoryLatency-1]),
      .last_i     (last_d_q[MemoryLatency-1]),
      .second_i   (second_d_q[MemoryLatency-1]),
      .header_i   (header0_m_q[MemoryLatency-1]),
      .pool_i     (pool),
      .plain_i    (scores),
      .weight_i   (ring_data_i),
      .act_i      (operand),
      .bit_soon_o (bits_soon),
      .bit_o      (bits),
      .shift_i    (sum_shift),
      .sum_valid_o(sum_valid),
      .sum_o      (sums)
  );

  bnn_writeback #(
      .Pe       (Pe),
      .Simd     (Simd),
      .Lanes    (Lanes),
      .ActDepth (ActDepth)
  ) u_writeback (
      .clk_i,
      .rst_i,
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
      .soon_i        (bits_soon & ~scores),
      .bit_i         (bits),
      .block_done_o  (serial_done),
      .write_next_o,
      .write_lane_o,
      .write_group_o,
      .write_addr_o,
      .write_data_o
  );

  bnn_score #(
      .Pe     (Pe),
      .Simd   (Simd),
      .Lanes  (Lanes),
      .SumBits(SumBits)
  ) u_score (
      .clk_i,
      .rst_i,
      .start_i,
      .images_i    (layer_i.images),
      .classes_i   (layer.outputs[15:0]),
      .base_i      (scores_i),
      .next_o      (scores_next_o),
      .header0_i   (header0_m_q[MemoryLatency-1] & scores),
      .header1_i   (header1_m_q[MemoryLatency-1]),
      .weight_i    (ring_data_i),
      .valid_i     (sum_valid & scores),
      .sum_i       (sums),
      .shift_o     (sum_shift),
      .block_done_o(score_done),
      .busy_o       (score_busy),
      .score_valid_o,
      .score_ready_i,
      .score_addr_o,
      .score_half_o,
      .score_o
  );

  assign block_done = scores ? score_done : serial_done;

  logic unused_engine;
  assign unused_engine = ^{layer, flags, group_words, weight_index_q};

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  layer_t layer_q;
  logic [63:0] scores_before_q;
  logic constant, constant_q;
  logic [3:0] done_before_q;  // ones: cycles since done_o

  assign constant = layer_i == layer_q && scores_i == scores_before_q;

  always_ff @(posedge clk_i) begin
    layer_q         <= layer_i;
    scores_before_q <= scores_i;
    constant_q      <= constant;
    done_before_q   <= rst_i ? '0 : {done_before_q[2:0], done_q};
  end

  start_when_idle: assert property (start_i |-> state_q == Stop && !start_q)
      else $error("start_i during a layer");
  start_after_writes: assert property (start_i |-> !done_q && done_before_q == '0)
      else $error("start_i less than five cycles after done_o");
  start_constant: assert property (start_i |-> constant && constant_q)
      else $error("layer_i or scores_i not constant from two cycles before start_i");
  layer_constant: assert property (start_q || state_q != Stop || done_q || done_before_q[1:0] != '0 |-> constant)
      else $error("layer_i or scores_i change during a layer, or less than three cycles after done_o");
`endif
endmodule
