// One lane: the control register of its slices.
(* keep_hierarchy = "yes" *)
module bnn_align_lane #(
    parameter int unsigned Simd = 64
) (
    input  logic            clk_i,
    input  logic [3:0]      shift_i,  // one-hot: same, right, right2, left
    input  logic            pad_i,
    input  logic            plus_i,
    input  logic            tail_i,
    input  logic [Simd-1:0] tail_mask_i,
    input  logic [Simd-1:0] same_i,
    input  logic [Simd-1:0] right_i,
    input  logic [Simd-1:0] right2_i,
    input  logic [Simd-1:0] left_i,
    output logic [Simd-1:0] data_o
);
  /* verilator no_inline_module */
  localparam int unsigned Bits = 16;

  logic [3:0] source_q;  // one-hot, none with a pad
  logic plus_q, tail_q;

  always_ff @(posedge clk_i) begin
    source_q <= shift_i & {4{~pad_i}};
    plus_q   <= pad_i & plus_i & ~tail_i;
    tail_q   <= pad_i & plus_i & tail_i;
  end

  for (genvar s = 0; s < Simd / Bits; s++) begin : gen_slice
    bnn_align_slice #(
        .Bits(Bits)
    ) u_slice (
        .clk_i,
        .source_i(source_q),
        .plus_i  (plus_q),
        .tail_i  (tail_q),
        .mask_i  (tail_mask_i[s*Bits+:Bits]),
        .same_i  (same_i[s*Bits+:Bits]),
        .right_i (right_i[s*Bits+:Bits]),
        .right2_i(right2_i[s*Bits+:Bits]),
        .left_i  (left_i[s*Bits+:Bits]),
        .data_o  (data_o[s*Bits+:Bits])
    );
  end
endmodule
