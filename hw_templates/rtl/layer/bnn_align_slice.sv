// Some bits of a lane.
(* keep_hierarchy = "yes" *)
module bnn_align_slice #(
    parameter int unsigned Bits = 16
) (
    input  logic              clk_i,
    input  logic [2:0]        select_i,  // of the sources, 7: none
    input  logic              plus_i,
    input  logic              tail_i,
    input  logic [Bits-1:0]   mask_i,
    input  logic [7*Bits-1:0] source_i,
    output logic [Bits-1:0]   data_o
);
  logic [2:0] select_q;
  logic plus_q, tail_q;
  logic [Bits-1:0] data_q;

  logic [Bits-1:0][3:0] low, high;

  always_comb begin
    for (int unsigned i = 0; i < Bits; i++) begin
      low[i]  = {source_i[3*Bits+i], source_i[2*Bits+i], source_i[Bits+i], source_i[i]};
      high[i] = {1'b0, source_i[6*Bits+i], source_i[5*Bits+i], source_i[4*Bits+i]};
    end
  end

  always_ff @(posedge clk_i) begin
    select_q <= select_i;
    plus_q   <= plus_i;
    tail_q   <= tail_i;
    // Two LUTs of a multiplexer, and one that joins them
    for (int unsigned i = 0; i < Bits; i++) begin
      data_q[i] <= (select_q[2] ? high[i][select_q[1:0]] : low[i][select_q[1:0]]) | plus_q | (tail_q & mask_i[i]);
    end
  end

  assign data_o = data_q;
endmodule
