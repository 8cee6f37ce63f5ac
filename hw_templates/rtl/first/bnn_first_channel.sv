// The beats of every FirstPe-th channel of the first layer, in LUT RAM with address registers: their weights, and what
// becomes of the sums, which is read later.
//
// Latency: address_i to weights_o, which goes to registers, 1 cycle, late_i to threshold_o and flip_o 2; write_data_i
// comes a cycle after write_i.
(* keep_hierarchy = "yes" *)
module bnn_first_channel
  import bnn_pkg::*;
#(
    parameter int unsigned Depth = 32,
    localparam int unsigned AddrBits = $clog2(Depth)
) (
    input  logic                clk_i,
    input  logic                write_i,
    input  logic [AddrBits-1:0] write_addr_i,
    input  first_beat_t         write_data_i,
    input  logic [AddrBits-1:0] address_i,
    input  logic [AddrBits-1:0] late_i,
    output logic [35:0]         weights_o,
    output logic [15:0]         threshold_o,
    output logic                flip_o
);
  logic [AddrBits-1:0] write_addr_q;
  logic write_q;

  always_ff @(posedge clk_i) begin
    write_q      <= write_i;
    write_addr_q <= write_addr_i;
  end

  // In parts, so that no address has many loads.
  localparam int unsigned Parts = (Depth > 32) ? 4 : 2, Bits = 36 / Parts;

  for (genvar p = 0; p < Parts; p++) begin : gen_part
    (* ram_style = "distributed" *) logic [Bits-1:0] mem[Depth];
    logic [AddrBits-1:0] address;

    bnn_register #(
        .Bits(AddrBits)
    ) u_address (
        .clk_i,
        .data_i(address_i),
        .data_o(address)
    );

    always_ff @(posedge clk_i) begin
      if (write_q) mem[write_addr_q] <= write_data_i.weights[Bits*p+:Bits];
    end

    assign weights_o[Bits*p+:Bits] = mem[address];
  end

  (* ram_style = "distributed" *) logic [16:0] late_mem[Depth];
  logic [AddrBits-1:0] late;
  logic [16:0] late_q;

  bnn_register #(
      .Bits(AddrBits)
  ) u_late (
      .clk_i,
      .data_i(late_i),
      .data_o(late)
  );

  always_ff @(posedge clk_i) begin
    if (write_q) late_mem[write_addr_q] <= {write_data_i.flip, write_data_i.threshold};
    late_q <= late_mem[late];
  end

  assign {flip_o, threshold_o} = late_q;

  logic unused_data;
  assign unused_data = ^write_data_i;
endmodule
