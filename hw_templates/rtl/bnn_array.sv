// Pe x Lanes accumulators of matching bits.
//
//   acc[p][l] = sum over the words from first_i to last_i of popcount(weight[p] xnor act[l])
//
// Layout: weight_i[p*Simd +: Simd] belongs to PE p, act_i[l*Simd +: Simd] to lane l,
// acc_o[(l*Pe + p)*AccBits +: AccBits] is the accumulator of PE p and lane l. A cycle without
// valid_i is a bubble anywhere in a sum; first_i and last_i may come with the same word. Sums
// may follow one another without a gap.
//
// Latency: acc_valid_o is high for one cycle after edge t + Latency - 1, where the word with
// last_i is sampled at edge t and Latency = 3 + clog2(ceil(Simd / 36)). acc_o holds the sum in
// that cycle only. busy_o is high while a word is in the pipeline.
module bnn_array #(
    parameter int unsigned Pe = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned AccBits = 16
) (
    input  logic                        clk_i,
    input  logic                        rst_i,
    input  logic                        valid_i,
    input  logic                        first_i,
    input  logic                        last_i,
    input  logic [Pe*Simd-1:0]          weight_i,
    input  logic [Lanes*Simd-1:0]       act_i,
    output logic                        acc_valid_o,
    output logic [Lanes*Pe*AccBits-1:0] acc_o,
    output logic                        busy_o
);
  localparam int unsigned CountBits = $clog2(Simd + 1);
  localparam int unsigned CountLatency = 2 + $clog2((Simd + 35) / 36);

  if (Pe < 4 || Pe > Simd || (Pe & (Pe - 1)) != 0) begin : gen_check_pe
    $error("bnn_array: Pe = %0d, must be a power of two from 4 to Simd = %0d", Pe, Simd);
  end
  if (Lanes < 2 || Lanes > 16 || (Lanes & (Lanes - 1)) != 0) begin : gen_check_lanes
    $error("bnn_array: Lanes = %0d, must be a power of two from 2 to 16", Lanes);
  end
  if (AccBits < CountBits) begin : gen_check_acc
    $error("bnn_array: AccBits = %0d, must be at least %0d", AccBits, CountBits);
  end

  logic [CountLatency-1:0] valid_q, first_q, last_q;
  logic acc_valid_q;

  always_ff @(posedge clk_i) begin
    first_q <= {first_q[CountLatency-2:0], first_i};
    last_q  <= {last_q[CountLatency-2:0], last_i};
    if (rst_i) begin
      valid_q     <= '0;
      acc_valid_q <= 1'b0;
    end else begin
      valid_q     <= {valid_q[CountLatency-2:0], valid_i};
      acc_valid_q <= valid_q[CountLatency-1] & last_q[CountLatency-1];
    end
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    for (genvar p = 0; p < Pe; p++) begin : gen_pe
      logic [CountBits-1:0] count;
      logic [AccBits-1:0] acc_q;

      bnn_popcount #(
          .Simd(Simd)
      ) u_popcount (
          .clk_i,
          .a_i    (weight_i[p*Simd+:Simd]),
          .b_i    (act_i[l*Simd+:Simd]),
          .count_o(count)
      );

      always_ff @(posedge clk_i) begin
        if (valid_q[CountLatency-1]) begin
          acc_q <= (first_q[CountLatency-1] ? '0 : acc_q) + AccBits'(count);
        end
      end

      assign acc_o[(l*Pe+p)*AccBits+:AccBits] = acc_q;
    end
  end

  assign acc_valid_o = acc_valid_q;
  assign busy_o = (|valid_q) | acc_valid_q;
endmodule
