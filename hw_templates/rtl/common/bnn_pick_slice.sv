// A few bits of bnn_pick.
(* keep_hierarchy = "yes" *)
module bnn_pick_slice #(
    parameter int unsigned Words = 32,
    parameter int unsigned Bits = 2,
    localparam int unsigned SelectBits = $clog2(Words)
) (
    input  logic                  clk_i,
    input  logic [SelectBits-1:0] select_i,
    input  logic [Words*Bits-1:0] word_i,
    output logic [Bits-1:0]       data_o
);
  logic [SelectBits-1:0] select_q;
  logic [Bits-1:0] data, data_q;

  bnn_mux #(
      .Words(Words),
      .Bits (Bits)
  ) u_mux (
      .select_i(select_q),
      .word_i,
      .data_o  (data)
  );

  always_ff @(posedge clk_i) begin
    select_q <= select_i;
    data_q   <= data;
  end

  assign data_o = data_q;
endmodule
