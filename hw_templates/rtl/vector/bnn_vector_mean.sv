// Bytes of two lanes of what the vector unit reads: as they are, of the output's width, or the mean of four.
//
//   part:    bits [slot_i*Units*8 +: Units*8] of a lane's word, with take_i
//   mean_i:  (a + b + c + d + 2) >> 2; with pairs_i of both lanes' bytes of two reads, for the even one, else of a
//            lane's own of four
//   same_i:  even_o = upper_i ? upper : lower, the lanes that have the pair's pixel where the map has the output's
//            width
//
// With pairs_i the odd lane's bytes count for nothing. first_i goes with the first read of a mean. Without shortcut_i
// bytes are 0. sum_*_o are what other lanes take for lower and upper. The configuration (mean_i, pairs_i, same_i) is
// constant while bytes are on their way.
//
// Latency: a word comes a cycle after take_i, slot_i and first_i; its part goes out a cycle later, and its bytes three
// after that, two after upper_i and shortcut_i. They stay until the next take_i. Data only, no reset.
(* keep_hierarchy = "yes" *)
module bnn_vector_mean #(
    parameter int unsigned Units = 1,
    parameter int unsigned Slots = 2,
    localparam int unsigned SlotBits = (Slots > 1) ? $clog2(Slots) : 1,
    localparam int unsigned Word = Slots * Units * 8
) (
    input  logic                clk_i,
    // Configuration
    input  logic                mean_i,
    input  logic                pairs_i,
    input  logic                same_i,
    // Words
    input  logic                take_i,
    input  logic                first_i,
    input  logic [SlotBits-1:0] slot_i,
    input  logic [Word-1:0]     even_i,
    input  logic [Word-1:0]     odd_i,
    output logic [Units*8-1:0]  even_part_o,
    output logic [Units*8-1:0]  odd_part_o,
    // Bytes
    output logic [Units*8-1:0]  even_sum_o,
    output logic [Units*8-1:0]  odd_sum_o,
    input  logic                shortcut_i,
    input  logic                upper_i,
    input  logic [Units*8-1:0]  lower_source_i,
    input  logic [Units*8-1:0]  upper_source_i,
    output logic [Units*8-1:0]  even_o,
    output logic [Units*8-1:0]  odd_o
);
  /* verilator no_inline_module */
  logic mean_q, same_q, take_q, first_q, first_d_q;
  logic [1:0] select_q;
  logic take_d_q;
  logic [SlotBits-1:0] slot_q;
  logic [Units*8-1:0] even_part_q, odd_part_q;

  always_ff @(posedge clk_i) begin
    mean_q     <= mean_i;
    same_q     <= same_i;
    select_q   <= mean_q ? 2'd1 : same_q ? {1'b1, upper_i} : 2'd0;
    slot_q     <= slot_i;
    take_q     <= take_i;
    take_d_q   <= take_q;
    first_q    <= first_i;
    first_d_q  <= first_q;
    if (take_q) begin
      even_part_q <= even_i[32'(slot_q)*Units*8+:Units*8];
      odd_part_q  <= odd_i[32'(slot_q)*Units*8+:Units*8];
    end
  end

  assign even_part_o = even_part_q;
  assign odd_part_o  = odd_part_q;

  for (genvar u = 0; u < Units; u++) begin : gen_unit
    logic signed [7:0] even_part, odd_part, odd_part_d_q;
    logic signed [8:0] pair_q;
    logic signed [9:0] even_sum_q, odd_sum_q;
    logic [9:0] even_before, odd_before;  // what a part is added to
    logic [7:0] even_q, odd_q;
    logic [3:0] fresh_even, fresh_odd;  // one for three bits
    logic even_sign, both, take, absent;

    for (genvar i = 0; i < 4; i++) begin : gen_fresh
      bnn_register u_even (
          .clk_i,
          .data_i(first_d_q | ~mean_q),
          .data_o(fresh_even[i])
      );
      bnn_register u_odd (
          .clk_i,
          .data_i(first_d_q | ~mean_q),
          .data_o(fresh_odd[i])
      );
    end
    bnn_register u_absent (
        .clk_i,
        .data_i(~shortcut_i),
        .data_o(absent)
    );
    // Part's top bit again, for the sum
    bnn_hold u_sign (
        .clk_i,
        .enable_i(take_q),
        .data_i  (even_i[32'(slot_q)*Units*8+8*u+7]),
        .data_o  (even_sign)
    );
    bnn_register u_take (
        .clk_i,
        .data_i(take_d_q),
        .data_o(take)
    );
    bnn_register u_both (
        .clk_i,
        .data_i(mean_i & pairs_i),
        .data_o(both)
    );

    assign even_part = {even_sign, even_part_q[8*u+:7]};
    assign odd_part = odd_part_q[8*u+:8];

    for (genvar b = 0; b < 10; b++) begin : gen_before
      assign even_before[b] = fresh_even[b/3] ? b == 1 && mean_q : even_sum_q[b];
      assign odd_before[b]  = fresh_odd[b/3] ? b == 1 && mean_q : odd_sum_q[b];
    end

    always_ff @(posedge clk_i) begin
      pair_q       <= 9'(even_part) + (both ? 9'(odd_part) : 9'sd0);
      odd_part_d_q <= odd_part;
      if (take) begin
        even_sum_q <= even_before + 10'(pair_q);
        odd_sum_q  <= odd_before + 10'(odd_part_d_q);
      end
      unique case (select_q)
        2'd0: even_q <= even_sum_q[7:0];
        2'd1: even_q <= even_sum_q[9:2];
        2'd2: even_q <= lower_source_i[8*u+:8];
        2'd3: even_q <= upper_source_i[8*u+:8];
      endcase
      odd_q <= select_q[0] ? odd_sum_q[9:2] : odd_sum_q[7:0];
      if (absent) begin
        even_q <= '0;
        odd_q  <= '0;
      end
    end

    assign even_sum_o[8*u+:8] = even_sum_q[7:0];
    assign odd_sum_o[8*u+:8]  = odd_sum_q[7:0];
    assign even_o[8*u+:8]     = even_q;
    assign odd_o[8*u+:8]      = odd_q;
  end
endmodule
