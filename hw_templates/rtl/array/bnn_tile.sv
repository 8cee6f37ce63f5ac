// Pe x Lanes dot products next to each other, with their own operand and control registers.
//
// Operands are registered here once per tile, so that no net spans the array. Control inputs
// are one cycle early for the same reason. Layout: operand n at [n*Nodes +: Nodes], bits at
// [l*Pe + p]; chain_i[l*SumBits +: SumBits] is the sum right of PE Pe - 1 of lane l, sum_o
// that of PE 0, second_sum_o that of PE 1.
//
// Timing and meaning of the inputs: bnn_array.
(* keep_hierarchy = "yes" *)
module bnn_tile #(
    parameter int unsigned Pe = 4,
    parameter int unsigned Lanes = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned SumBits = 17,
    parameter int unsigned Nodes = 95
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
    input  logic [Pe*(SumBits-1)-1:0] threshold_i,
    input  logic [Pe-1:0]             flip_i,
    input  logic [Lanes*SumBits-1:0]  chain_i,
    output logic [Lanes*SumBits-1:0]  sum_o,
    output logic [Lanes*SumBits-1:0]  second_sum_o,
    output logic [Lanes*Pe-1:0]       bit_o
);
  logic [Pe*Nodes-1:0] weight_q;
  logic [Lanes*Nodes-1:0] act_q;
  logic [Pe-1:0] parity_weight_q;
  logic [Lanes-1:0] parity_act_q;
  logic acc_first_q, shift_q, hit_valid_q, second_q, pool_q;
  logic [Lanes-1:0] count_clear;
  logic [Lanes*Pe-1:0] miss;

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
    logic [(Pe+1)*SumBits-1:0] sum;  // of PE p at [p*SumBits +: SumBits]

    bnn_register u_count_clear (
        .clk_i,
        .data_i(count_clear_i),
        .data_o(count_clear[l])
    );
    assign sum[Pe*SumBits+:SumBits] = chain_i[l*SumBits+:SumBits];
    assign sum_o[l*SumBits+:SumBits] = sum[SumBits-1:0];
    assign second_sum_o[l*SumBits+:SumBits] = sum[SumBits+:SumBits];

    for (genvar p = 0; p < Pe; p++) begin : gen_pe
      bnn_dot #(
          .Simd   (Simd),
          .SumBits(SumBits),
          .Nodes  (Nodes)
      ) u_dot (
          .clk_i,
          .weight_i       (weight_q[p*Nodes+:Nodes]),
          .act_i          (act_q[l*Nodes+:Nodes]),
          .parity_weight_i(parity_weight_q[p]),
          .parity_act_i   (parity_act_q[l]),
          .count_clear_i  (count_clear[l]),
          .acc_first_i    (acc_first_q),
          .shift_i        (shift_q),
          .threshold_i    (threshold_i[p*(SumBits-1)+:SumBits-1]),
          .chain_i        (sum[(p+1)*SumBits+:SumBits]),
          .acc_o          (sum[p*SumBits+:SumBits])
      );
      assign miss[l*Pe+p] = sum[p*SumBits+SumBits-1];
    end
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
