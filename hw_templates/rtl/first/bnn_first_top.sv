// Top bit of one of the eight entries of a row of the first layer's pixel table
//
// Latency: none. A module of its own, so that it does not become one with the top bit of what is stored.
(* keep_hierarchy = "yes" *)
module bnn_first_top (
    input  logic [2:0] select_i,
    input  logic [7:0] top_i,
    output logic       top_o
);
  bnn_mux #(
      .Words(8),
      .Bits (1)
  ) u_mux (
      .select_i,
      .word_i  (top_i),
      .data_o  (top_o)
  );
endmodule
