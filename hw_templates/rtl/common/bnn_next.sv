// One more than the value of a counter, with Down one less, in LUTs: no carry chain, so that the counter's bits may have
// other loads too.
//
// more_o = value_i + 1, or value_i - 1, modulo 2^Bits. The counter goes on by more_o or by none in any cycle, or to a
// value after which it does not count for a cycle. Late: it does so at every third cycle at most, and no part waits for
// the one below it then.
module bnn_next #(
    parameter int unsigned Bits = 16,
    parameter bit Down = 1'b0,
    parameter bit Late = 1'b0
) (
    input  logic            clk_i,
    input  logic [Bits-1:0] value_i,
    output logic [Bits-1:0] more_o
);
  localparam int unsigned Part = 4;
  localparam int unsigned Parts = (Bits + Part - 1) / Part;

  logic [Bits-1:0] ones;
  logic [Parts-1:0] carry, full_q;  // into a part; a part is all ones, or zeros

  assign ones = Down ? ~value_i : value_i;
  assign carry[0] = 1'b1;
  assign full_q[Parts-1] = 1'b0;

  for (genvar p = 0; p < Parts - 1; p++) begin : gen_full
    always_ff @(posedge clk_i) full_q[p] <= &ones[p*Part+:Part];
  end

  for (genvar p = 1; p < Parts; p++) begin : gen_carry
    if (Late) begin : gen_late
      logic carry_q;

      always_ff @(posedge clk_i) carry_q <= &full_q[p-1:0];
      assign carry[p] = carry_q;
    end else if (p == 1) begin : gen_low
      assign carry[p] = &ones[Part-1:0];
    end else begin : gen_high  // the parts between hold for 2^Part steps
      assign carry[p] = (&ones[Part-1:0]) & (&full_q[p-1:1]);
    end
  end

  for (genvar b = 0; b < Bits; b++) begin : gen_bit
    localparam int unsigned From = b / Part * Part;

    if (b == From) begin : gen_first
      assign more_o[b] = value_i[b] ^ carry[b/Part];
    end else begin : gen_other
      assign more_o[b] = value_i[b] ^ (carry[b/Part] & (&ones[b-1:From]));
    end
  end

  logic unused_full;
  assign unused_full = ^{full_q, clk_i, ones};
endmodule
