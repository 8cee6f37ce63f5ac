// Lane rotation and padding between the activation memory and the array.
//
//   out[l] = pad_i[l] ? pad_word_i : in[(l + shift_i) mod Lanes],  shift_i = -1 .. 2
//
// shift_i is kx - pad (signed, two's complement); lane l of a column block reads input column
// block*Lanes + l + shift_i, which lies in lane memory (l + shift_i) mod Lanes. pad_i[l] marks
// a lane whose column or row is outside the image; pad_word_i is 0 or the real channels' ones.
// Layout: lane l at [l*Simd +: Simd].
//
// Latency: 1 cycle; data only, no reset.
module bnn_align #(
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4
) (
    input  logic                  clk_i,
    input  logic signed [2:0]     shift_i,
    input  logic [Lanes-1:0]      pad_i,
    input  logic [Simd-1:0]       pad_word_i,
    input  logic [Lanes*Simd-1:0] data_i,
    output logic [Lanes*Simd-1:0] data_o
);
  if (Lanes < 2 || (Lanes & (Lanes - 1)) != 0) begin : gen_check
    $error("bnn_align: Lanes = %0d, must be a power of two, at least 2", Lanes);
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    localparam int unsigned Left = (l + Lanes - 1) % Lanes;
    localparam int unsigned Right = (l + 1) % Lanes;
    localparam int unsigned Right2 = (l + 2) % Lanes;
    logic [Simd-1:0] lane_q;

    always_ff @(posedge clk_i) begin
      if (pad_i[l]) begin
        lane_q <= pad_word_i;
      end else begin
        unique case (shift_i)
          -3'sd1:  lane_q <= data_i[Left*Simd+:Simd];
          3'sd1:   lane_q <= data_i[Right*Simd+:Simd];
          3'sd2:   lane_q <= data_i[Right2*Simd+:Simd];
          default: lane_q <= data_i[l*Simd+:Simd];
        endcase
      end
    end

    assign data_o[l*Simd+:Simd] = lane_q;
  end
endmodule
