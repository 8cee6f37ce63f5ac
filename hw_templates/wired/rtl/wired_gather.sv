// The outputs of a folded engine, Slots elements of Bits bits per pass, as one vector of Outputs elements.
//
// vector_o is valid in the cycle in which valid_o is high, the cycle after the last pass.
module wired_gather #(
    parameter int unsigned Bits = 1,
    parameter int unsigned Slots = 4,
    parameter int unsigned Passes = 4,
    parameter int unsigned Outputs = 16
) (
    input  logic                    clk_i,
    input  logic                    rst_ni,
    input  logic                    valid_i,
    input  logic [Slots*Bits-1:0]   part_i,
    output logic                    valid_o,
    output logic [Outputs*Bits-1:0] vector_o
);
  localparam int unsigned CountBits = $clog2(Passes);
  logic [CountBits-1:0] count_q;
  logic [Passes*Slots*Bits-1:0] parts_q;

  assign vector_o = parts_q[Outputs*Bits-1:0];
  if (Passes * Slots > Outputs) begin : gen_unused
    logic unused;
    assign unused = ^parts_q[Passes*Slots*Bits-1:Outputs*Bits];
  end

  always_ff @(posedge clk_i) begin
    if (valid_i) parts_q <= (Passes * Slots * Bits)'({part_i, parts_q} >> (Slots * Bits));
    if (!rst_ni) begin
      count_q <= '0;
      valid_o <= 1'b0;
    end else begin
      valid_o <= valid_i && count_q == CountBits'(Passes - 1);
      if (valid_i) count_q <= count_q == CountBits'(Passes - 1) ? '0 : count_q + 1'b1;
    end
  end
endmodule
