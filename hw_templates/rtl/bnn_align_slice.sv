// Some bits of a lane.
(* keep_hierarchy = "yes" *)
module bnn_align_slice #(
    parameter int unsigned Bits = 16
) (
    input  logic            clk_i,
    input  logic [1:0]      shift_i,
    input  logic            pad_i,
    input  logic            plus_i,
    input  logic            tail_i,
    input  logic [Bits-1:0] mask_i,
    input  logic [Bits-1:0] same_i,
    input  logic [Bits-1:0] right_i,
    input  logic [Bits-1:0] right2_i,
    input  logic [Bits-1:0] left_i,
    output logic [Bits-1:0] data_o
);
  logic [1:0] shift_q;
  logic pad_q, plus_q, tail_q;
  logic [Bits-1:0] data_q;

  always_ff @(posedge clk_i) begin
    shift_q <= shift_i;
    pad_q   <= pad_i;
    plus_q  <= plus_i;
    tail_q  <= tail_i;
    for (int unsigned i = 0; i < Bits; i++) begin
      if (pad_q) begin
        data_q[i] <= plus_q | (tail_q & mask_i[i]);
      end else begin
        unique case (shift_q)
          2'd0:    data_q[i] <= same_i[i];
          2'd1:    data_q[i] <= right_i[i];
          2'd2:    data_q[i] <= right2_i[i];
          default: data_q[i] <= left_i[i];
        endcase
      end
    end
  end

  assign data_o = data_q;
endmodule
