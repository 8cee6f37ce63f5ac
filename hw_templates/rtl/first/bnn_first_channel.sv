// The beats of every FirstPe-th channel of the first layer, in LUT RAM with an address register.
//
// Latency: address_i to data_o 2 cycles; write_data_i comes a cycle after write_i.
(* keep_hierarchy = "yes" *)
module bnn_first_channel #(
    parameter int unsigned Depth = 32,
    localparam int unsigned AddrBits = $clog2(Depth)
) (
    input  logic                clk_i,
    input  logic                write_i,
    input  logic [AddrBits-1:0] write_addr_i,
    input  logic [63:0]         write_data_i,
    input  logic [AddrBits-1:0] address_i,
    output logic [63:0]         data_o
);
  logic [AddrBits-1:0] write_addr_q;
  logic write_q;

  always_ff @(posedge clk_i) begin
    write_q      <= write_i;
    write_addr_q <= write_addr_i;
  end

  // In parts, so that no address has many loads.
  localparam int unsigned Parts = (Depth > 32) ? 4 : 2, Bits = 64 / Parts;

  for (genvar p = 0; p < Parts; p++) begin : gen_part
    (* ram_style = "distributed" *) logic [Bits-1:0] mem[Depth];
    logic [AddrBits-1:0] address;
    logic [Bits-1:0] data_q;

    bnn_register #(
        .Bits(AddrBits)
    ) u_address (
        .clk_i,
        .data_i(address_i),
        .data_o(address)
    );

    always_ff @(posedge clk_i) begin
      if (write_q) mem[write_addr_q] <= write_data_i[Bits*p+:Bits];
      data_q <= mem[address];
    end

    assign data_o[Bits*p+:Bits] = data_q;
  end
endmodule
