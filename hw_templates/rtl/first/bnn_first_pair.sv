// The words of a write to even and odd lanes: that of the even ones may have come long before.
//
// With enable_i the word data_i becomes the odd lanes' word, data_o[Simd +: Simd]; with write_i, which comes with that, it
// becomes entry index_i of a memory. The even lanes' word, data_o[0 +: Simd], is entry index_i of the same cycle. So a write of one word has it in
// all lanes if it came with write_i, and one of two words takes the even lanes' from those that came earlier.
//
// Latency: 1 cycle. The memory takes the place of the even lanes' register. Data only, no reset.
(* keep_hierarchy = "yes" *)
module bnn_first_pair #(
    parameter int unsigned Simd = 64,
    parameter int unsigned Words = 32,
    localparam int unsigned IndexBits = $clog2(Words)
) (
    input  logic                 clk_i,
    input  logic                 enable_i,
    input  logic                 write_i,
    input  logic [IndexBits-1:0] index_i,
    input  logic [Simd-1:0]      data_i,
    output logic [2*Simd-1:0]    data_o
);
  (* ram_style = "distributed" *) logic [Simd-1:0] mem[Words];
  logic [IndexBits-1:0] index_q;
  logic [Simd-1:0] odd_q;

  always_ff @(posedge clk_i) begin
    if (write_i) mem[index_i] <= data_i;
    if (enable_i) begin
      index_q <= index_i;
      odd_q   <= data_i;
    end
  end

  assign data_o = {odd_q, mem[index_q]};
endmodule
