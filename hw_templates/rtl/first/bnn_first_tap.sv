// Some bits of one tap of a window: one of the four positions of a 2x2 pool.
//
// select_i comes one cycle before the positions. Latency: 1 cycle from position_i.
(* keep_hierarchy = "yes" *)
module bnn_first_tap #(
    parameter int unsigned Bits = 16
) (
    input  logic              clk_i,
    input  logic [1:0]        select_i,
    input  logic [4*Bits-1:0] position_i,
    output logic [Bits-1:0]   data_o
);
  logic [1:0] select_q;
  logic [Bits-1:0] data_q;

  always_ff @(posedge clk_i) begin
    select_q <= select_i;
    for (int unsigned i = 0; i < Bits; i++) begin
      unique case (select_q)
        2'd0:    data_q[i] <= position_i[i];
        2'd1:    data_q[i] <= position_i[Bits+i];
        2'd2:    data_q[i] <= position_i[2*Bits+i];
        default: data_q[i] <= position_i[3*Bits+i];
      endcase
    end
  end

  assign data_o = data_q;
endmodule
