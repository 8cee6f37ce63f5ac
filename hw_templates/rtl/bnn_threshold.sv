// Thresholds, 2x2 OR pool and flip.
//
//   hit[p][l] = acc[p][l] >= threshold[p]
//   pool_i = 0:  bit[p][l] = hit[p][l] ^ flip[p]
//   pool_i = 1:  bit[p][j] = (hit[p][2j] | hit[p][2j+1] of the rows with second_i = 0 and 1)
//                            ^ flip[p],  j < Lanes / 2; the lanes above are 0
//
// Layout: acc_i[(l*Pe + p)*AccBits +: AccBits], threshold_i[p*AccBits +: AccBits], flip_i[p],
// bit_o[l*Pe + p]. Everything is sampled with valid_i. With pool_i the sum of the upper row
// (second_i = 0) is kept and gives no output; the lower row's (second_i = 1) gives one.
//
// Latency: valid_o and bit_o appear after edge t + 1 for a sum sampled at edge t (2 cycles);
// one sum per cycle.
module bnn_threshold #(
    parameter int unsigned Pe = 4,
    parameter int unsigned Lanes = 4,
    parameter int unsigned AccBits = 16
) (
    input  logic                        clk_i,
    input  logic                        rst_i,
    input  logic                        valid_i,
    input  logic                        pool_i,
    input  logic                        second_i,
    input  logic [Lanes*Pe*AccBits-1:0] acc_i,
    input  logic [Pe*AccBits-1:0]       threshold_i,
    input  logic [Pe-1:0]               flip_i,
    output logic                        valid_o,
    output logic [Lanes*Pe-1:0]         bit_o
);
  if (Lanes < 2 || (Lanes & (Lanes - 1)) != 0) begin : gen_check
    $error("bnn_threshold: Lanes = %0d, must be a power of two, at least 2", Lanes);
  end

  logic valid_q, pool_q, second_q, out_valid_q;
  logic [Pe-1:0] flip_q;
  logic [Lanes-1:0][Pe-1:0] hit_q, bit_q;
  logic [Lanes/2-1:0][Pe-1:0] pair, upper_q;

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    for (genvar p = 0; p < Pe; p++) begin : gen_pe
      always_ff @(posedge clk_i) begin
        hit_q[l][p] <= acc_i[(l*Pe+p)*AccBits+:AccBits] >= threshold_i[p*AccBits+:AccBits];
      end
    end
  end

  for (genvar j = 0; j < Lanes / 2; j++) begin : gen_pair
    assign pair[j] = hit_q[2*j] | hit_q[2*j+1];
  end

  always_ff @(posedge clk_i) begin
    pool_q   <= pool_i;
    second_q <= second_i;
    flip_q   <= flip_i;
    if (valid_q && !second_q) upper_q <= pair;
    for (int unsigned l = 0; l < Lanes; l++) begin
      bit_q[l] <= pool_q ? '0 : hit_q[l] ^ flip_q;
    end
    if (pool_q) begin
      for (int unsigned j = 0; j < Lanes / 2; j++) begin
        bit_q[j] <= (pair[j] | upper_q[j]) ^ flip_q;
      end
    end
    if (rst_i) begin
      valid_q     <= 1'b0;
      out_valid_q <= 1'b0;
    end else begin
      valid_q     <= valid_i;
      out_valid_q <= valid_q & (~pool_q | second_q);
    end
  end

  assign valid_o = out_valid_q;
  assign bit_o   = bit_q;
endmodule
