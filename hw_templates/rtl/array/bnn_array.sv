// Pe x Lanes dot products of binary words: sums, thresholds, pool.
//
//   acc[p][l] = sum over the words from first_i to last_i of popcount(weight[p] xnor act[l])
//   hit[p][l] = acc[p][l] >= threshold[p];  bit_o: bnn_threshold
//
// Layout: weight_i[p*Simd +: Simd] belongs to PE p, act_i[l*Simd +: Simd] to lane l, bit_o[l*Pe + p]. With pool_i
// pair j is where lane (j / 2)*4 + j % 2 was, the first half of a tile. A cycle without valid_i is a bubble anywhere
// in a sum; first_i and last_i may come with the same word. second_i counts with last_i.
//
// header_soon_i takes thresholds and flips from weight_i in the cycle after it, one without valid_i: a
// threshold_header_t in the lowest bits of every PE; they hold for the words that follow. With plain_i the threshold
// is 0; it comes a cycle before header_soon_i. Headers come at least Latency cycles apart.
//
// Sums are read out at sum_o, PE p of lane l at [(p*Lanes + l)*SumBits +: SumBits], p = 0 and 1, when
// sum_valid_o has come and no word follows: shift_i moves the next PE there, for each of its cycles.
//
// With hand_i sums are handed over: two cycles after hand_soon_o, that of sum_valid_o, hand_o has that of PE 4*r of
// lane l at [(r*Lanes + l)*SumBits +: SumBits], in the three cycles after it those of PEs 4*r + 1, 2 and 3. No word
// comes in the three cycles after one with last_i.
//
// The array is made of tiles of at most 4 x 4. Those of the first DspLanes lanes have their accumulators in DSP slices,
// two in each, up to Cascade of a pair of lanes one above the other. Latency: bits are there Latency + 2 cycles after the
// cycle with last_i and hold until the next; bit_soon_o, a pulse, comes two cycles before them,
// sum_valid_o with it.
module bnn_array
  import bnn_pkg::*;
#(
    parameter int unsigned Pe = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned SumBits = 17,
    parameter int unsigned DspLanes = 0
) (
    input  logic                     clk_i,
    input  logic                     rst_i,
    input  logic                     valid_i,
    input  logic                     first_i,
    input  logic                     last_i,
    input  logic                     second_i,
    input  logic                     header_soon_i,
    input  logic                     pool_i,
    input  logic                     plain_i,
    input  logic                     hand_i,
    input  logic [Pe*Simd-1:0]       weight_i,
    input  logic [Lanes*Simd-1:0]    act_i,
    output logic                     bit_soon_o,
    output logic [Lanes*Pe-1:0]      bit_o,
    input  logic                     shift_i,
    output logic                     sum_valid_o,
    output logic                     hand_soon_o,
    output logic [2*Lanes*SumBits-1:0] sum_o,
    output logic [Pe/4*Lanes*SumBits-1:0] hand_o
);
  localparam int unsigned Nodes = 3 * Simd / 2 - 1;  // bnn_parity
  localparam int unsigned Latency = array_latency(Simd);
  localparam int unsigned Count = Latency - 4;  // from the operands of a dot product to its count
  localparam int unsigned TilePe = 4;
  localparam int unsigned Cascade = 16;  // no part has shorter columns of DSP slices in a clock region
  localparam int unsigned TileLanes = (Lanes < 4) ? Lanes : 4;

  if (Simd < 32 || Simd > 256 || (Simd & (Simd - 1)) != 0) begin : gen_check_simd
    $error("bnn_array: Simd = %0d, must be a power of two from 32 to 256", Simd);
  end
  if (Pe < 4 || Pe > Simd || (Pe & (Pe - 1)) != 0) begin : gen_check_pe
    $error("bnn_array: Pe = %0d, must be a power of two from 4 to Simd = %0d", Pe, Simd);
  end
  if (Lanes < 2 || Lanes > 16 || (Lanes & (Lanes - 1)) != 0) begin : gen_check_lanes
    $error("bnn_array: Lanes = %0d, must be a power of two from 2 to 16", Lanes);
  end

  if (DspLanes > Lanes || DspLanes % TileLanes != 0) begin : gen_check_dsp
    $error("bnn_array: DspLanes = %0d, must be a multiple of %0d, at most Lanes = %0d", DspLanes, TileLanes, Lanes);
  end

  // Control, n + 1 cycles after the operands at [n].
  logic [Latency-2:0] valid_q, first_q, last_q, second_q;
  logic [Latency-2:0] header_q;  // n cycles after the header's word
  logic bit_soon_q, sum_valid_q, shift_q, pool_q, clear_q;
  logic hand_q, plain_q;
  logic [1:0] hand_d_q;  // a sum's last word, so that its tile rows shift in the three cycles before it is replaced

  always_ff @(posedge clk_i) begin
    first_q  <= {first_q[Latency-3:0], first_i & valid_i};
    last_q   <= {last_q[Latency-3:0], last_i};
    second_q <= {second_q[Latency-3:0], second_i};
    pool_q   <= pool_i;
    clear_q  <= ~valid_q[Count-1];
    hand_q   <= hand_i;
    plain_q  <= plain_i;
    if (rst_i) begin
      valid_q     <= '0;
      header_q    <= '0;
      bit_soon_q  <= 1'b0;
      sum_valid_q <= 1'b0;
      shift_q     <= 1'b0;
      hand_d_q    <= '0;
    end else begin
      valid_q     <= {valid_q[Latency-3:0], valid_i};
      header_q    <= {header_q[Latency-3:0], header_soon_i};
      bit_soon_q  <= valid_q[Latency-2] & last_q[Latency-2] & (~pool_q | second_q[Latency-2]);
      sum_valid_q <= valid_q[Latency-2] & last_q[Latency-2];
      hand_d_q    <= {hand_d_q[0], valid_q[Latency-4] & last_q[Latency-4] & hand_q};
      shift_q     <= shift_i | (valid_q[Latency-4] & last_q[Latency-4] & hand_q) | (|hand_d_q);
    end
  end

  // Operands with their parities, 1 cycle; the parity of all of a word follows its count.
  logic [Pe*Nodes-1:0] weight;
  logic [Lanes*Nodes-1:0] act;
  logic [Pe-1:0] parity_weight;
  logic [Lanes-1:0] parity_act;

  for (genvar p = 0; p < Pe; p++) begin : gen_weight
    bnn_operand #(
        .Simd (Simd),
        .Nodes(Nodes),
        .Delay(Count)
    ) u_operand (
        .clk_i,
        .word_i  (weight_i[p*Simd+:Simd]),
        .node_o  (weight[p*Nodes+:Nodes]),
        .parity_o(parity_weight[p])
    );
  end
  for (genvar l = 0; l < Lanes; l++) begin : gen_act
    bnn_operand #(
        .Simd (Simd),
        .Nodes(Nodes),
        .Delay(Count)
    ) u_operand (
        .clk_i,
        .word_i  (act_i[l*Simd+:Simd]),
        .node_o  (act[l*Nodes+:Nodes]),
        .parity_o(parity_act[l])
    );
  end

  // Headers wait in next_* until the sums of the group before are done. DSP slices take thresholds into registers of
  // theirs.
  logic [Pe*(SumBits-1)-1:0] next_threshold_q, threshold;
  logic [Pe-1:0] next_flip_q, flip_q;
  logic [Pe/2-1:0] take;

  for (genvar g = 0; g < Pe; g += 2) begin : gen_header
    logic take_next, clear_next;  // of two PEs

    bnn_register #(
        .Bits(3)
    ) u_control (
        .clk_i,
        .data_i({header_soon_i, header_soon_i & plain_q, header_q[Latency-2]}),
        .data_o({take_next, clear_next, take[g/2]})
    );

    for (genvar p = g; p < g + 2; p++) begin : gen_pe
      threshold_header_t header;
      logic unused_header;
      assign header = weight_i[p*Simd+:$bits(threshold_header_t)];
      assign unused_header = ^header;

      always_ff @(posedge clk_i) begin
        if (take_next) next_flip_q[p] <= header.flip;
        if (clear_next) next_threshold_q[p*(SumBits-1)+:SumBits-1] <= '0;
        else if (take_next) next_threshold_q[p*(SumBits-1)+:SumBits-1] <= (SumBits - 1)'(header.threshold);
        if (take[g/2]) flip_q[p] <= next_flip_q[p];
      end

      if (DspLanes < Lanes) begin : gen_threshold
        logic [SumBits-2:0] threshold_q;

        always_ff @(posedge clk_i) begin
          if (take[g/2]) threshold_q <= next_threshold_q[p*(SumBits-1)+:SumBits-1];
        end
        assign threshold[p*(SumBits-1)+:SumBits-1] = threshold_q;
      end else begin : gen_no_threshold
        assign threshold[p*(SumBits-1)+:SumBits-1] = '0;
      end
    end
  end

  // Tiles; the last PE of a lane is at the end of its chain.
  logic [(Pe/TilePe+1)*Lanes*SumBits-1:0] sum;

  logic [(Pe/TilePe+1)*Lanes/2*48-1:0] link;  // of the DSP slices, likewise
  logic unused_link;

  assign sum[(Pe/TilePe)*Lanes*SumBits+:Lanes*SumBits] = '0;
  assign link[(Pe/TilePe)*Lanes/2*48+:Lanes/2*48] = '0;
  assign unused_link = ^link[0+:Lanes/2*48];
  assign sum_o[0+:Lanes*SumBits] = sum[0+:Lanes*SumBits];
  assign hand_o = sum[0+:Pe/TilePe*Lanes*SumBits];

  for (genvar l = 0; l < Lanes; l += TileLanes) begin : gen_lane
    localparam bit Dsp = l < DspLanes;

    for (genvar p = 0; p < Pe; p += TilePe) begin : gen_pe
      logic [TileLanes*TilePe-1:0] bits;
      logic [TileLanes*SumBits-1:0] second;

      bnn_tile #(
          .Pe     (TilePe),
          .Lanes  (TileLanes),
          .Simd   (Simd),
          .SumBits(SumBits),
          .Nodes  (Nodes),
          .Dsp    (Dsp),
          .Linked (Dsp && ((p + TilePe) % Cascade != 0 || p + TilePe == Pe))
      ) u_tile (
          .clk_i,
          .weight_i       (weight[p*Nodes+:TilePe*Nodes]),
          .act_i          (act[l*Nodes+:TileLanes*Nodes]),
          .parity_weight_i(parity_weight[p+:TilePe]),
          .parity_act_i   (parity_act[l+:TileLanes]),
          .count_clear_i  (clear_q),
          .acc_first_i    (first_q[Count]),
          .shift_i        (shift_q),
          .hit_valid_i    (valid_q[Count+2] & last_q[Count+2]),
          .second_i       (second_q[Count+2]),
          .pool_i         (pool_q),
          .take_i         (take[p/2+:TilePe/2]),
          .threshold_i    (Dsp ? next_threshold_q[p*(SumBits-1)+:TilePe*(SumBits-1)]
                               : threshold[p*(SumBits-1)+:TilePe*(SumBits-1)]),
          .flip_i         (flip_q[p+:TilePe]),
          .chain_i        (sum[((p/TilePe+1)*Lanes+l)*SumBits+:TileLanes*SumBits]),
          .link_i         (link[((p/TilePe+1)*Lanes+l)/2*48+:TileLanes/2*48]),
          .link_o         (link[(p/TilePe*Lanes+l)/2*48+:TileLanes/2*48]),
          .sum_o          (sum[(p/TilePe*Lanes+l)*SumBits+:TileLanes*SumBits]),
          .second_sum_o   (second),
          .bit_o          (bits)
      );

      if (p == 0) begin : gen_second
        assign sum_o[(Lanes+l)*SumBits+:TileLanes*SumBits] = second;
      end else begin : gen_inner
        logic unused_second;
        assign unused_second = ^second;
      end

      for (genvar j = 0; j < TileLanes; j++) begin : gen_bit
        assign bit_o[(l+j)*Pe+p+:TilePe] = bits[j*TilePe+:TilePe];
      end
    end
  end

  assign bit_soon_o  = bit_soon_q;
  assign sum_valid_o = sum_valid_q;
  assign hand_soon_o = hand_d_q[0];

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  logic [Latency-2:0] header_before_q;  // ones: cycles since header_soon_i
  logic [2:0] last_before_q;  // ones: cycles since a last word

  always_ff @(posedge clk_i) begin
    header_before_q <= rst_i ? '0 : {header_before_q[Latency-3:0], header_soon_i};
    last_before_q   <= rst_i ? '0 : {last_before_q[1:0], valid_i & last_i};
  end

  header_alone: assert property (header_q[0] |-> !valid_i)
      else $error("valid_i in the cycle after header_soon_i");
  headers_apart: assert property (header_soon_i |-> header_before_q == '0)
      else $error("header_soon_i less than Latency = %0d cycles after the last", Latency);
  shift_without_words: assert property (shift_i |-> !valid_i && valid_q == '0)
      else $error("shift_i while words are on their way");
  hand_in_turn: assert property (valid_i && hand_i |-> last_before_q == '0)
      else $error("a word less than four cycles after the last one of a sum that is handed over");
  pool_constant: assert property (valid_i || valid_q != '0 |-> pool_i == pool_q)
      else $error("pool_i changes while words are on their way");
`endif
endmodule
