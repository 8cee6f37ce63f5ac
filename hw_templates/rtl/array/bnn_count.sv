// Number of ones in a word, from LUT6-sized compressors with a register after one or two.
//
// Six bits become a 3-bit number in three LUT6; the three bit planes of up to six such numbers are
// compressed the same way, then registered; what is left is merged in two more levels. Words of more than 36 bits
// are split into leaves of 32 bits and their counts added in a registered tree. No adder of a
// leaf is left to a carry chain.
//
// Latency: Depth = 2 + clog2(leaves) cycles; the last level is not registered, its register is
// the user's. Data only, no reset.
module bnn_count #(
    parameter int unsigned Bits = 32,
    localparam int unsigned Leaves = (Bits > 36) ? Bits / 32 : 1,
    localparam int unsigned CountBits = $clog2(Bits + 1)
) (
    input  logic                 clk_i,
    input  logic [Bits-1:0]      word_i,
    output logic [CountBits-1:0] count_o
);
  // Bit k of i0 + i1 + 2*(i2 + i3 + i4); of i0 + i1 + i2 + 2*(i3 + i4).
  localparam logic [31:0] Low0 = 32'h66666666;
  localparam logic [31:0] Low1 = 32'h78878778;
  localparam logic [31:0] Low2 = 32'h7FF8F880;
  localparam logic [31:0] Low3 = 32'h80000000;
  localparam logic [31:0] High0 = 32'h96969696;
  localparam logic [31:0] High1 = 32'hE81717E8;
  localparam logic [31:0] High2 = 32'hFFE8E800;

  if (Leaves == 1) begin : gen_leaf
    localparam int unsigned Chunks = (Bits + 5) / 6;
    logic [5:0] plane[3];
    logic [2:0] sum_q[3];
    logic [4:0] low, high;
    logic [3:0] low_q;
    logic [2:0] eights_q;  // weights 8, 8, 16
    logic one_q;
    logic [5:0] count;

    for (genvar i = 0; i < 6; i++) begin : gen_chunk
      if (i < Chunks) begin : gen_used
        localparam int unsigned Width = (i < Bits / 6) ? 6 : Bits % 6;

        bnn_compress #(
            .Bits(Width)
        ) u_ones (
            .bit_i  (word_i[6*i+:Width]),
            .count_o({plane[2][i], plane[1][i], plane[0][i]})
        );
      end else begin : gen_empty
        assign plane[0][i] = 1'b0;
        assign plane[1][i] = 1'b0;
        assign plane[2][i] = 1'b0;
      end
    end

    for (genvar p = 0; p < 3; p++) begin : gen_plane
      logic [2:0] sum;

      bnn_compress u_sum (
          .bit_i  (plane[p]),
          .count_o(sum)
      );
      always_ff @(posedge clk_i) sum_q[p] <= sum;
    end

    assign low = {sum_q[2][0], sum_q[1][1], sum_q[0][2], sum_q[1][0], sum_q[0][1]};

    always_ff @(posedge clk_i) begin
      one_q    <= sum_q[0][0];
      low_q    <= {Low3[low], Low2[low], Low1[low], Low0[low]};
      eights_q <= {sum_q[2][2], sum_q[2][1], sum_q[1][2]};
    end

    assign high = {eights_q[2], low_q[3], eights_q[1:0], low_q[2]};
    assign count = {High2[high], High1[high], High0[high], low_q[1:0], one_q};
    assign count_o = count[CountBits-1:0];

    if (CountBits < 6) begin : gen_unused
      logic unused_count;
      assign unused_count = ^count[5:CountBits];
    end
  end else begin : gen_tree
    localparam int unsigned Half = Bits / 2;
    localparam int unsigned HalfBits = $clog2(Half + 1);
    logic [HalfBits-1:0] left, right, left_q, right_q;

    bnn_count #(
        .Bits(Half)
    ) u_left (
        .clk_i,
        .word_i (word_i[Half-1:0]),
        .count_o(left)
    );
    bnn_count #(
        .Bits(Half)
    ) u_right (
        .clk_i,
        .word_i (word_i[Bits-1:Half]),
        .count_o(right)
    );

    always_ff @(posedge clk_i) begin
      left_q  <= left;
      right_q <= right;
    end

    assign count_o = CountBits'(left_q) + CountBits'(right_q);
  end
endmodule
