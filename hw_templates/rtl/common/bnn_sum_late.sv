// Sum of two numbers that change seldom, in parts of ten bits, each a cycle behind the one below it: short carry chains.
//
// sum_o = a_i + b_i, modulo 2^Bits, part n of it n + 1 cycles after both last changed. Data only, no reset.
module bnn_sum_late
  import bnn_add_pkg::add;
#(
    parameter int unsigned Bits = 32
) (
    input  logic            clk_i,
    input  logic [Bits-1:0] a_i,
    input  logic [Bits-1:0] b_i,
    output logic [Bits-1:0] sum_o
);
  localparam int unsigned Part = 10;
  localparam int unsigned Parts = (Bits + Part - 1) / Part;

  logic [Parts:0] carry;

  assign carry[0] = 1'b0;

  for (genvar p = 0; p < Parts; p++) begin : gen_part
    localparam int unsigned Here = (p == Parts - 1) ? Bits - p * Part : Part;
    logic [Here-1:0] sum_q;
    logic carry_q, unused_low;

    if (p == 0) begin : gen_low
      assign unused_low = 1'b0;
      always_ff @(posedge clk_i) begin
        {carry_q, sum_q} <= (Here + 1)'(add(32'(a_i[Here-1:0]), 32'(b_i[Here-1:0])));
      end
    end else begin : gen_high  // the carry of two equal bits is one more, where there is one
      always_ff @(posedge clk_i) begin
        {carry_q, sum_q, unused_low} <= {1'b0, a_i[p*Part+:Here], carry[p]} + {1'b0, b_i[p*Part+:Here], carry[p]};
      end
    end

    assign sum_o[p*Part+:Here] = sum_q;
    assign carry[p+1] = carry_q;
  end

  logic unused_carry;
  assign unused_carry = carry[Parts];
endmodule
