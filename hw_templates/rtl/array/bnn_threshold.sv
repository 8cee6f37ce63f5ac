// 2x2 OR pool and flip of hits (sums that reach their threshold). miss_i is ~hit, the sign of such a sum.
//
//   pool_i = 0:  bit[p][l] = hit[p][l] ^ flip[p]
//   pool_i = 1:  bit[p][j] = (hit[p][2j] | hit[p][2j+1] of the rows with second_i = 0 and 1)
//                            ^ flip[p],  j < Lanes / 2; the lanes above are 0
//
// Layout: miss_i[l*Pe + p], flip_i[p], bit_o[l*Pe + p]. second_i is sampled with valid_i; pool_i is
// constant during a layer, flip_i during a group. With pool_i the hits of the upper row (second_i = 0)
// are kept, those of the lower row (second_i = 1) give the bits.
//
// Latency: bit_o appears after edge t + 1 for hits sampled at edge t (2 cycles) and holds until
// the next bits; one set of hits per cycle.
module bnn_threshold #(
    parameter int unsigned Pe = 4,
    parameter int unsigned Lanes = 4
) (
    input  logic                clk_i,
    input  logic                valid_i,
    input  logic                pool_i,
    input  logic                second_i,
    input  logic [Lanes*Pe-1:0] miss_i,
    input  logic [Pe-1:0]       flip_i,
    output logic [Lanes*Pe-1:0] bit_o
);
  if (Lanes < 2 || (Lanes & (Lanes - 1)) != 0) begin : gen_check
    $error("bnn_threshold: Lanes = %0d, must be a power of two, at least 2", Lanes);
  end

  logic upper_take_q, take_q, pool_q;  // hits of an upper row, or such that give bits
  logic [Pe-1:0] flip_q;
  logic [Lanes*Pe-1:0] miss_q, bit_q;
  logic [Lanes*Pe/2-1:0] pair, upper_q;

  for (genvar j = 0; j < Lanes / 2; j++) begin : gen_pair
    assign pair[j*Pe+:Pe] = ~(miss_q[2*j*Pe+:Pe] & miss_q[(2*j+1)*Pe+:Pe]);
  end

  always_ff @(posedge clk_i) begin
    upper_take_q <= valid_i & ~second_i;
    take_q       <= valid_i & (~pool_i | second_i);
    pool_q       <= pool_i;
    flip_q       <= flip_i;
    miss_q       <= miss_i;
    if (upper_take_q) upper_q <= pair;
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    localparam int unsigned Pair = (l % (Lanes / 2)) * Pe;

    always_ff @(posedge clk_i) begin
      if (take_q) begin
        if (!pool_q) bit_q[l*Pe+:Pe] <= ~miss_q[l*Pe+:Pe] ^ flip_q;
        else if (l < Lanes / 2) bit_q[l*Pe+:Pe] <= (pair[Pair+:Pe] | upper_q[Pair+:Pe]) ^ flip_q;
        else bit_q[l*Pe+:Pe] <= '0;
      end
    end
  end

  assign bit_o = bit_q;
endmodule
