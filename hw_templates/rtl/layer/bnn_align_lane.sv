// One lane: the control register of its slices.
(* keep_hierarchy = "yes" *)
module bnn_align_lane #(
    parameter int unsigned Simd = 64
) (
    input  logic              clk_i,
    input  logic [6:0]        shift_i,  // one-hot
    input  logic              pad_i,
    input  logic [8*Simd-1:0] source_i,  // the last one: what a pad has
    output logic [Simd-1:0]   data_o
);
  /* verilator no_inline_module */
  localparam int unsigned Bits = 16;

  logic [2:0] select_q;

  always_ff @(posedge clk_i) begin
    select_q[0] <= pad_i | shift_i[1] | shift_i[3] | shift_i[5];
    select_q[1] <= pad_i | shift_i[2] | shift_i[3] | shift_i[6];
    select_q[2] <= pad_i | shift_i[4] | shift_i[5] | shift_i[6];
  end

  for (genvar s = 0; s < Simd / Bits; s++) begin : gen_slice
    logic [8*Bits-1:0] source;

    for (genvar i = 0; i < 8; i++) begin : gen_source
      assign source[i*Bits+:Bits] = source_i[i*Simd+s*Bits+:Bits];
    end

    bnn_align_slice #(
        .Bits(Bits)
    ) u_slice (
        .clk_i,
        .select_i(select_q),
        .source_i(source),
        .data_o  (data_o[s*Bits+:Bits])
    );
  end

  logic unused_lane;
  assign unused_lane = shift_i[0];
endmodule
