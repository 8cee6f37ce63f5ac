// Vector unit: sums that the array hands over become values, bits and what is written of them.
//
//   U   = sum over the hand-overs of coefficient * acc         average: coefficient * sum of a map's values
//   y_k = ((U + offset_k) >> shift) + shortcut,  v_k = y_k at least low, at most high, maximum over a pool
//   bit_k = (v_k >= limit_k) ^ flip_k, or the bits of v_0;  value = v_0         docs/ARCHITECTURE.md, "Version 2"
//
// Three parts follow each other, each at its own pace:
//   store        four cycles a hand-over: one PE of every tile row at a time (hand_i), 16 hand-overs
//   values       Pe/8 channels of every lane a cycle: 8*u + c for each unit u (bnn_vector_unit). A channel takes a turn
//                for every hand-over, and one more for each further plane, or two with several hand-overs: the offset of
//                the plane before goes, its own comes. bnn_vector_pool keeps planes of up to 8 blocks
//   results      nine cycles a plane: values, then the bits of all Pe channels (bnn_vector_lane); with serial columns
//                come one after the other
// Shortcuts and values that are averaged are read at the memory's second port, which the results write at: a turn with a
// read waits while its cycle is theirs. Data comes five cycles after read_addr_o.
//
// start_i begins a layer, the configuration (layer_i, units_i: images or blocks of them, rows_i after the pool)
// constant from three cycles before it until busy_o has fallen. load_i, only with load_ready_o: the header of the
// next group is in the ring (bnn_vector_header). take_i tells that a hand-over was begun, only with room_o;
// sum_soon_i comes two cycles before its sums. busy_o falls when the last write is four cycles or less from
// write_*_o: the lanes of write_lane_o, Pe bits each, which bnn_writeback puts into words.
module bnn_vector
  import bnn_pkg::*;
  import bnn_add_pkg::add;
#(
    parameter int unsigned Pe = 8,
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned SumBits = 17,
    parameter int unsigned ActDepth = 1024,
    localparam int unsigned AddrBits = $clog2(ActDepth),
    localparam int unsigned LaneBits = $clog2(Lanes),
    localparam int unsigned Slots = Simd / Pe,
    localparam int unsigned SlotBits = (Slots > 1) ? $clog2(Slots) : 1
) (
    input  logic                          clk_i,
    input  logic                          rst_i,
    // Layer
    input  logic                          start_i,
    input  layer_t                        layer_i,
    input  logic [15:0]                   units_i,
    input  logic [15:0]                   rows_i,
    output logic                          busy_o,
    output logic [5:0]                    headers_o,  // words of a group's
    // Headers
    output logic                          load_ready_o,
    input  logic                          load_i,
    output logic                          load_read_o,
    output logic [5:0]                    load_index_o,
    input  logic [Pe*Simd-1:0]            load_data_i,
    output logic                          load_done_o,
    // Sums
    input  logic                          take_i,
    output logic                          room_o,
    input  logic                          sum_soon_i,
    input  logic [Pe/4*Lanes*SumBits-1:0] hand_i,
    // Scores
    input  logic [63:0]                   scores_i,
    output logic                          score_valid_o,
    input  logic                          score_ready_i,
    output logic [63:0]                   score_addr_o,
    output logic [1:0]                    score_half_o,
    output logic [63:0]                   score_o,
    // Activation memory
    output logic                          read_o,
    output logic [AddrBits-1:0]           read_addr_o,
    input  logic [Lanes*Simd-1:0]         read_data_i,
    output logic [Lanes-1:0]              write_lane_o,
    output logic [AddrBits-1:0]           write_addr_o,
    output logic [SlotBits-1:0]           write_slot_o,
    output logic [Lanes*Pe-1:0]           write_data_o
);
  localparam int unsigned Units = Pe / 8;

  if (Pe < 8 || Lanes < 4) begin : gen_check
    $error("bnn_vector: Pe = %0d, Lanes = %0d, must be at least 8 and 4", Pe, Lanes);
  end

  // ---- Configuration -----------------------------------------------------------------------------

  descriptor_t layer;
  flags_t flags;
  logic clear, rst_way, rst_results;
  logic average_q, average_pixel, pool_q, pairs_q, images_q, serial_q, bit_planes_q, value_q, has_bits_q, unsigned_q;
  logic scores_q;
  logic [4:0] bases_q, planes_q, hand_overs_q;
  logic [4:0] product_q;
  logic [15:0] pixels_q, sums_q;  // sums of an output
  logic [1:0] kept_q, kept_last_q;  // planes with values of their own
  logic [3:0] last_given_q;  // of the planes that are given, at least one turn
  logic [3:0] phase_before_q, given_end_q;  // the phase two before the last, the plane before the last
  logic one_given_q;
  logic [2:0] fields_q;  // places in the pool's queue of a block, of eight
  logic [7:0] most_q;
  logic mean_q;
  logic [2:0] reads_q;  // reads of a shortcut
  logic few_q;  // more of these than sums: there are 1, 2 or 4
  logic single_q;  // one sum
  logic many_q;  // several hand-overs
  // A channel's turns: those up to the first plane, or score, then those of the others
  logic [15:0] lead_q, lead_before_q;  // the latter: the turn two before the last
  logic [2:0] more_q, more_last_q;
  logic one_lead_q, two_leads_q, no_more_q, sum_now_q, read_now_q;  // of the first turn
  logic [1:0] sum_wait_q;  // the turn before the first sum, and before the first read
  logic [3:0] read_wait_q;
  logic far_q;
  logic [7:0] factor_q;
  logic [15:0] rows_q;
  logic [2:0] pool_blocks_q;

  // Of turns and results on their way, which go on for a cycle more
  bnn_register u_rst_way (
      .clk_i,
      .data_i(rst_i),
      .data_o(rst_way)
  );
  bnn_register u_rst_results (
      .clk_i,
      .data_i(rst_i),
      .data_o(rst_results)
  );
  // What is counted begins with a layer; after a reset a cycle later than the rest
  bnn_register u_clear (
      .clk_i,
      .data_i(rst_i | start_i),
      .data_o(clear)
  );

  // Of addresses of pixels
  bnn_register u_average_pixel (
      .clk_i,
      .data_i(flags.average),
      .data_o(average_pixel)
  );

  assign layer = layer_i.descriptor;
  assign flags = layer.flags;
  // Of up to eight bases and planes; no layer with more than 16 passes hands each over.
  function automatic logic [63:0][4:0] products();
    for (int unsigned i = 0; i < 64; i++) products[i] = 5'((i / 8 + 1) * (i % 8 + 1));
  endfunction
  localparam logic [63:0][4:0] Product = products();

  // Tables, as a LUT is less than a carry chain: one more, the greatest value and the number of its last bit, one less,
  // the negative, pairs of words of hand-overs and of planes
  function automatic logic [15:0][4:0] nexts();
    for (int unsigned i = 0; i < 16; i++) nexts[i] = 5'(i + 1);
  endfunction
  function automatic logic [15:0][7:0] mosts();
    for (int unsigned i = 0; i < 16; i++) mosts[i] = i == 0 ? 8'd127 : 8'((32'd1 << i) - 1);
  endfunction
  function automatic logic [15:0][3:0] givens();
    for (int unsigned i = 0; i < 16; i++) givens[i] = i == 0 ? 4'(ValueBits - 1) : 4'(i - 1);
  endfunction
  function automatic logic [31:0][4:0] lesses();
    for (int unsigned i = 0; i < 32; i++) lesses[i] = 5'(i - 1);
  endfunction
  function automatic logic [31:0][5:0] minuses();
    for (int unsigned i = 0; i < 32; i++) minuses[i] = 6'(64 - i);
  endfunction
  function automatic logic [63:0][4:0] header_pairs();
    for (int unsigned i = 0; i < 64; i++) header_pairs[i] = 5'(i / 16 + i % 16);
  endfunction
  localparam logic [31:0][4:0] Less = lesses();
  localparam logic [31:0][5:0] Minus = minuses();
  localparam logic [15:0][4:0] Next = nexts();
  localparam logic [15:0][7:0] Most = mosts();
  localparam logic [15:0][3:0] LastBit = givens();
  localparam logic [63:0][4:0] HeaderPairs = header_pairs();

  always_ff @(posedge clk_i) begin
    average_q    <= flags.average;
    images_q     <= flags.dense | flags.by_image;
    pool_q       <= flags.pool;
    pairs_q      <= (flags.pool | flags.stride2) & ~flags.by_image;
    serial_q     <= flags.serial;
    bit_planes_q <= flags.bit_planes;
    value_q      <= flags.value;
    has_bits_q   <= flags.bit_planes | layer.result.thresholds != '0;
    unsigned_q   <= layer.result.value_bits != '0;
    most_q       <= Most[layer.result.value_bits];
    bases_q      <= Next[layer.passes.more_bases];
    planes_q     <= Next[layer.passes.more_planes];
    product_q    <= Product[{layer.passes.more_bases[2:0], layer.passes.more_planes[2:0]}];
    unique case (layer.passes.hand)
      2'd0:    hand_overs_q <= 5'd1;
      2'd1:    hand_overs_q <= layer.passes.planes_outer ? planes_q : bases_q;
      default: hand_overs_q <= product_q;
    endcase
    pixels_q     <= layer.input_size.height * layer.input_size.width;
    sums_q       <= average_q ? pixels_q : 16'(hand_overs_q);
    kept_q       <= layer.result.thresholds == '0 ? 2'd1 : layer.result.thresholds;
    kept_last_q  <= {kept_q == 2'd3, kept_q == 2'd2};
    last_given_q <= bit_planes_q ? LastBit[layer.result.value_bits] : 4'(kept_last_q);
    phase_before_q <= has_bits_q ? 4'd6 : 4'd5;
    given_end_q  <= last_given_q - 4'd1;
    one_given_q  <= last_given_q == '0;
    fields_q     <= kept_q == 2'd3 ? 3'd4 : 3'(kept_q);
    scores_q     <= flags.scores;
    mean_q       <= flags.shortcut & flags.shortcut_average;
    reads_q      <= !mean_q ? 3'd1 : images_q ? 3'd4 : 3'd2;
    single_q     <= sums_q == 16'd1;
    many_q       <= ~average_q & ~single_q;
    few_q        <= sums_q[15:2] == '0 & (reads_q[2] | (reads_q[1] & ~sums_q[1]));
    lead_q       <= few_q ? 16'(reads_q) : sums_q;
    lead_before_q <= lead_q - 16'd3;
    one_lead_q   <= lead_q == 16'd1;
    two_leads_q  <= lead_q == 16'd2;
    more_q       <= scores_q ? 3'd1 : single_q ? 3'(kept_last_q) : {kept_last_q, 1'b0};
    more_last_q  <= more_q - 3'd1;
    no_more_q    <= more_q == '0;
    sum_now_q    <= lead_q == sums_q;
    sum_wait_q   <= 2'(lead_q - sums_q - 16'd1);
    read_now_q   <= lead_q == 16'(reads_q);
    read_wait_q  <= 4'(lead_q - 16'(reads_q) - 16'd1);
    far_q        <= layer.result.shift[4];
    factor_q     <= 8'd1 << {layer.result.shift[4], ~layer.result.shift[3:2]};
    rows_q       <= rows_i;
    pool_blocks_q <= !flags.pool ? 3'd1 : flags.by_image ? 3'd4 : 3'd2;
  end

  // ---- Headers: two groups are kept ----------------------------------------------------------------

  logic [1:0] groups_q;  // begun to load and not done
  logic [1:0] ready_q;  // loaded and not begun to be done by the values' part
  logic load_done, load_done_q, result_group, value_group_q;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      groups_q    <= '0;
      ready_q     <= '0;
      load_done_q <= 1'b0;
    end else begin
      groups_q    <= groups_q + 2'(load_i) - 2'(result_group);
      ready_q     <= ready_q + 2'(load_done) - 2'(value_group_q);
      load_done_q <= load_done;
    end
  end

  assign load_ready_o = ~groups_q[1];
  assign load_done_o  = load_done_q;
  assign headers_o    = {HeaderPairs[{kept_q, hand_overs_q[4:1]}], hand_overs_q[0]};
  assign busy_o       = groups_q != '0;

  // ---- Store: hand-overs that are there --------------------------------------------------------------

  logic [4:0] free_q;
  logic [5:0] there_q;  // less those of a block: negative while one is not whole
  logic [3:0] write_hand_q;
  logic [1:0] write_row_q;
  logic write_q, block_end, ended_q, row_last, leave;  // ended_q: a block of values has
  // What both change by in the next cycle; with a constant each for hand-overs that leave, and one less or more
  logic [4:0] free_change_q, take_leave_q;
  logic [5:0] there_change_q, minus_q, whole_leave_q;

  assign row_last = &write_row_q;

  always_ff @(posedge clk_i) begin
    minus_q       <= Minus[hand_overs_q];
    whole_leave_q <= Minus[take_leave_q];
    take_leave_q  <= Less[hand_overs_q];
    free_change_q <= leave ? (take_i ? take_leave_q : hand_overs_q) : {5{take_i}};
    if (write_q && row_last) there_change_q <= leave ? whole_leave_q : 6'd1;
    else there_change_q <= (leave | clear) ? minus_q : 6'd0;  // a block's are wanted from the start on
    if (rst_i) begin
      free_change_q  <= '0;
      there_change_q <= '0;
    end
    if (sum_soon_i) write_row_q <= '0;
    else write_row_q <= write_row_q + 2'd1;
    write_q <= ~rst_i & (sum_soon_i | (write_q & ~row_last));
    if (clear) begin
      write_hand_q <= '0;
      free_q       <= 5'(MaxHandOvers);
      there_q      <= '0;
    end else begin
      if (write_q && row_last) write_hand_q <= 4'(Next[write_hand_q]);
      free_q  <= free_q + free_change_q;
      there_q <= there_q + there_change_q;
    end
  end

  assign room_o = free_q != '0;

  // ---- Values: which sum of which channel is next --------------------------------------------------

  localparam int unsigned Copies = 3, Flags = 1, Counts = 2;

  logic run_q, go, sum_phase, read_phase, begin_d, begin_q, pool_first_q, pool_last_q, value_bank_q;
  logic begin_first_q;  // begin_q with a pool's first block
  logic group_last_q;
  logic [2:0] channel_q, pool_block_q;
  // What the turn is: sums come from one on, reads up to the lead's last; the first sum; the channel's last
  logic [15:0] lead_turn_q;
  logic [2:0] more_turn_q;
  logic lead_last_q, turn_last_q, sum_turn_q, read_turn_q, fresh_q, channel_clear, channel_last_q;
  logic lead_end_q;  // the lead's turn before its last
  logic next_last, next_read, next_sum, more_phase;  // more_phase: a turn of the other planes is next
  // Of sums, those of one's own; which of them go on with a turn of theirs: the number of a sum, of a turn of other
  // planes, of the lead
  logic sum_step_q, hand_go, more_go, lead_go;
  logic [Copies-1:0] goes, runs;  // go and run_q, again for the other flags, for the pixel and the scores
  logic [2:0] channel_clears;  // channel_clear, and again for the other flags, and for what is counted
  logic run_d;
  logic phase_last_q, plane_last_q, column_last_q, column_end;  // of a turn of the results
  logic shortcut_d, port_q, port_wait_q, score_wait_q;  // a result takes the port; the turn waits for that, for scores
  // The first hand-over of the block, and of the next one; the turn's, from the first one on
  logic [3:0] hand_base_q, hand_next_q, hand_step_q, hand_index_q;
  logic [1:0] read_index_q;
  logic [AddrBits-1:0] pixel_step, pixel_step_q;  // to the next turn's pixel
  logic pixel_clear_q;
  logic [2:0] field_base_q;  // where the block goes
  logic [7:0] flight_q;  // ones: blocks in the queue, or on their way there
  logic full;
  logic result_end, flight_end;  // the results of a block end; again for flight_q
  logic pool_end_d, pool_end_q, value_group_d, score_done, score_over_q, result_run_q;
  logic [3:0] result_run_d_q;
  logic [AddrBits-1:0] source_q, pixel_q, record_q, back_q, shortcut_row_q;
  logic [SlotBits-1:0] slot_q;
  logic shortcut_q, odd_q;

  // The scores of a channel leave one by one before the next one's. From its turn to the port a result takes two cycles
  // more than a read of a shortcut, and five more than one of an average.
  for (genvar i = 0; i < Copies; i++) begin : gen_go
    bnn_register u_run (
        .clk_i,
        .data_i(run_d),
        .data_o(runs[i])
    );
    bnn_vector_go u_go (
        .run_i       (runs[i]),
        .score_wait_i(score_wait_q),
        .score_over_i(score_over_q),
        .port_i      (port_q),
        .port_wait_i (port_wait_q),
        .with_i      (1'b1),
        .go_o        (goes[i])
    );
    bnn_vector_clear u_clear (
        .run_i          (runs[i]),
        .score_wait_i   (score_wait_q),
        .score_over_i   (score_over_q),
        .port_i         (port_q),
        .port_wait_i    (port_wait_q),
        .turn_last_i    (turn_last_q),
        .channel_clear_o(channel_clears[i])
    );
  end
  // What goes on with it, each made apart
  localparam int unsigned Withs = 5, Ends = 3;  // those from Ends on are of a block
  logic [Withs-1:0] with_go, with_goes;

  assign with_go = {channel_last_q & turn_last_q & ~average_q, channel_last_q & turn_last_q, ~more_phase, more_phase,
                    sum_step_q};
  assign {leave, block_end, lead_go, more_go, hand_go} = with_goes;

  for (genvar i = 0; i < Withs; i++) begin : gen_with
    bnn_vector_go u_go (
        .run_i       (runs[i < Ends ? Counts : Flags]),
        .score_wait_i(score_wait_q),
        .score_over_i(score_over_q),
        .port_i      (port_q),
        .port_wait_i (port_wait_q),
        .with_i      (with_go[i]),
        .go_o        (with_goes[i])
    );
  end

  assign pool_end_d = block_end & pool_last_q;
  assign value_group_d = pool_end_d & group_last_q;
  assign go = goes[0];
  assign channel_clear = channel_clears[0];
  assign sum_phase = go & sum_turn_q;
  assign read_phase = go & read_turn_q;
  // From pixel to pixel of an average; of a mean from row to row by pixel, where two lanes have a row's, else along
  // them
  always_comb begin
    pixel_step = '0;
    if (average_pixel) pixel_step = record_q;
    else if (mean_q && read_turn_q) pixel_step = !images_q ? shortcut_row_q : read_index_q[0] ? back_q : record_q;
  end

  // Of the turn after this one, which goes on to it
  assign next_last = more_phase ? more_turn_q == more_last_q : lead_end_q & no_more_q;
  assign next_read = ~more_phase & (read_turn_q | lead_turn_q[3:0] == read_wait_q);
  assign next_sum  = more_phase ? single_q & ~scores_q : sum_turn_q | lead_turn_q[1:0] == sum_wait_q;

  bnn_vector_flag u_turn_last (
      .clk_i,
      .clear_i(channel_clear),
      .go_i   (go),
      .first_i(one_lead_q & no_more_q),
      .next_i (next_last),
      .flag_o (turn_last_q)
  );
  bnn_vector_flag u_score_wait (
      .clk_i,
      .clear_i(channel_clear),
      .go_i   (go),
      .first_i(scores_q & one_lead_q & no_more_q),
      .next_i (scores_q & next_last),
      .flag_o (score_wait_q)
  );
  bnn_vector_flag u_read_turn (
      .clk_i,
      .clear_i(channel_clear),
      .go_i   (go),
      .first_i(read_now_q),
      .next_i (next_read),
      .flag_o (read_turn_q)
  );
  // Which map a block reads is settled before its first turn.
  bnn_vector_flag u_port_wait (
      .clk_i,
      .clear_i(channel_clear),
      .go_i   (go),
      .first_i(average_q | (read_now_q & shortcut_d)),
      .next_i (average_q | (next_read & shortcut_q)),
      .flag_o (port_wait_q)
  );

  bnn_vector_flag u_lead_end (
      .clk_i,
      .clear_i(channel_clears[Flags]),
      .go_i   (goes[Flags]),
      .first_i(two_leads_q),
      .next_i (lead_turn_q == lead_before_q),
      .flag_o (lead_end_q)
  );
  bnn_vector_flag u_lead_last (
      .clk_i,
      .clear_i(channel_clears[Flags]),
      .go_i   (goes[Flags]),
      .first_i(one_lead_q),
      .next_i (~more_phase & lead_end_q),
      .flag_o (lead_last_q)
  );
  // The channel ends before this does.
  bnn_vector_flag u_more_phase (
      .clk_i,
      .clear_i(channel_clears[Flags]),
      .go_i   (goes[Flags]),
      .first_i(one_lead_q),
      .next_i (more_phase | lead_end_q),
      .flag_o (more_phase)
  );
  bnn_vector_flag u_sum_turn (
      .clk_i,
      .clear_i(channel_clears[Flags]),
      .go_i   (goes[Flags]),
      .first_i(sum_now_q),
      .next_i (next_sum),
      .flag_o (sum_turn_q)
  );
  bnn_vector_flag u_sum_step (
      .clk_i,
      .clear_i(channel_clears[Flags]),
      .go_i   (goes[Flags]),
      .first_i(sum_now_q & many_q),
      .next_i (next_sum & many_q),
      .flag_o (sum_step_q)
  );
  // One sum serves all planes.
  bnn_vector_flag u_fresh (
      .clk_i,
      .clear_i(channel_clears[Flags]),
      .go_i   (goes[Flags]),
      .first_i(1'b1),
      .next_i (fresh_q & (~sum_turn_q | single_q)),
      .flag_o (fresh_q)
  );

  assign full = fields_q[2] ? flight_q[1] : fields_q[1] ? flight_q[3] : flight_q[7];
  assign run_d = ~rst_i & (begin_q | (run_q & ~block_end));
  assign run_q = runs[0];
  assign begin_d = ~run_q & ~ended_q & ~begin_q & ready_q != '0 & ~full & (average_q | ~there_q[5]);

  always_ff @(posedge clk_i) begin
    pool_last_q <= pool_block_q == pool_blocks_q - 3'd1;
    result_run_d_q <= rst_i ? '0 : {result_run_d_q[2:0], result_run_q};
    pixel_step_q   <= (goes[Counts] & ~(average_pixel & single_q)) ? pixel_step : '0;
    pixel_clear_q  <= channel_clear;
    if (pixel_clear_q) pixel_q <= '0;
    else pixel_q <= pixel_q + pixel_step_q;
    port_q         <= average_q ? result_run_d_q[3] : result_run_d_q[0];
    if (!runs[Counts]) begin
      channel_q      <= '0;
      channel_last_q <= 1'b0;
    end else if (channel_clears[Counts]) begin
      channel_q      <= channel_q + 3'd1;
      channel_last_q <= channel_q == 3'd6;
    end
    if (channel_clears[Counts]) hand_index_q <= '0;
    else if (hand_go) hand_index_q <= hand_index_q + 4'd1;
    if (channel_clears[Counts]) more_turn_q <= '0;
    else if (more_go) more_turn_q <= more_turn_q + 3'd1;
    if (channel_clears[Counts]) lead_turn_q <= '0;
    else if (lead_go) lead_turn_q <= 16'(add(32'(lead_turn_q), 32'd1));
    if (channel_clear) read_index_q <= '0;
    else if (go) read_index_q <= read_index_q + 2'(read_turn_q);
    hand_step_q <= hand_overs_q[3:0];
    hand_next_q <= hand_base_q + hand_step_q;
    if (rst_i) begin
      begin_q       <= 1'b0;
      begin_first_q <= 1'b0;
      ended_q       <= 1'b0;
      pool_end_q    <= 1'b0;
      value_group_q <= 1'b0;
    end else begin
      begin_q       <= begin_d;
      begin_first_q <= begin_d & pool_first_q;
      ended_q       <= block_end;
      pool_end_q    <= pool_end_d;  // whether the block is the last one is settled with its first turn
      value_group_q <= value_group_d;
    end
    if (clear) begin
      hand_base_q   <= '0;
      pool_block_q  <= '0;
      pool_first_q  <= 1'b1;
      field_base_q  <= '0;
      flight_q      <= '0;
      value_bank_q  <= 1'b0;
    end else begin
      if (ended_q) begin
        hand_base_q  <= hand_next_q;
        pool_block_q <= pool_last_q ? '0 : pool_block_q + 3'd1;
        pool_first_q <= pool_last_q;
      end
      if (pool_end_q) field_base_q <= field_base_q + fields_q;
      if ((pool_end_q & ~scores_q) != flight_end) flight_q <= flight_end ? flight_q >> 1 : {flight_q[6:0], 1'b1};
      value_bank_q  <= value_bank_q ^ value_group_q;
    end
    if (clear || go) score_over_q <= 1'b0;
    else if (score_done) score_over_q <= 1'b1;
  end

  // ---- Where shortcuts and maps that are averaged lie, a block ahead -----------------------------------

  logic [AddrBits-1:0] shortcut_base_q, shortcut_step_q, row_step_q, next_source_q, next_offset_q;
  logic [12:0] shortcut_words_q;  // of SIMD channels that have one
  logic two_q, next_shortcut_q, group_last;  // two_q: steps of two
  logic [LaneBits:0] unused_columns;
  logic [Lanes-1:0] next_lane;
  logic [SlotBits-1:0] next_slot;
  logic [AddrBits-1:0] next_addr, next_word;

  assign shortcut_d = begin_first_q ? next_shortcut_q : shortcut_q;

  always_ff @(posedge clk_i) begin
    two_q           <= flags.stride2 & ~flags.shortcut_same;
    shortcut_base_q <= layer_i.odd ? layer.shortcut_odd[AddrBits-1:0] : layer.shortcut_even[AddrBits-1:0];
    record_q        <= AddrBits'(layer.shortcut_place.shortcut_words);
    back_q          <= shortcut_row_q - record_q;
    shortcut_row_q  <= layer.shortcut_row_stride[AddrBits-1:0];
    row_step_q      <= two_q ? shortcut_row_q << 1 : shortcut_row_q;
    shortcut_step_q <= (two_q & images_q) ? record_q << 1 : record_q;
    next_offset_q   <= AddrBits'(layer.shortcut_place.shortcut_word) + (next_word << 3);
    next_source_q   <= AddrBits'(add(32'(next_addr), 32'(next_offset_q)));  // long before the next block
    shortcut_words_q <= flags.shortcut ? 13'((layer.shortcut_values[15:0] + 16'd7) >> 3) : '0;
    next_shortcut_q <= 13'(next_word) < shortcut_words_q;
    shortcut_q      <= shortcut_d;
    if (begin_first_q) begin
      source_q     <= next_source_q;
      slot_q       <= next_slot;
      odd_q        <= next_lane[Lanes-1];
      group_last_q <= group_last;
    end
  end

  bnn_vector_place #(
      .Pe      (Pe),
      .Simd    (Simd),
      .Lanes   (Lanes),
      .AddrBits(AddrBits),
      .Serial  (1'b0)
  ) u_source (
      .clk_i,
      .rst_i,
      .start_i,
      .half_i         (pairs_q & flags.shortcut_same),
      .serial_i       (1'b0),
      .images_i       (1'b1),
      .units_i,
      .rows_i         (rows_q),
      .blocks_i       (layer.blocks[15:0]),
      .columns_i      ('0),
      .in_batch_i     ('0),
      .base_i         (shortcut_base_q),
      .image_stride_i (layer.shortcut_image_stride[AddrBits-1:0]),
      .row_stride_i   (row_step_q),
      .words_i        (shortcut_step_q),
      .go_i           (begin_first_q),
      .column_last_i  (1'b1),
      .block_columns_o(unused_columns),
      .group_last_o   (group_last),
      .addr_o         (next_addr),
      .lane_o         (next_lane),
      .slot_o         (next_slot),
      .word_o         (next_word)
  );

  // ---- The way of a sum, then of the planes of its channel ------------------------------------------

  // Cycles after a turn: the read of an average's value, that of a shortcut, those of sums and coefficients, of
  // offsets, the products, the scores, the value. Words come five cycles after their reads, the choice of their parts
  // one before.
  localparam int unsigned AverageAt = 2, ShortcutAt = 5, SumAt = 7, OffsetAt = 7, MarkAt = 9, ByteAt = 12, ScoreAt = 12;
  localparam int unsigned ValueAt = 18;

  // OPMODE of a DSP48E1 (bnn_vector_sum); what no turn asks for links
  typedef enum logic [6:0] {
    Load = 7'b0110101,
    Add  = 7'b0100101,
    Plus = 7'b0101100,
    Link = 7'b0010000
  } op_e;

  typedef struct packed {
    logic pool_first;
    logic pool_last;
    logic [2:0] field;
    logic [2:0] channel;
    logic bank;
    logic shortcut;
    logic odd;
    logic [SlotBits-1:0] slot;
  } block_t;

  typedef struct packed {
    logic valid;  // something becomes of the total
    op_e op;
    logic minus;
    logic done;  // a plane, or a score
    logic last;
    logic [1:0] plane;
  } step_t;

  block_t block;
  block_t [ValueAt+1:0] block_d;
  step_t next_step;
  step_t [ValueAt+1:0] step_d;
  logic [SumAt:1][3:0] sum_hand_q;
  logic [SumAt:0][3:0] turn_d_q;  // which coefficient, of an average the only one
  logic [3:0] hand_base_d_q;
  logic [ShortcutAt-1:0][AddrBits-1:0] source_d_q;
  logic [ShortcutAt+4:0] read_valid_q, read_first_q;
  logic [AverageAt+4:0] sum_valid_q;
  logic block_done_q, more, read_q;
  logic [AddrBits-1:0] read_addr_q;

  assign block = '{
      pool_first: pool_first_q,
      pool_last: pool_last_q,
      field: field_base_q,
      channel: channel_q,
      bank: value_bank_q,
      shortcut: shortcut_q,
      odd: odd_q,
      slot: slot_q
  };
  assign more = more_turn_q != '0 & ~scores_q;
  assign next_step = '{
      valid: go & (sum_turn_q | more),
      op: sum_turn_q ? (fresh_q ? Load : Add) : more ? Plus : Link,
      minus: ~single_q & more_turn_q[0],
      done: go & (lead_last_q | more & (single_q | ~more_turn_q[0])),
      last: (single_q ? more_turn_q[1:0] : more_turn_q[2:1]) == kept_last_q,
      plane: single_q ? more_turn_q[1:0] : more_turn_q[2:1]
  };

  always_ff @(posedge clk_i) begin
    block_d       <= {block_d[ValueAt:0], block};
    step_d        <= {step_d[ValueAt:0], next_step};
    hand_base_d_q <= hand_base_q;
    sum_hand_q    <= {sum_hand_q[SumAt-1:1], 4'(add(32'(hand_base_d_q), 32'(turn_d_q[0])))};
    turn_d_q      <= {turn_d_q[SumAt-1:0], hand_index_q};
    source_d_q    <= {source_d_q[ShortcutAt-2:1], source_d_q[0] + pixel_q, source_q + AddrBits'(channel_q)};
    read_addr_q   <= average_q ? source_d_q[AverageAt-1] : source_d_q[ShortcutAt-1];
    read_first_q  <= {read_first_q[ShortcutAt+3:0], read_index_q == '0};
    if (rst_way) begin
      for (int unsigned i = 0; i <= ValueAt + 1; i++) begin
        step_d[i].valid <= 1'b0;
        step_d[i].done  <= 1'b0;
      end
      sum_valid_q  <= '0;
      read_valid_q <= '0;
      read_q       <= 1'b0;
      block_done_q <= 1'b0;
    end else begin
      read_q       <= average_q ? sum_valid_q[AverageAt-1] : read_valid_q[ShortcutAt-1];
      // Kept in the pool's queue from the next cycles on
      block_done_q <= step_d[ValueAt].done & step_d[ValueAt].last & block_d[ValueAt].pool_last
          & (&block_d[ValueAt].channel) & ~scores_q;
      sum_valid_q  <= {sum_valid_q[AverageAt+3:0], sum_phase};
      read_valid_q <= {read_valid_q[ShortcutAt+3:0], read_phase & shortcut_q};
    end
  end

  assign read_o = read_q;
  assign read_addr_o = read_addr_q;

  // ---- Headers -------------------------------------------------------------------------------------

  typedef struct packed {
    logic valid;  // something is written
    logic value;
    logic take;  // a value
    logic [2:0] field;
    logic [2:0] channel;
    logic [2:0] bit_number;
    logic [1:0] plane;
    logic bank;
  } turn_t;

  localparam int unsigned WriteAt = 6;

  turn_t result, result_d[WriteAt+1];
  logic [Units*25-1:0] coefficient;
  logic [Units*32-1:0] offset;
  logic [Units*11-1:0] limit;

  bnn_vector_header #(
      .Pe  (Pe),
      .Simd(Simd)
  ) u_header (
      .clk_i,
      .rst_i,
      .start_i,
      .hand_overs_i         (hand_overs_q),
      .planes_i             (kept_q),
      .load_i,
      .read_o               (load_read_o),
      .index_o              (load_index_o),
      .data_i               (load_data_i),
      .done_o               (load_done),
      .coefficient_bank_i   (block_d[SumAt].bank),
      .coefficient_hand_i   (turn_d_q[SumAt]),
      .coefficient_channel_i(block_d[SumAt].channel),
      .coefficient_o        (coefficient),
      .offset_bank_i        (block_d[OffsetAt].bank),
      .offset_plane_i       (step_d[OffsetAt].plane),
      .offset_channel_i     (block_d[OffsetAt].channel),
      .offset_o             (offset),
      .limit_bank_i         (result_d[1].bank),
      .limit_plane_i        (result_d[1].plane),
      .limit_channel_i      (result_d[1].channel),
      .limit_o              (limit)
  );

  // ---- Units ---------------------------------------------------------------------------------------

  localparam int unsigned Half = Lanes / 2;

  logic unit_average;

  bnn_register u_unit_average (
      .clk_i,
      .data_i(flags.average),
      .data_o(unit_average)
  );

  logic [Lanes*Pe-1:0] part, sum, bytes;  // of the words read: the group's Pe bits, their sums, what is added
  logic [Units*Lanes*8-1:0] value, kept;  // of unit u and lane l at (l*Units + u)*8
  logic [(Lanes+1)*Units*48-1:0] link;
  logic [Lanes*Units*32-1:0] score;
  logic [Units-1:0] score_next;

  // A shortcut of the output's width: pair j of a block is that of lane j, of odd blocks that of lane Lanes/2 + j.
  for (genvar l = 0; l < Lanes; l += 2) begin : gen_bytes
    bnn_vector_mean #(
        .Units(Units),
        .Slots(Slots)
    ) u_mean (
        .clk_i,
        .mean_i        (mean_q),
        .pairs_i       (pairs_q),
        .same_i        (pairs_q & flags.shortcut_same),
        .take_i        (average_q ? sum_valid_q[AverageAt+4] : read_valid_q[ShortcutAt+4]),
        .first_i       (read_first_q[ShortcutAt+4]),
        .slot_i        (average_q ? block_d[AverageAt+4].slot : block_d[ShortcutAt+4].slot),
        .even_i        (read_data_i[l*Simd+:Simd]),
        .odd_i         (read_data_i[(l+1)*Simd+:Simd]),
        .even_part_o   (part[l*Pe+:Pe]),
        .odd_part_o    (part[(l+1)*Pe+:Pe]),
        .even_sum_o    (sum[l*Pe+:Pe]),
        .odd_sum_o     (sum[(l+1)*Pe+:Pe]),
        .shortcut_i    (block_d[ByteAt].shortcut),
        .upper_i       (block_d[ByteAt].odd),
        .lower_source_i(sum[l/2*Pe+:Pe]),
        .upper_source_i(sum[(Half+l/2)*Pe+:Pe]),
        .even_o        (bytes[l*Pe+:Pe]),
        .odd_o         (bytes[(l+1)*Pe+:Pe])
    );
  end

  assign link[Lanes*Units*48+:Units*48] = '0;

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    for (genvar u = 0; u < Units; u++) begin : gen_unit
      bnn_vector_unit u_unit (
          .clk_i,
          .average_i    (unit_average),
          .far_i        (far_q),
          .factor_i     (factor_q),
          .unsigned_i   (unsigned_q),
          .most_i       (most_q),
          .write_i      (write_q),
          .write_addr_i ({write_hand_q, write_row_q}),
          .even_i       (hand_i[(2*u*Lanes+l)*SumBits+:16]),
          .odd_i        (hand_i[((2*u+1)*Lanes+l)*SumBits+:16]),
          .read_addr_i  ({sum_hand_q[SumAt], block_d[SumAt].channel[1:0]}),
          .odd_sel_i    (block_d[SumAt].channel[2]),
          .pixel_i      (part[l*Pe+u*8+:8]),
          .coefficient_i(coefficient[u*25+:25]),
          .valid_i      (step_d[MarkAt].valid | score_next[u]),
          .op_i         (step_d[MarkAt].op),
          .minus_i      (step_d[MarkAt].minus),
          .offset_i     (offset[u*32+:32]),
          .link_i       (link[((l+1)*Units+u)*48+:48]),
          .link_o       (link[(l*Units+u)*48+:48]),
          .score_o      (score[(l*Units+u)*32+:32]),
          .byte_i       (bytes[l*Pe+u*8+:8]),
          .v_o          (value[(l*Units+u)*8+:8])
      );
    end
  end

  // Where a plane of a block lies in the pool's queue: their sum, in LUTs
  function automatic logic [2:0] place(input logic [2:0] field, input logic [1:0] plane);
    place[0] = field[0] ^ plane[0];
    place[1] = field[1] ^ plane[1] ^ (field[0] & plane[0]);
    place[2] = field[2] ^ (plane[1] ? field[1] | (field[0] & plane[0]) : field[1] & field[0] & plane[0]);
  endfunction

  // ---- Results: turns over columns, planes and channels -----------------------------------------------

  logic [7:0] pending_q;  // ones: blocks that are kept
  logic [3:0] phase_q, plane_q;
  logic [LaneBits:0] column_q, block_columns;
  logic [2:0] result_field_q;
  logic phase_soon_q, phase_end, result_bank_q, result_last;
  logic [AddrBits-1:0] plane_word_q, plane_next_q, plane_word_d_q[2], value_word_q, offset_q, word_d_q;
  logic [AddrBits-1:0] addr_d_q[WriteAt+1];
  logic [AddrBits-1:0] result_addr, result_word;
  logic [Lanes-1:0] result_lane, lane_d_q[WriteAt+1];
  logic [SlotBits-1:0] result_slot, slot_d_q[WriteAt+1];
  logic [LaneBits-1:0] pick_q;

  // Planes and columns are longer than what tells of their last takes: before their last phase it is settled.
  assign phase_end = result_run_q & phase_soon_q;

  bnn_register u_column_end (
      .clk_i,
      .data_i(phase_end & plane_last_q),
      .data_o(column_end)
  );
  bnn_register u_result_end (
      .clk_i,
      .data_i(phase_end & plane_last_q & column_last_q),
      .data_o(result_end)
  );
  bnn_register u_flight_end (
      .clk_i,
      .data_i(phase_end & plane_last_q & column_last_q),
      .data_o(flight_end)
  );

  assign result_group = scores_q ? value_group_q : result_end & result_last;
  assign result = '{
      valid: result_run_q & (phase_q[3] | (value_q & plane_q == '0)),
      value: ~phase_q[3],
      take: result_run_q & ~phase_q[3],
      field: place(result_field_q, bit_planes_q ? 2'd0 : plane_q[1:0]),
      channel: phase_q[2:0],
      bit_number: 3'(last_given_q - plane_q),
      plane: plane_q[1:0],
      bank: result_bank_q
  };

  always_ff @(posedge clk_i) begin
    plane_next_q <= AddrBits'(add(32'(plane_word_q), 32'(AddrBits'(layer.dest_planes.plane_words))));
    column_last_q <= ~serial_q | column_q == block_columns - 1'b1;
    phase_soon_q <= phase_q == phase_before_q;
    phase_last_q <= phase_end;
    if (!result_run_q) begin
      phase_q      <= '0;
      plane_q      <= '0;
      plane_last_q <= one_given_q;
      plane_word_q <= '0;
      column_q     <= '0;
    end else begin
      phase_q <= phase_last_q ? '0 : phase_q + 4'd1;
      if (phase_last_q) begin
        plane_q      <= plane_last_q ? '0 : plane_q + 4'd1;
        plane_last_q <= plane_last_q ? one_given_q : plane_q == given_end_q;
        plane_word_q <= plane_last_q ? '0 : plane_next_q;
      end
      if (column_end) column_q <= column_last_q ? '0 : column_q + 1'b1;
    end
    pick_q <= pairs_q ? LaneBits'(column_q << 1) : column_q[LaneBits-1:0];
    result_run_q <= ~rst_i & ~clear & (result_end ? pending_q[1] : pending_q[0]);
    if (clear) begin
      pending_q      <= '0;
      result_field_q <= '0;
      result_bank_q  <= 1'b0;
    end else begin
      if (block_done_q != result_end) pending_q <= result_end ? pending_q >> 1 : {pending_q[6:0], 1'b1};
      if (result_end) result_field_q <= result_field_q + fields_q;
      result_bank_q <= result_bank_q ^ result_group;
    end
  end

  bnn_vector_place #(
      .Pe      (Pe),
      .Simd    (Simd),
      .Lanes   (Lanes),
      .AddrBits(AddrBits)
  ) u_result (
      .clk_i,
      .rst_i,
      .start_i,
      .half_i         (pairs_q),
      .serial_i       (serial_q),
      .images_i       (images_q),
      .units_i,
      .rows_i         (rows_q),
      .blocks_i       (layer.blocks[15:0]),
      .columns_i      (layer.out_columns[LaneBits-1:0]),
      .in_batch_i     (layer_i.in_batch),
      .base_i         (layer.dest_base[AddrBits-1:0]),
      .image_stride_i (layer.dest_image_stride[AddrBits-1:0]),
      .row_stride_i   (layer.dest_row_stride[AddrBits-1:0]),
      .words_i        (layer.dest_words[AddrBits-1:0]),
      .go_i           (column_end),
      .column_last_i  (column_last_q),
      .block_columns_o(block_columns),
      .group_last_o   (result_last),
      .addr_o         (result_addr),
      .lane_o         (result_lane),
      .slot_o         (result_slot),
      .word_o         (result_word)
  );

  // Its delay does not begin in the adder's slices
  logic [AddrBits-1:0] addr_sum;

  bnn_register #(
      .Bits(AddrBits)
  ) u_addr (
      .clk_i,
      .data_i(addr_d_q[3] + word_d_q),
      .data_o(addr_sum)
  );

  // The place is that of the block from the third cycle on
  always_ff @(posedge clk_i) begin
    result_d[0] <= result;
    for (int unsigned i = 1; i <= WriteAt; i++) result_d[i] <= result_d[i-1];
    value_word_q <= AddrBits'(add(32'(AddrBits'(layer.dest_planes.value_word)), 32'(result_d[0].channel)));
    plane_word_d_q[0] <= plane_word_q;
    plane_word_d_q[1] <= plane_word_d_q[0];
    offset_q    <= result_d[1].value ? value_word_q : plane_word_d_q[1];
    addr_d_q[3] <= AddrBits'(add(32'(result_addr), 32'(offset_q)));
    word_d_q    <= result_d[2].value ? result_word << 3 : result_word;
    slot_d_q[3] <= result_slot;
    lane_d_q[3] <= result_d[2].valid ? result_lane : '0;
    for (int unsigned i = 4; i <= WriteAt; i++) begin
      if (i > 4) addr_d_q[i] <= i == 5 ? addr_sum : addr_d_q[i-1];
      slot_d_q[i] <= slot_d_q[i-1];
      lane_d_q[i] <= lane_d_q[i-1];
    end
    if (rst_results) begin
      for (int unsigned i = 0; i <= WriteAt; i++) result_d[i].valid <= 1'b0;
      for (int unsigned i = 3; i <= WriteAt; i++) lane_d_q[i] <= '0;
    end
  end

  assign write_lane_o = lane_d_q[WriteAt];
  assign write_addr_o = addr_d_q[WriteAt];
  assign write_slot_o = slot_d_q[WriteAt];

  // ---- Results: values of lanes --------------------------------------------------------------------

  localparam int unsigned Queued = (Units > 1) ? 2 : 1;  // units of a queue

  logic [Units*8-1:0] pick;
  logic [ValueAt:1][2:0] place_q;  // of the plane in the queue
  logic score_begin_q, score_block_q, score_group_q;

  always_ff @(posedge clk_i) place_q <= {place_q[ValueAt-1:1], place(block_d[0].field, step_d[0].plane)};

  for (genvar l = 0; l < Lanes; l += 2) begin : gen_pool
    for (genvar u = 0; u < Units; u += Queued) begin : gen_unit
      bnn_vector_pool #(
          .Units(Queued)
      ) u_pool (
          .clk_i,
          .pool_i     (pool_q),
          .pairs_i    (pairs_q),
          .valid_i    (step_d[ValueAt].done),
          .first_i    (block_d[ValueAt].pool_first),
          .last_i     (block_d[ValueAt].pool_last),
          .addr_i     ({step_d[ValueAt].plane, block_d[ValueAt].channel}),
          .place_i    ({place_q[ValueAt], block_d[ValueAt].channel}),
          .even_i     (value[(l*Units+u)*8+:Queued*8]),
          .odd_i      (value[((l+1)*Units+u)*8+:Queued*8]),
          .read_addr_i({result_d[0].field, result_d[0].channel}),
          .even_o     (kept[(l*Units+u)*8+:Queued*8]),
          .odd_o      (kept[((l+1)*Units+u)*8+:Queued*8])
      );
    end
  end

  bnn_pick #(
      .Words(Lanes),
      .Bits (Units * 8)
  ) u_pick (
      .clk_i,
      .select_i(pick_q),
      .word_i  (kept),
      .data_o  (pick)
  );

  for (genvar l = 0; l < Lanes; l++) begin : gen_result
    bnn_vector_lane #(
        .Units(Units)
    ) u_lane (
        .clk_i,
        .half_i      (pairs_q),
        .serial_i    (serial_q),
        .bit_planes_i(bit_planes_q),
        .unsigned_i  (unsigned_q),
        .own_i       (kept[l*Units*8+:Units*8]),
        .pair_i      (kept[2*(l%Half)*Units*8+:Units*8]),
        .pick_i      (pick),
        .limit_i     (limit),
        .bit_i       (result_d[3].bit_number),
        .take_i      (result_d[4].take),
        .value_i     (result_d[5].value),
        .data_o      (write_data_o[l*Pe+:Pe])
    );
  end

  always_ff @(posedge clk_i) begin
    score_begin_q <= ~rst_i & scores_q & step_d[ScoreAt-1].done;
    score_block_q <= scores_q & pool_end_q;
    score_group_q <= scores_q & value_group_q;
  end

  bnn_vector_score #(
      .Pe   (Pe),
      .Lanes(Lanes)
  ) u_score (
      .clk_i,
      .rst_i,
      .start_i,
      .images_i  (layer_i.images),
      .classes_i (layer.outputs[15:0]),
      .base_i    (scores_i),
      .begin_i   (score_begin_q),
      .channel_i (block_d[ScoreAt].channel),
      .next_o    (score_next),
      .score_i   (score[Units*32-1:0]),
      .done_o    (score_done),
      .block_i   (score_block_q),
      .group_i   (score_group_q),
      .score_valid_o,
      .score_ready_i,
      .score_addr_o,
      .score_half_o,
      .score_o
  );

  logic unused_vector;
  assign unused_vector = ^{layer_i, layer, flags, hand_i, score, link, unused_columns, next_lane, result_d[6]};

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  logic [$bits(layer_t)+96-1:0] config_now, config_q;
  logic constant;

  assign config_now = {layer_i, units_i, rows_i, scores_i};
  assign constant = config_now == config_q;

  logic [Lanes-1:0] lane_before_q;

  always_ff @(posedge clk_i) begin
    config_q      <= config_now;
    lane_before_q <= lane_d_q[WriteAt];
  end

  layer_constant: assert property (busy_o |-> constant)
      else $error("the configuration changes while busy_o is high");
  load_with_room: assert property (load_i |-> load_ready_o)
      else $error("load_i without load_ready_o");
  take_with_room: assert property (take_i |-> room_o)
      else $error("take_i without room_o");
  sums_in_turn: assert property (sum_soon_i |-> !write_q || (&write_row_q))
      else $error("sum_soon_i less than four cycles after the last");
  port_in_turn: assert property (read_o |-> lane_before_q == '0)
      else $error("read_o in the cycle of a write at the port");
`endif
endmodule
