// One more than the value of a counter, with Down one less, in LUTs: no carry chain, so that the counter's bits may have
// other loads too.
//
// more_o = value_i + 1, or value_i - 1, modulo 2^Bits, two cycles after value_i has changed.
module bnn_next #(
    parameter int unsigned Bits = 16,
    parameter bit Down = 1'b0
) (
    input  logic            clk_i,
    input  logic [Bits-1:0] value_i,
    output logic [Bits-1:0] more_o
);
  localparam int unsigned Part = 4;

  logic [Bits-1:0] ones;

  assign ones = Down ? ~value_i : value_i;

  for (genvar p = 0; p * Part < Bits; p++) begin : gen_part
    localparam int unsigned Here = (Bits - p * Part < Part) ? Bits - p * Part : Part;
    logic carry, full_q, unused_full;  // into the part; it is all ones, or zeros

    if (p == 0) begin : gen_low
      assign carry = 1'b1;
    end else begin : gen_high
      logic carry_q;
      logic [p-1:0] full;

      for (genvar b = 0; b < p; b++) begin : gen_below
        assign full[b] = gen_part[b].full_q;
      end
      always_ff @(posedge clk_i) carry_q <= &full;
      assign carry = carry_q;
    end

    always_ff @(posedge clk_i) full_q <= &ones[p*Part+:Here];
    assign unused_full = full_q;

    assign more_o[p*Part] = value_i[p*Part] ^ carry;
    for (genvar b = 1; b < Here; b++) begin : gen_bit
      assign more_o[p*Part+b] = value_i[p*Part+b] ^ (carry & (&ones[p*Part+b-1:p*Part]));
    end
  end
endmodule
