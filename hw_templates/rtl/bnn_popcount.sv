// Number of positions in which two words of Simd bits match.
//
//   count_o = sum over i of (a_i[i] == b_i[i]),  0 .. Simd
//
// Six XNOR bits become a 3-bit number in three LUT6 (6:3 compressor); six of those numbers are
// compressed per bit plane the same way, and the sums of 36 bits are added in a registered
// binary tree. One word per cycle, no stall, no reset: the pipeline holds data only.
//
// Latency: 2 + clog2(ceil(Simd / 36)) cycles (32: 2, 64: 3, 128: 4, 256: 5), a word sampled at
// edge t is counted in count_o after edge t + Latency - 1.
module bnn_popcount #(
    parameter int unsigned Simd = 64,
    localparam int unsigned CountBits = $clog2(Simd + 1)
) (
    input  logic                 clk_i,
    input  logic [Simd-1:0]      a_i,
    input  logic [Simd-1:0]      b_i,
    output logic [CountBits-1:0] count_o
);
  // Leaves of the adder tree (a power of two), of six compressors of six bits each.
  localparam int unsigned Leaves = 1 << $clog2((Simd + 35) / 36);

  if (Simd < 32 || Simd > 256 || (Simd & (Simd - 1)) != 0) begin : gen_check
    $error("bnn_popcount: Simd = %0d, must be a power of two from 32 to 256", Simd);
  end

  // A 6:3 compressor: three functions of six inputs.
  function automatic logic [2:0] compress(input logic [5:0] x);
    return 3'(x[0]) + 3'(x[1]) + 3'(x[2]) + 3'(x[3]) + 3'(x[4]) + 3'(x[5]);
  endfunction

  logic [Leaves*36-1:0] match;
  logic [2:0] first_q[Leaves*6];
  logic [CountBits-1:0] node_q[1:2*Leaves-1];

  always_comb begin
    match = '0;
    match[Simd-1:0] = a_i ~^ b_i;
  end

  for (genvar i = 0; i < Leaves * 6; i++) begin : gen_first
    always_ff @(posedge clk_i) first_q[i] <= compress(match[6*i+:6]);
  end

  for (genvar i = 0; i < Leaves; i++) begin : gen_leaf
    logic [2:0][2:0] plane;
    for (genvar p = 0; p < 3; p++) begin : gen_plane
      assign plane[p] = compress({
        first_q[6*i+5][p], first_q[6*i+4][p], first_q[6*i+3][p],
        first_q[6*i+2][p], first_q[6*i+1][p], first_q[6*i][p]
      });
    end
    always_ff @(posedge clk_i) begin
      node_q[Leaves+i] <= CountBits'(plane[0]) + CountBits'({plane[1], 1'b0})
          + CountBits'({plane[2], 2'b0});
    end
  end

  for (genvar i = 1; i < Leaves; i++) begin : gen_node
    always_ff @(posedge clk_i) node_q[i] <= node_q[2*i] + node_q[2*i+1];
  end

  assign count_o = node_q[1];
endmodule
