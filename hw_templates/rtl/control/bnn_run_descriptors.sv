// Descriptors of a program: their memory, the one that is fetched ahead, its checks, and that of the layer at work.
//
// load_i writes beat_i at load_index_i. fetch_i fetches layer fetch_index_i; settled_o comes when it is there and
// checked, copy_i makes it layer_o. bad_o tells that it is out of range, or that the layers up to it, counted by
// their start_i, with settled_o, do not take the words of their segment (both segments' words are in header_i; a band
// may go back by some), or that the first layer's buffer is read when it is released, or not released; vector_o that it
// needs the vector unit, which the design does not have. in_b_i, last_i, last_b_i: it is of segment B, the last of its
// segment, the last of all. end_i, with last_i, ends a segment, begin_i all.
//
// Latency: settled_o 30 cycles after fetch_i; layer_o 2 after copy_i; bad_o follows in_b_i and last_b_i by two cycles,
// last_i by one.
module bnn_run_descriptors
  import bnn_pkg::*;
  import bnn_add_pkg::add;
#(
    parameter int unsigned Pe = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned WeightDepth = 1024,
    parameter int unsigned MaxLayers = 16,
    parameter int unsigned Vector = 0,
    localparam int unsigned LayerBits = (MaxLayers > 1) ? $clog2(MaxLayers) : 1,
    localparam int unsigned Beats = DescriptorWords * 4 / BeatBytes,
    localparam int unsigned BeatBits = $clog2(Beats)
) (
    input  logic                          clk_i,
    input  header_t                       header_i,
    // Load
    input  logic                          load_i,
    input  logic [LayerBits+BeatBits-1:0] load_index_i,
    input  logic [63:0]                   beat_i,
    // The next layer
    input  logic                          fetch_i,
    input  logic [LayerBits-1:0]          fetch_index_i,
    output logic                          settled_o,
    output logic                          bad_o,
    output logic                          vector_o,
    input  logic                          copy_i,
    output descriptor_t                   layer_o,
    output logic                          in_batch_o,  // it writes images of the batch, else of a sub-batch
    // Where in the program it is
    input  logic                          in_b_i,
    input  logic                          last_i,
    input  logic                          last_b_i,
    input  logic                          begin_i,
    input  logic                          start_i,
    input  logic                          end_i
);
  localparam int unsigned UsedBeats = (DescriptorUsed + 1) / 2;

  // ---- Memory --------------------------------------------------------------------------------

  (* ram_style = "block" *) logic [63:0] layer_mem[MaxLayers*Beats];
  logic [63:0] beat_q;
  logic [UsedBeats*64-1:0] fetched_q;
  logic [UsedBeats*64-1:0] shifted;  // as it is with the next beat, which enters at the top
  logic [UsedBeats*64-1:0] layer_q;
  descriptor_t fetched;
  logic [LayerBits-1:0] index_q;
  logic [BeatBits-1:0] fetch_q;
  logic busy_q, valid_q, last_q, in_batch_q;
  logic [11:0] settle_q;  // ones: cycles since the last word, until its checks are over

  assign fetched = fetched_q[$bits(descriptor_t)-1:0];
  assign shifted = {beat_q, fetched_q[UsedBeats*64-1:64]};

  always_ff @(posedge clk_i) begin
    if (load_i) layer_mem[load_index_i] <= beat_i;
    beat_q  <= layer_mem[{index_q, fetch_q}];
    valid_q <= busy_q;
    last_q  <= fetch_q == BeatBits'(UsedBeats - 2) && !fetch_i;
    if (fetch_i) begin
      index_q <= fetch_index_i;
      fetch_q <= '0;
      busy_q  <= 1'b1;
    end else if (busy_q) begin
      fetch_q <= fetch_q + 1'b1;
      busy_q  <= ~last_q;
    end
    if (fetch_i || busy_q || valid_q) settle_q <= '0;
    else settle_q <= {settle_q[10:0], 1'b1};
  end

  // Registers of their own shift and copy four bits of every beat; what nobody reads on its way can be an SRL.
  for (genvar b = 0; b < 64; b += 4) begin : gen_part
    logic shift, copy;

    bnn_register #(
        .Bits(2)
    ) u_control (
        .clk_i,
        .data_i({busy_q, copy_i}),
        .data_o({shift, copy})
    );
    always_ff @(posedge clk_i) begin
      for (int unsigned i = b; i < UsedBeats * 64; i += 64) begin
        if (shift) fetched_q[i+:4] <= shifted[i+:4];
        if (copy) layer_q[i+:4] <= fetched_q[i+:4];
      end
    end
  end

  // A cycle before layer_o
  always_ff @(posedge clk_i) begin
    if (copy_i) in_batch_q <= fetched.flags.serial | (fetched.flags.dense & fetched.flags.segment_end);
  end

  assign in_batch_o = in_batch_q;

  assign settled_o = settle_q[11];
  assign layer_o   = layer_q[$bits(descriptor_t)-1:0];

  // ---- Checks --------------------------------------------------------------------------------

  localparam int unsigned PeBits = $clog2(Pe), LaneBits = $clog2(Lanes), AverageBits = $clog2(MaxAverage);
  localparam int unsigned RingBits = $clog2(WeightDepth);
  localparam int unsigned BurstWords = (BurstBeats * 64 + Pe * Simd - 1) / (Pe * Simd);

  // Words of weight memory: of a group, of the layer, of the segment's layers up to it.
  logic [16:0] group_words;
  logic [32:0] product_q, layer_words_q;
  logic [31:0] taken_q;  // before it
  logic taken_clear_q, taken_step_q;
  logic [33:0] needed_q, needed_a, needed_b;  // the latter two a cycle later, for each segment
  logic low_result_q, high_result_q;  // a bit of the results' halves is set
  logic needed_carry, unused_low;
  logic [31:0] words_a_q, words_b_q;  // of the segments
  logic [32:0] next_q;  // before the next one; not below 2**32 where it goes back beyond the first, or is over
  logic [35:0] range_q;
  logic [RingBits-1:0] ring_base_q;
  logic [2:0] no_outputs_q;
  logic [1:0] no_edge_q;
  logic [3:0] wide_blocks_q;  // blocks, words of a group of more than 16 bits
  logic [5:0] wide_q;  // outputs, columns, rows of more than 16 bits
  logic [1:0] no_room_q;  // in the ring: for a group, for a burst beside it
  // Header words of a group, and what they follow from
  logic [3:0] bases_q, planes_q;  // up to 8, of the lower bits: more are out of range
  logic [5:0] low_passes_q, high_passes_q;  // of the lower and of the upper bits of bases_q
  logic [7:0] passes_q;
  logic [5:0] headers_q;
  logic [3:0] given_q;  // twice the planes with values of their own, 0 without the vector unit
  logic [7:0] hands_q;
  logic vector_q, released_q, reads_first;
  // What groups, blocks and words of a group must be.
  logic more_groups_q, more_blocks_q;  // one that is not whole
  logic [16-PeBits:0] groups_q;
  logic [15:0] whole_blocks_q, said_blocks_q;
  logic [15-PeBits:0] whole_groups_q;
  logic [16:0] blocks_q;
  logic [15:0] tap_rows_q, tap_columns_q;
  logic [31:0] taps_q, words_q, pass_words_q;  // taps of a kernel, words of a pass, and these a cycle later
  logic [15:0] taps_d_q;
  logic [19:0] all_words_q;
  logic equal_words, equal_words_q, many_taps_q;
  logic more_words_q;  // than a group can have, whatever its bases
  logic [2:0] over_a_q, over_b_q;  // bits above, upper and lower halves
  logic [1:0] equal_a_q, equal_b_q;
  logic other_classes_q, back_q, unfreed_q, bad_words_q, bad_range_q;

  // Not 1 to MaxAverage
  function automatic logic no_edge(input logic [15:0] x);
    return x[AverageBits-1:0] == '0 || x[15:AverageBits] != '0;
  endfunction

  // x + 1, in LUTs
  function automatic logic [3:0] more(input logic [2:0] x);
    return {&x, x[2] ^ (&x[1:0]), x[1] ^ x[0], ~x[0]};
  endfunction

  // Of two bits and four, in LUTs
  function automatic logic [63:0][5:0] products();
    for (int unsigned i = 0; i < 64; i++) products[i] = 6'((i / 16) * (i % 16));
  endfunction
  localparam logic [63:0][5:0] Product = products();

  always_ff @(posedge clk_i) begin
    bases_q       <= more(fetched.passes.more_bases[2:0]);
    planes_q      <= more(fetched.passes.more_planes[2:0]);
    low_passes_q  <= Product[{bases_q[1:0], planes_q}];
    high_passes_q <= Product[{bases_q[3:2], planes_q}];
    passes_q      <= 8'(low_passes_q) + {high_passes_q, 2'd0};
    hands_q       <= !fetched.flags.vector ? (fetched.flags.scores ? 8'd2 : 8'd1)
        : fetched.passes.hand == '0 ? 8'd1 : fetched.passes.hand[1] ? passes_q
        : 8'(fetched.passes.planes_outer ? planes_q : bases_q);
    given_q       <= {4{fetched.flags.vector}}
        & {1'b0, fetched.result.thresholds[1], fetched.result.thresholds[0] | ~fetched.result.thresholds[1], 1'b0};
    headers_q     <= {5'(add(32'(hands_q[5:1]), 32'(given_q[3:1]))), hands_q[0]};
    product_q     <= 33'(fetched.groups[15:0]) * 33'(group_words);
    layer_words_q <= product_q;
    more_groups_q <= fetched.outputs[PeBits-1:0] != '0;
    groups_q      <= (17 - PeBits)'(add(32'(whole_groups_q), 32'(more_groups_q)));
    whole_groups_q <= fetched.outputs[15:PeBits];
    tap_rows_q    <= fetched.taps != '0 ? fetched.taps.tap_rows : fetched.flags.kernel3 ? 16'd3 : 16'd1;
    tap_columns_q <= fetched.taps != '0 ? fetched.taps.tap_columns : fetched.flags.kernel3 ? 16'd3 : 16'd1;
    taps_q        <= 32'(tap_rows_q) * 32'(tap_columns_q);
    taps_d_q      <= taps_q[15:0];
    words_q       <= 32'(taps_d_q) * 32'(fetched.tap_words[15:0]);
    all_words_q   <= 20'(pass_words_q[15:0]) * 20'(bases_q);
    more_words_q  <= words_q[31:16] != '0;
    pass_words_q  <= words_q;
    more_blocks_q <= fetched.columns[LaneBits-1:0] != '0 && !fetched.flags.by_image;
    whole_blocks_q <= !fetched.flags.by_image ? 16'(fetched.columns[15:LaneBits])
        : fetched.flags.pool ? 16'(fetched.columns[15:1]) : fetched.columns[15:0];
    blocks_q      <= 17'(add(32'(whole_blocks_q), 32'(more_blocks_q)));

    range_q[0] <= fetched.groups == '0;
    range_q[1] <= fetched.groups[31:16] != '0 || fetched.tap_words[31:16] != '0;
    range_q[2] <= (fetched.tap_words == '0) != fetched.flags.average;
    range_q[3] <= fetched.rows == '0 || (fetched.flags.pool && fetched.rows[0]);
    range_q[4] <= fetched.blocks == '0;
    wide_blocks_q <= {fetched.blocks[31:24] != '0, fetched.blocks[23:16] != '0, fetched.group_words[31:24] != '0,
                      fetched.group_words[23:16] != '0};
    range_q[5] <= wide_blocks_q != '0;
    range_q[6] <= group_words > 17'(WeightDepth);
    range_q[7] <= (fetched.group_words == '0) != fetched.flags.average;
    no_outputs_q <= {fetched.outputs[31:16] == '0, fetched.outputs[15:8] == '0, fetched.outputs[7:0] == '0};
    range_q[8] <= &no_outputs_q;
    range_q[9] <= fetched.out_columns == '0;
    // What is counted in two ways must agree, or the counters of the layer end apart.
    wide_q <= {fetched.outputs[31:24] != '0, fetched.outputs[23:16] != '0, fetched.columns[31:24] != '0,
               fetched.columns[23:16] != '0, fetched.rows[31:24] != '0, fetched.rows[23:16] != '0};
    range_q[10] <= wide_q != '0;
    range_q[11] <= 16'(groups_q) != fetched.groups[15:0];
    said_blocks_q <= fetched.blocks[15:0];
    range_q[12] <= blocks_q != 17'(said_blocks_q);
    equal_words_q <= equal_words;
    many_taps_q   <= taps_q[31:16] != '0;
    range_q[13] <= !fetched.flags.average && (!equal_words_q || more_words_q || many_taps_q);
    range_q[14] <= fetched.flags.dense && (fetched.rows[15:0] != 16'd1 || fetched.blocks[15:0] != 16'd1);
    // Scores are what the last layer, and no other, gives.
    range_q[15] <= fetched.flags.scores != last_b_i;
    range_q[16] <= fetched.flags.scores && !fetched.flags.dense;
    other_classes_q <= fetched.outputs[15:0] != header_i.classes[15:0];
    range_q[17] <= fetched.flags.scores && other_classes_q;
    // Passes, and what needs the vector unit
    range_q[18] <= !fetched.flags.average && fetched.pass_words != pass_words_q
        && (fetched.pass_words != '0 || fetched.passes.more_bases != '0);
    range_q[19] <= fetched.passes.more_bases[3] || fetched.passes.more_planes[3];
    range_q[20] <= !fetched.flags.vector && (fetched.passes.hand != '0 || fetched.flags.by_image
        || fetched.flags.stride2 || fetched.flags.average);
    range_q[21] <= !fetched.flags.vector && (fetched.flags.value || fetched.flags.bit_planes || fetched.flags.shortcut);
    range_q[22] <= fetched.flags.vector && (fetched.passes.hand == 2'd3 || hands_q > 8'(MaxHandOvers));
    range_q[23] <= fetched.flags.vector && (fetched.result.shift[1:0] != '0
        || fetched.result.value_bits > 4'(ValueBits));
    range_q[24] <= fetched.flags.vector && fetched.result.thresholds != '0 && fetched.flags.bit_planes;
    range_q[25] <= fetched.flags.vector && (fetched.result.thresholds != '0 || fetched.flags.bit_planes
        || fetched.flags.value) == fetched.flags.scores;
    range_q[26] <= fetched.flags.vector && fetched.flags.pool && (fetched.flags.stride2 || fetched.flags.shortcut);
    range_q[27] <= fetched.flags.vector && fetched.flags.scores && fetched.flags.shortcut;
    no_edge_q <= {no_edge(fetched.input_size.height), no_edge(fetched.input_size.width)};
    range_q[28] <= fetched.flags.average && (!fetched.flags.dense || fetched.flags.pool || fetched.flags.shortcut
        || no_edge_q[1]);
    range_q[29] <= fetched.flags.average && (fetched.passes.more_bases != '0 || fetched.passes.more_planes != '0
        || fetched.passes.hand != '0 || no_edge_q[0]);
    // The first layer's double buffer is released once, by the last layer of segment A that reads it. Which is the last
    // of the segment is known too late for range_q.
    range_q[30] <= header_i.version[1] && (released_q || in_b_i) && (reads_first || fetched.flags.release_first);
    // Bands: of one image, by pixel and without the vector unit; weights again where all of them stay
    range_q[31] <= fetched.flags.early && (!header_i.version[1] || header_i.sub_batch[15:0] != 16'd1
        || fetched.flags.vector || fetched.flags.dense || fetched.flags.release_first);
    range_q[32] <= fetched.band.weights_back != '0 && (!header_i.version[1] || !header_i.kept.resident
        || (in_b_i && header_i.kept.ring_base != '0));
    // The ring of segment B has room for a group and a burst
    ring_base_q  <= header_i.kept.ring_base[RingBits-1:0];
    no_room_q    <= {(group_words[RingBits:0] & {1'b1, ring_base_q}) != '0,
        &(group_words[RingBits-1:0] | ring_base_q | RingBits'(BurstWords - 1))};
    range_q[33] <= in_b_i && ring_base_q != '0 && no_room_q != '0;
    high_result_q <= fetched.result[$bits(fetched.result)-1:16] != '0;
    low_result_q  <= fetched.result[15:0] != '0;
    range_q[34] <= !fetched.flags.vector && high_result_q;
    range_q[35] <= !fetched.flags.vector && low_result_q;
    unfreed_q   <= header_i.version[1] && !released_q && !fetched.flags.release_first;
    back_q      <= fetched.band.weights_back != '0;
    vector_q    <= fetched.flags.vector && Vector == 0;
    bad_range_q <= |range_q;
    if (begin_i || (end_i && last_i)) released_q <= 1'b0;
    else if (start_i) released_q <= released_q | fetched.flags.release_first;

    // As bnn_add_pkg adds
    needed_q[0] <= taken_q[0] ^ layer_words_q[0];
    {needed_q[33:1], unused_low} <= {2'b0, taken_q[31:1], needed_carry} + {1'b0, layer_words_q[32:1], needed_carry};
    words_a_q   <= header_i.words_a;
    words_b_q   <= header_i.words_b;
    over_a_q    <= {needed_a[33:32] != '0, needed_a[31:16] > words_a_q[31:16], needed_a[15:0] > words_a_q[15:0]};
    equal_a_q   <= {needed_a[33:16] == 18'(words_a_q[31:16]), needed_a[15:0] == words_a_q[15:0]};
    over_b_q    <= {needed_b[33:32] != '0, needed_b[31:16] > words_b_q[31:16], needed_b[15:0] > words_b_q[15:0]};
    equal_b_q   <= {needed_b[33:16] == 18'(words_b_q[31:16]), needed_b[15:0] == words_b_q[15:0]};
    bad_words_q <= next_q[32] | (last_i & back_q)
        | (in_b_i ? over_b_q[2] | over_b_q[1] | (equal_b_q[1] & over_b_q[0]) | (last_i & ~(&equal_b_q))
            : over_a_q[2] | over_a_q[1] | (equal_a_q[1] & over_a_q[0]) | (last_i & (~(&equal_a_q) | unfreed_q)));
    next_q      <= needed_q[32:0] - 33'(fetched.band.weights_back);
    // The layer behind a segment's last one begins with none.
    taken_clear_q <= begin_i | (start_i & last_i);
    taken_step_q  <= start_i;
    if (taken_clear_q) taken_q <= '0;
    else if (taken_step_q) taken_q <= next_q[31:0];
  end

  bnn_equal #(
      .Bits(20)
  ) u_words (
      .a_i    (all_words_q),
      .b_i    (20'(fetched.group_words[15:0])),
      .equal_o(equal_words)
  );

  // Not a DSP slice's own register: a sum is made before it.
  bnn_register #(
      .Bits(17)
  ) u_group_words (
      .clk_i,
      .data_i(17'(add(32'(fetched.group_words[15:0]), 32'(headers_q)))),
      .data_o(group_words)
  );
  bnn_register #(
      .Bits(34)
  ) u_needed_a (
      .clk_i,
      .data_i(needed_q),
      .data_o(needed_a)
  );
  bnn_register #(
      .Bits(34)
  ) u_needed_b (
      .clk_i,
      .data_i(needed_q),
      .data_o(needed_b)
  );

  assign needed_carry = taken_q[0] & layer_words_q[0];
  assign reads_first = fetched.flags.from_first | fetched.flags.shortcut_first;
  assign bad_o       = bad_range_q | bad_words_q;
  assign vector_o    = vector_q;

  logic unused_descriptors;
  assign unused_descriptors = ^{header_i, fetched, fetched_q, layer_q, given_q[0]};

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking

  start_settled: assert property (start_i |-> settled_o)
      else $error("start_i before the descriptor is there and checked");
  start_good: assert property (start_i && settled_o |-> !bad_o && !vector_o)
      else $error("start_i of a layer that is out of range");
`endif
endmodule
