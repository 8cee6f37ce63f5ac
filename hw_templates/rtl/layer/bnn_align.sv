// Lane rotation and padding between the activation memory and the array.
//
//   out[l] = pad_i[l] ? pad : in[(l + shift_i) mod Lanes],  shift_i = -2 .. 4
//   pad    = plus_i ? (tail_i ? tail_mask_i : all ones) : 0
//
// shift_i is kx - pad, one-hot: 0, 1, 2, 3, 4, -1, -2; lane l of a column block reads input column
// block*Lanes + l + shift_i, which lies in lane memory (l + shift_i) mod Lanes. pad_i[l] marks
// a lane whose column or row is outside the image; tail_i the last word of a tap, whose real
// channels are the ones of tail_mask_i (constant during a layer). Layout: lane l at [l*Simd +: Simd].
//
// Control comes two cycles before data_i and is registered once per lane and once per 16 bits. What a pad has is the
// same in all lanes, and so one more source of a lane's multiplexer.
// Latency: 1 cycle from data_i; no reset.
module bnn_align #(
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4
) (
    input  logic                  clk_i,
    input  logic [6:0]            shift_i,
    input  logic [Lanes-1:0]      pad_i,
    input  logic                  plus_i,
    input  logic                  tail_i,
    input  logic [Simd-1:0]       tail_mask_i,
    input  logic [Lanes*Simd-1:0] data_i,
    output logic [Lanes*Simd-1:0] data_o
);
  if (Lanes < 2 || (Lanes & (Lanes - 1)) != 0) begin : gen_check
    $error("bnn_align: Lanes = %0d, must be a power of two, at least 2", Lanes);
  end

  logic plus_q, tail_q;
  logic [Simd-1:0] pad_q;

  always_ff @(posedge clk_i) begin
    plus_q <= plus_i;
    tail_q <= tail_i;
    pad_q  <= {Simd{plus_q}} & ({Simd{~tail_q}} | tail_mask_i);
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    // As shift_i has them
    localparam int unsigned Source[7] = '{l, (l + 1) % Lanes, (l + 2) % Lanes, (l + 3) % Lanes, (l + 4) % Lanes,
                                          (l + Lanes - 1) % Lanes, (l + 2 * Lanes - 2) % Lanes};
    logic [8*Simd-1:0] source;

    for (genvar i = 0; i < 7; i++) begin : gen_source
      assign source[i*Simd+:Simd] = data_i[Source[i]*Simd+:Simd];
    end
    assign source[7*Simd+:Simd] = pad_q;

    bnn_align_lane #(
        .Simd(Simd)
    ) u_lane (
        .clk_i,
        .shift_i,
        .pad_i   (pad_i[l]),
        .source_i(source),
        .data_o  (data_o[l*Simd+:Simd])
    );
  end

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking

  shift_one_hot: assert property ($onehot0(shift_i))
      else $error("shift_i = %b, expected one-hot", shift_i);
`endif
endmodule
