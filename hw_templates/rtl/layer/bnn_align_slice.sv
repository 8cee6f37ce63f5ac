// Some bits of a lane.
(* keep_hierarchy = "yes" *)
module bnn_align_slice #(
    parameter int unsigned Bits = 16
) (
    input  logic            clk_i,
    input  logic [3:0]      source_i,  // one-hot: same, right, right2, left
    input  logic            plus_i,
    input  logic            tail_i,
    input  logic [Bits-1:0] mask_i,
    input  logic [Bits-1:0] same_i,
    input  logic [Bits-1:0] right_i,
    input  logic [Bits-1:0] right2_i,
    input  logic [Bits-1:0] left_i,
    output logic [Bits-1:0] data_o
);
  logic [3:0] source_q;
  logic plus_q, tail_q;
  logic [Bits-1:0] data_q;

  always_ff @(posedge clk_i) begin
    source_q <= source_i;
    plus_q   <= plus_i;
    tail_q   <= tail_i;
    for (int unsigned i = 0; i < Bits; i++) begin
      data_q[i] <= (same_i[i] & source_q[0]) | (right_i[i] & source_q[1]) | (right2_i[i] & source_q[2])
          | (left_i[i] & source_q[3]) | plus_q | (tail_q & mask_i[i]);
    end
  end

  assign data_o = data_q;
endmodule
