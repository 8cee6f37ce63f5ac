// Some bits of a lane.
(* keep_hierarchy = "yes" *)
module bnn_align_slice #(
    parameter int unsigned Bits = 16
) (
    input  logic              clk_i,
    input  logic [2:0]        select_i,  // of the sources
    input  logic [8*Bits-1:0] source_i,
    output logic [Bits-1:0]   data_o
);
  logic [2:0] select_q;
  logic [Bits-1:0] data, data_q;

  bnn_mux #(
      .Words(8),
      .Bits (Bits)
  ) u_mux (
      .select_i(select_q),
      .word_i  (source_i),
      .data_o  (data)
  );

  always_ff @(posedge clk_i) begin
    select_q <= select_i;
    data_q   <= data;
  end

  assign data_o = data_q;
endmodule
