// The beats of every FirstPe-th channel of the first layer, in LUT RAM with an address register.
//
// Latency: address_i to data_o 2 cycles.
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
  (* ram_style = "distributed" *) logic [63:0] mem[Depth];
  logic [AddrBits-1:0] address_q;
  logic [63:0] data_q;

  always_ff @(posedge clk_i) begin
    if (write_i) mem[write_addr_i] <= write_data_i;
    address_q <= address_i;
    data_q    <= mem[address_q];
  end

  assign data_o = data_q;
endmodule
