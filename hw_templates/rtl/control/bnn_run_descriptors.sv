// Descriptors of a program: their memory, the one that is fetched ahead, its checks, and that of the layer at work.
//
// load_i writes beat_i at load_index_i. fetch_i fetches layer fetch_index_i; settled_o comes when it is there and
// checked, copy_i makes it layer_o. bad_o tells that it is out of range, or that the layers up to it, counted by
// their start_i, with settled_o, do not take the words of their segment: both segments' words are in header_i. in_b_i, last_i, last_b_i:
// it is of segment B, the last of its segment, the last of all. end_i, with last_i, ends a segment, begin_i all.
//
// Latency: settled_o 25 cycles after fetch_i; bad_o follows last_b_i by two cycles, in_b_i and last_i by one.
module bnn_run_descriptors
  import bnn_pkg::*;
#(
    parameter int unsigned Pe = 4,
    parameter int unsigned Lanes = 4,
    parameter int unsigned WeightDepth = 1024,
    parameter int unsigned MaxLayers = 16,
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
    input  logic                          copy_i,
    output descriptor_t                   layer_o,
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
  logic [UsedBeats*64-1:0] fetched_q;  // beats enter at the top
  descriptor_t fetched, layer_q;
  logic [LayerBits-1:0] index_q;
  logic [BeatBits-1:0] fetch_q;
  logic busy_q, valid_q, last_q;
  logic [6:0] settle_q;  // ones: cycles since the last word, until its checks are over

  assign fetched = fetched_q[$bits(descriptor_t)-1:0];

  always_ff @(posedge clk_i) begin
    if (load_i) layer_mem[load_index_i] <= beat_i;
    beat_q  <= layer_mem[{index_q, fetch_q}];
    valid_q <= busy_q;
    last_q  <= fetch_q == BeatBits'(UsedBeats - 2) && !fetch_i;
    if (valid_q) fetched_q <= {beat_q, fetched_q[UsedBeats*64-1:64]};
    if (copy_i) layer_q <= fetched;
    if (fetch_i) begin
      index_q <= fetch_index_i;
      fetch_q <= '0;
      busy_q  <= 1'b1;
    end else if (busy_q) begin
      fetch_q <= fetch_q + 1'b1;
      busy_q  <= ~last_q;
    end
    if (fetch_i || busy_q || valid_q) settle_q <= '0;
    else settle_q <= {settle_q[5:0], 1'b1};
  end

  assign settled_o = settle_q[6];
  assign layer_o   = layer_q;

  // ---- Checks --------------------------------------------------------------------------------

  localparam int unsigned PeBits = $clog2(Pe), LaneBits = $clog2(Lanes);

  // Words of weight memory: of a group, of the layer, of the segment's layers up to it.
  logic [16:0] group_words_q;
  logic [32:0] product_q, layer_words_q;
  logic [31:0] taken_q;  // before it
  logic [33:0] needed_q;
  logic [17:0] range_q;
  // What groups, blocks and words of a group must be.
  logic [16-PeBits:0] groups_q;
  logic [16-LaneBits:0] blocks_q;
  logic [19:0] taps_q;
  logic over_a_q, under_a_q, over_b_q, under_b_q, bad_words_q, bad_range_q;

  always_ff @(posedge clk_i) begin
    group_words_q <= 17'(fetched.group_words[15:0]) + (fetched.flags.scores ? 17'd2 : 17'd1);
    product_q     <= 33'(fetched.groups[15:0]) * 33'(group_words_q);
    layer_words_q <= product_q;
    groups_q      <= (17 - PeBits)'(fetched.outputs[15:PeBits]) + (17 - PeBits)'(fetched.outputs[PeBits-1:0] != '0);
    blocks_q      <= (17 - LaneBits)'(fetched.columns[15:LaneBits])
        + (17 - LaneBits)'(fetched.columns[LaneBits-1:0] != '0);
    taps_q        <= 20'(fetched.tap_words[15:0])
        + (fetched.flags.kernel3 ? {1'b0, fetched.tap_words[15:0], 3'd0} : 20'd0);

    range_q[0] <= fetched.groups == '0;
    range_q[1] <= fetched.groups[31:16] != '0 || fetched.tap_words[31:16] != '0;
    range_q[2] <= fetched.tap_words == '0;
    range_q[3] <= fetched.rows == '0 || (fetched.flags.pool && fetched.rows[0]);
    range_q[4] <= fetched.blocks == '0;
    range_q[5] <= fetched.blocks[31:16] != '0 || fetched.group_words[31:16] != '0;
    range_q[6] <= group_words_q > 17'(WeightDepth);
    range_q[7] <= fetched.group_words == '0;
    range_q[8] <= fetched.outputs == '0;
    range_q[9] <= fetched.out_columns == '0;
    // What is counted in two ways must agree, or the counters of the layer end apart.
    range_q[10] <= fetched.outputs[31:16] != '0 || fetched.columns[31:16] != '0 || fetched.rows[31:16] != '0;
    range_q[11] <= 16'(groups_q) != fetched.groups[15:0];
    range_q[12] <= 16'(blocks_q) != fetched.blocks[15:0];
    range_q[13] <= taps_q != 20'(fetched.group_words[15:0]);
    range_q[14] <= fetched.flags.dense && (fetched.rows[15:0] != 16'd1 || fetched.blocks[15:0] != 16'd1);
    // Scores are what the last layer, and no other, gives.
    range_q[15] <= fetched.flags.scores != last_b_i;
    range_q[16] <= fetched.flags.scores && !fetched.flags.dense;
    range_q[17] <= fetched.flags.scores && fetched.outputs[15:0] != header_i.classes[15:0];
    bad_range_q <= |range_q;

    needed_q    <= 34'(taken_q) + 34'(layer_words_q);
    over_a_q    <= needed_q > 34'(header_i.words_a);
    under_a_q   <= needed_q < 34'(header_i.words_a);
    over_b_q    <= needed_q > 34'(header_i.words_b);
    under_b_q   <= needed_q < 34'(header_i.words_b);
    bad_words_q <= in_b_i ? over_b_q | (last_i & under_b_q) : over_a_q | (last_i & under_a_q);
    if (begin_i || (end_i && last_i)) taken_q <= '0;
    else if (start_i) taken_q <= needed_q[31:0];
  end

  assign bad_o = bad_range_q | bad_words_q;

  logic unused_descriptors;
  assign unused_descriptors = ^{header_i, fetched_q};

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking

  start_settled: assert property (start_i |-> settled_o)
      else $error("start_i before the descriptor is there and checked");
`endif
endmodule
