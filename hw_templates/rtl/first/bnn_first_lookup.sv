// Pixel table for one byte: data_o has the upper Bits bits of entry byte_i, entry 8*n + m at
// [8*m +: 8] of word n.
//
// Latency: none from byte_i; write_data_i comes a cycle after write_i and write_index_i.
(* keep_hierarchy = "yes" *)
module bnn_first_lookup #(
    parameter int unsigned Bits = 8
) (
    input  logic        clk_i,
    input  logic        write_i,
    input  logic [4:0]  write_index_i,
    input  logic [63:0] write_data_i,
    input  logic [7:0]  byte_i,
    input  logic [4:0]  row_i,  // byte_i[7:3]
    output logic [Bits-1:0] data_o
);
  // In halves, so that no address has many loads
  (* ram_style = "distributed" *) logic [4*Bits-1:0] low_mem[32];
  (* ram_style = "distributed" *) logic [4*Bits-1:0] high_mem[32];
  logic [8*Bits-1:0] write_data;
  logic [4:0] write_index_q;
  logic write_q;

  always_ff @(posedge clk_i) begin
    write_q       <= write_i;
    write_index_q <= write_index_i;
    if (write_q) low_mem[write_index_q] <= write_data[4*Bits-1:0];
    if (write_q) high_mem[write_index_q] <= write_data[8*Bits-1:4*Bits];
  end

  for (genvar m = 0; m < 8; m++) begin : gen_entry
    assign write_data[m*Bits+:Bits] = write_data_i[8*m+7-:Bits];
  end

  bnn_mux #(
      .Words(8),
      .Bits (Bits)
  ) u_mux (
      .select_i(byte_i[2:0]),
      .word_i  ({high_mem[row_i], low_mem[byte_i[7:3]]}),
      .data_o
  );

  logic unused_data;
  assign unused_data = ^write_data_i;
endmodule
