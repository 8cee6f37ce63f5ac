// A part of the words of the weight memory, with its own address registers.
//
// write_i and write_addr_i are registered, data_i is not: it is written in the cycle after
// write_i. read_ones_i are bits that are set in the address of a read. Latency: a read with read_i in cycle t is in
// data_o in cycle t + 3.
(* keep_hierarchy = "yes" *)
module bnn_weight_bank #(
    parameter int unsigned Bits = 512,
    parameter int unsigned Depth = 1024,
    localparam int unsigned AddrBits = $clog2(Depth)
) (
    input  logic                clk_i,
    input  logic                write_i,
    input  logic [AddrBits-1:0] write_addr_i,
    input  logic [Bits-1:0]     data_i,
    input  logic                read_i,
    input  logic [AddrBits-1:0] read_addr_i,
    input  logic [AddrBits-1:0] read_ones_i,
    output logic [Bits-1:0]     data_o
);
  (* ram_style = "block" *) logic [Bits-1:0] mem[Depth];
  logic write_q, read_q;
  logic [AddrBits-1:0] write_addr_q, read_addr_q;
  logic [Bits-1:0] word_q, out_q;

  always_ff @(posedge clk_i) begin
    write_q      <= write_i;
    write_addr_q <= write_addr_i;
    read_q       <= read_i;
    // A set of the register, no LUT behind the sum
    for (int unsigned i = 0; i < AddrBits; i++) begin
      if (read_ones_i[i]) read_addr_q[i] <= 1'b1;
      else read_addr_q[i] <= read_addr_i[i];
    end
    if (write_q) mem[write_addr_q] <= data_i;
  end

  always_ff @(posedge clk_i) begin
    if (read_q) word_q <= mem[read_addr_q];
    out_q <= word_q;
  end

  assign data_o = out_q;
endmodule
