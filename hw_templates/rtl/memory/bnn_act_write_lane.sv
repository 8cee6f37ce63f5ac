// One lane of bnn_act_write: both sources registered, then selected in parts of 16 bits.
(* keep_hierarchy = "yes" *)
module bnn_act_write_lane #(
    parameter int unsigned Simd = 64,
    parameter int unsigned AddrBits = 10,
    parameter int unsigned Groups = 4
) (
    input  logic                clk_i,
    input  logic                array_next_i,  // a cycle before the others
    input  logic                array_enable_i,
    input  logic                array_read_i,
    input  logic [Groups-1:0]   array_group_i,
    input  logic [AddrBits-1:0] array_addr_i,
    input  logic [Simd-1:0]     array_data_i,
    input  logic                first_enable_i,
    input  logic [AddrBits-1:0] first_addr_i,
    input  logic [Simd-1:0]     first_data_i,
    output logic                enable_o,
    output logic [Groups-1:0]   group_o,
    output logic [AddrBits-1:0] addr_o,
    output logic [Simd-1:0]     data_o,
    output logic                read_o
);
  /* verilator no_inline_module */
  localparam int unsigned Bits = 16;

  logic first_q, first_d_q, array_enable_q, first_enable_q, enable_q;
  logic array_read_q, read_q;
  logic [Groups-1:0] array_group_q, group_q;
  logic [AddrBits-1:0] array_addr_q, first_addr_q, addr_q;

  always_ff @(posedge clk_i) begin
    first_q        <= ~array_next_i;
    first_d_q      <= first_q;
    array_enable_q <= array_enable_i;
    array_group_q  <= array_group_i;
    array_addr_q   <= array_addr_i;
    first_enable_q <= first_enable_i;
    first_addr_q   <= first_addr_i;
    array_read_q   <= array_read_i;
    read_q         <= array_read_q;
    enable_q       <= first_d_q ? first_enable_q : array_enable_q;
    group_q        <= first_d_q ? '1 : array_group_q;
    addr_q         <= first_d_q ? first_addr_q : array_addr_q;
  end

  for (genvar s = 0; s < Simd; s += Bits) begin : gen_slice
    bnn_select #(
        .Bits(Bits)
    ) u_select (
        .clk_i,
        .select_i(first_q),
        .zero_i  (array_data_i[s+:Bits]),
        .one_i   (first_data_i[s+:Bits]),
        .data_o  (data_o[s+:Bits])
    );
  end

  assign read_o   = read_q;
  assign enable_o = enable_q;
  assign group_o  = group_q;
  assign addr_o   = addr_q;
endmodule
