// Pe x Lanes dot products next to each other, with their own operand and control registers.
//
// Operands are registered here once per tile, so that no net spans the array. Control inputs
// are one cycle early for the same reason. Layout: operand n at [n*Nodes +: Nodes], bits at
// [l*Pe + p]; chain_i[l*SumBits +: SumBits] is the sum right of PE Pe - 1 of lane l, sum_o
// that of PE 0, second_sum_o that of PE 1.
//
// With Dsp pairs of lanes have their accumulators in DSP slices: they take the threshold of PE p with take_i[p/2], and
// with Linked the chain of pair n is link_i[n*48 +: 48] in place of chain_i; link_o leads on. Without Dsp threshold_i
// holds during a group, and link_o is 0.
//
// Timing and meaning of the inputs: bnn_array.
(* keep_hierarchy = "yes" *)
module bnn_tile #(
    parameter int unsigned Pe = 4,
    parameter int unsigned Lanes = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned SumBits = 17,
    parameter int unsigned Nodes = 95,
    parameter bit          Dsp = 1'b0,
    parameter bit          Linked = 1'b0
) (
    input  logic                      clk_i,
    input  logic [Pe*Nodes-1:0]       weight_i,
    input  logic [Lanes*Nodes-1:0]    act_i,
    input  logic [Pe-1:0]             parity_weight_i,
    input  logic [Lanes-1:0]          parity_act_i,
    input  logic                      count_clear_i,
    input  logic                      acc_first_i,
    input  logic                      shift_i,
    input  logic                      hit_valid_i,
    input  logic                      second_i,
    input  logic                      pool_i,
    input  logic [Pe/2-1:0]           take_i,
    input  logic [Pe*(SumBits-1)-1:0] threshold_i,
    input  logic [Pe-1:0]             flip_i,
    input  logic [Lanes*SumBits-1:0]  chain_i,
    input  logic [Lanes/2*48-1:0]     link_i,
    output logic [Lanes/2*48-1:0]     link_o,
    output logic [Lanes*SumBits-1:0]  sum_o,
    output logic [Lanes*SumBits-1:0]  second_sum_o,
    output logic [Lanes*Pe-1:0]       bit_o
);
  localparam int unsigned CountBits = $clog2(Simd + 1);

  logic [Pe*Nodes-1:0] weight_q;
  logic [Lanes*Nodes-1:0] act_q;
  logic [Pe-1:0] parity_weight_q;
  logic [Lanes-1:0] parity_act_q;
  logic acc_first_q, shift_q, hit_valid_q, second_q, pool_q;
  logic [Lanes*Pe-1:0] miss;
  logic [Pe*Lanes*CountBits-1:0] count;  // of PE p and lane l at [(p*Lanes + l)*CountBits +: CountBits]
  logic [Pe*Lanes*SumBits-1:0] sum;

  always_ff @(posedge clk_i) begin
    weight_q        <= weight_i;
    act_q           <= act_i;
    parity_weight_q <= parity_weight_i;
    parity_act_q    <= parity_act_i;
    acc_first_q     <= acc_first_i;
    shift_q         <= shift_i;
    hit_valid_q     <= hit_valid_i;
    second_q        <= second_i;
    pool_q          <= pool_i;
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    for (genvar p = 0; p < Pe; p++) begin : gen_pe
      bnn_dot #(
          .Simd (Simd),
          .Nodes(Nodes)
      ) u_dot (
          .clk_i,
          .weight_i       (weight_q[p*Nodes+:Nodes]),
          .act_i          (act_q[l*Nodes+:Nodes]),
          .parity_weight_i(parity_weight_q[p]),
          .parity_act_i   (parity_act_q[l]),
          .count_o        (count[(p*Lanes+l)*CountBits+:CountBits])
      );
      assign miss[l*Pe+p] = sum[(p*Lanes+l)*SumBits+SumBits-1];
    end
  end

  assign sum_o = sum[0+:Lanes*SumBits];
  assign second_sum_o = sum[Lanes*SumBits+:Lanes*SumBits];

  if (Dsp) begin : gen_dsp
    logic unused_bits;

    for (genvar n = 0; n < Lanes / 2; n++) begin : gen_pair
      logic clear;
      logic [(Pe+1)*48-1:0] link;  // of PE p at [p*48 +: 48]

      bnn_register u_clear (
          .clk_i,
          .data_i(count_clear_i),
          .data_o(clear)
      );

      assign link[Pe*48+:48] = link_i[n*48+:48];
      assign link_o[n*48+:48] = link[47:0];

      for (genvar p = 0; p < Pe; p++) begin : gen_pe
        bnn_accumulator_dsp #(
            .CountBits(CountBits),
            .SumBits  (SumBits),
            .Linked   (p < Pe - 1 || Linked)
        ) u_accumulator (
            .clk_i,
            .count_i    (count[(p*Lanes+2*n)*CountBits+:2*CountBits]),
            .clear_i    (clear),
            .first_i    (acc_first_q),
            .shift_i    (shift_q),
            .take_i     (take_i[p/2]),
            .threshold_i(threshold_i[p*(SumBits-1)+:SumBits-1]),
            .chain_i    (chain_i[2*n*SumBits+:2*SumBits]),
            .link_i     (link[(p+1)*48+:48]),
            .link_o     (link[p*48+:48]),
            .acc_o      (sum[(p*Lanes+2*n)*SumBits+:2*SumBits])
        );
      end
    end

    assign unused_bits = ^{chain_i, link_i};
  end else begin : gen_lut
    logic unused_bits;

    for (genvar l = 0; l < Lanes; l++) begin : gen_lane
      logic clear;

      bnn_register u_clear (
          .clk_i,
          .data_i(count_clear_i),
          .data_o(clear)
      );
      for (genvar p = 0; p < Pe; p++) begin : gen_pe
        bnn_accumulator #(
            .CountBits(CountBits),
            .SumBits  (SumBits)
        ) u_accumulator (
            .clk_i,
            .count_i    (count[(p*Lanes+l)*CountBits+:CountBits]),
            .clear_i    (clear),
            .first_i    (acc_first_q),
            .shift_i    (shift_q),
            .threshold_i(threshold_i[p*(SumBits-1)+:SumBits-1]),
            .chain_i    (p == Pe - 1 ? chain_i[l*SumBits+:SumBits] : sum[((p+1)%Pe*Lanes+l)*SumBits+:SumBits]),
            .acc_o      (sum[(p*Lanes+l)*SumBits+:SumBits])
        );
      end
    end

    assign link_o = '0;
    assign unused_bits = ^{link_i, take_i};
  end

  bnn_threshold #(
      .Pe   (Pe),
      .Lanes(Lanes)
  ) u_threshold (
      .clk_i,
      .valid_i (hit_valid_q),
      .pool_i  (pool_q),
      .second_i(second_q),
      .miss_i  (miss),
      .flip_i,
      .bit_o
  );
endmodule
