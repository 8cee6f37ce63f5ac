// Bytes of two lanes of what the vector unit reads: as they are, of the output's width, or the mean of four.
//
//   mean_i:  (a + b + c + d + 2) >> 2; with pairs_i of both lanes' bytes of two reads, for the even one, else of a
//            lane's own of four
//   same_i:  even_o = upper_i ? upper : lower, the lanes that have the pair's pixel where the map has the output's width
//
// take_i adds the bytes that are there to the mean, with first_i as its first: those of all reads but the last. The
// configuration (mean_i, pairs_i, same_i) is constant while bytes are on their way.
//
// Latency: none from a byte; the controls come a cycle before it. Data only, no reset.
(* keep_hierarchy = "yes" *)
module bnn_vector_mean #(
    parameter int unsigned Units = 1
) (
    input  logic               clk_i,
    input  logic               mean_i,
    input  logic               pairs_i,
    input  logic               same_i,
    input  logic               upper_i,
    input  logic               take_i,
    input  logic               first_i,
    input  logic [Units*8-1:0] even_i,
    input  logic [Units*8-1:0] odd_i,
    input  logic [Units*8-1:0] lower_source_i,
    input  logic [Units*8-1:0] upper_source_i,
    output logic [Units*8-1:0] even_o,
    output logic [Units*8-1:0] odd_o
);
  /* verilator no_inline_module */
  logic mean_q, pairs_q, same_q, upper_q, take_q, first_q;

  always_ff @(posedge clk_i) begin
    mean_q  <= mean_i;
    pairs_q <= pairs_i;
    same_q  <= same_i;
    upper_q <= upper_i;
    take_q  <= take_i;
    first_q <= first_i;
  end

  for (genvar u = 0; u < Units; u++) begin : gen_unit
    logic signed [7:0] even, odd;
    logic signed [9:0] even_sum_q, odd_sum_q, even_sum, odd_sum;

    assign even = even_i[8*u+:8];
    assign odd = odd_i[8*u+:8];
    assign even_sum = (first_q ? 10'sd2 : even_sum_q) + 10'(even) + (pairs_q ? 10'(odd) : 10'sd0);
    assign odd_sum = (first_q ? 10'sd2 : odd_sum_q) + 10'(odd);

    always_ff @(posedge clk_i) begin
      if (take_q) begin
        even_sum_q <= even_sum;
        odd_sum_q  <= odd_sum;
      end
    end

    assign even_o[8*u+:8] = mean_q ? even_sum[9:2]
        : !same_q ? even : upper_q ? upper_source_i[8*u+:8] : lower_source_i[8*u+:8];
    assign odd_o[8*u+:8] = mean_q ? odd_sum[9:2] : odd;
  end
endmodule
