// One accumulator of matching bits, less the threshold.
//
//   acc = sum over the words from the first on of count_i - threshold_i
//
// A cycle with clear_i adds nothing. shift_i loads chain_i instead, the neighbour's accumulator, so
// that a row of them can be read out; shift_i comes without valid words.
//
// clear_i, first_i and shift_i come with the count; acc_o has the sum 2 cycles after that, and the
// neighbour's 2 cycles after shift_i. threshold_i is constant meanwhile.
(* keep_hierarchy = "yes" *)
module bnn_accumulator #(
    parameter int unsigned CountBits = 7,
    parameter int unsigned SumBits = 17
) (
    input  logic                 clk_i,
    input  logic [CountBits-1:0] count_i,
    input  logic                 clear_i,  // no word
    input  logic                 first_i,
    input  logic                 shift_i,
    input  logic [SumBits-2:0]   threshold_i,
    input  logic [SumBits-1:0]   chain_i,
    output logic [SumBits-1:0]   acc_o
);
  logic [CountBits-1:0] count_q;
  logic [1:0] first, shift;  // of the low bits and of the high ones
  logic [SumBits-1:0] acc_q, minus, added;
  logic unused_carry;

  assign minus = {1'b1, ~threshold_i};

  for (genvar i = 0; i < 2; i++) begin : gen_control
    localparam int unsigned From = i * (SumBits / 2), To = i == 0 ? SumBits / 2 : SumBits;

    bnn_register #(
        .Bits(2)
    ) u_control (
        .clk_i,
        .data_i({first_i, shift_i}),
        .data_o({first[i], shift[i]})
    );
    assign added[To-1:From] = shift[i] ? chain_i[To-1:From] : first[i] ? minus[To-1:From] : acc_q[To-1:From];
  end

  always_ff @(posedge clk_i) begin
    if (clear_i) count_q <= '0;
    else count_q <= count_i;
    // -threshold = ~threshold + 1: the one comes in as a carry
    {acc_q, unused_carry} <= {{(SumBits - CountBits) {1'b0}}, count_q, first[0]} + {added, first[0]};
  end

  assign acc_o = acc_q;
endmodule
