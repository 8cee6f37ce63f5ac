// A memory of the vector unit's headers: LUT RAM, or with Block a block RAM.
//
// Latency: data_o 2 cycles after addr_i.
(* keep_hierarchy = "yes" *)
module bnn_vector_table #(
    parameter int unsigned Bits = 32,
    parameter int unsigned Depth = 64,
    parameter bit Block = 1'b0,
    localparam int unsigned AddrBits = $clog2(Depth)
) (
    input  logic                clk_i,
    input  logic                write_i,
    input  logic [AddrBits-1:0] write_addr_i,
    input  logic [Bits-1:0]     data_i,
    input  logic [AddrBits-1:0] addr_i,
    output logic [Bits-1:0]     data_o
);
  logic [Bits-1:0] data_q;

  if (Block) begin : gen_block
    (* ram_style = "block" *) logic [Bits-1:0] mem[Depth];
    logic [Bits-1:0] read_q;

    always_ff @(posedge clk_i) begin
      if (write_i) mem[write_addr_i] <= data_i;
      read_q <= mem[addr_i];
      data_q <= read_q;
    end
  end else begin : gen_lut
    (* ram_style = "distributed" *) logic [Bits-1:0] mem[Depth];
    logic [AddrBits-1:0] addr_q;

    always_ff @(posedge clk_i) begin
      addr_q <= addr_i;
      if (write_i) mem[write_addr_i] <= data_i;
      data_q <= mem[addr_q];
    end
  end

  assign data_o = data_q;
endmodule
