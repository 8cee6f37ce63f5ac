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
// Latency: a word comes a cycle after take_i, slot_i and first_i; its part goes out a cycle later, and its bytes five
// after that, two after upper_i and shortcut_i. They stay until the next take_i. Data only, no reset.
(* keep_hierarchy = "yes" *)
module bnn_vector_mean
  import bnn_add_pkg::add;
#(
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
  logic mean_q, same_q, both_q, take_q, first_q, first_d_q;
  logic [1:0] take_d_q;
  logic fresh_q, round_q;
  logic [1:0] select_q;
  logic [SlotBits-1:0] even_slot, odd_slot;
  logic [Units*8-1:0] even_part_q, odd_part_q;

  bnn_register #(
      .Bits(SlotBits)
  ) u_even_slot (
      .clk_i,
      .data_i(slot_i),
      .data_o(even_slot)
  );
  bnn_register #(
      .Bits(SlotBits)
  ) u_odd_slot (
      .clk_i,
      .data_i(slot_i),
      .data_o(odd_slot)
  );

  always_ff @(posedge clk_i) begin
    mean_q    <= mean_i;
    same_q    <= same_i;
    both_q    <= mean_i & pairs_i;
    select_q  <= mean_q ? 2'd1 : same_q ? {1'b1, upper_i} : 2'd0;
    take_q    <= take_i;
    take_d_q  <= {take_d_q[0], take_q};
    first_q   <= first_i;
    first_d_q <= first_q;
    fresh_q   <= first_d_q | ~mean_q;
    round_q   <= first_d_q & mean_q;
    if (take_q) begin
      even_part_q <= even_i[32'(even_slot)*Units*8+:Units*8];
      odd_part_q  <= odd_i[32'(odd_slot)*Units*8+:Units*8];
    end
  end

  assign even_part_o = even_part_q;
  assign odd_part_o  = odd_part_q;

  // Numbers are by 128 too large, without a sign: what a mean's first one is added to makes up for four of them.
  // Registers between the adders keep the loads of what enters a carry chain few.
  for (genvar u = 0; u < Units; u++) begin : gen_unit
    logic [7:0] even_part, odd_part;
    logic [7:0] even_q, odd_q, odd_d_q, more_q;  // more_q: the odd one if both are added
    logic [8:0] pair_q;
    logic [9:0] even_sum_q, odd_sum_q, even_before, odd_before;  // before: what is added to
    logic [1:0] low, low_d_q, low_dd_q;  // lowest bits of what is as it was, even and odd
    logic [9:2] even_sum_d_q, odd_sum_d_q;
    logic [7:0] even_own_q, odd_own_q, even_byte_q, odd_byte_q;
    logic [4:0] fresh_even, fresh_odd;  // one for two or three bits
    logic take, absent, round;

    for (genvar i = 0; i < 5; i++) begin : gen_fresh
      bnn_register u_even (
          .clk_i,
          .data_i(fresh_q),
          .data_o(fresh_even[i])
      );
      bnn_register u_odd (
          .clk_i,
          .data_i(fresh_q),
          .data_o(fresh_odd[i])
      );
    end
    bnn_register u_round (
        .clk_i,
        .data_i(round_q),
        .data_o(round)
    );
    bnn_register u_absent (
        .clk_i,
        .data_i(~shortcut_i),
        .data_o(absent)
    );
    bnn_register u_take (
        .clk_i,
        .data_i(take_d_q[1]),
        .data_o(take)
    );

    assign even_part = {~even_part_q[8*u+7], even_part_q[8*u+:7]};
    assign odd_part = {~odd_part_q[8*u+7], odd_part_q[8*u+:7]};

    bnn_register #(
        .Bits(2)
    ) u_low (
        .clk_i,
        .data_i({odd_part[0], even_part[0]}),
        .data_o(low)
    );

    for (genvar b = 0; b < 10; b++) begin : gen_before
      localparam int unsigned Part = b > 7 ? 4 : b > 4 ? 3 : (b + 1) / 2;

      assign even_before[b] = (fresh_even[Part] ? b == 9 : even_sum_q[b]) | (b == 1 && round);
      assign odd_before[b]  = (fresh_odd[Part] ? b == 9 : odd_sum_q[b]) | (b == 1 && round);
    end

    always_ff @(posedge clk_i) begin
      even_q  <= even_part;
      odd_q   <= odd_part;
      more_q  <= both_q ? odd_part : '0;
      pair_q  <= 9'(add(32'(even_q), 32'(more_q)));
      odd_d_q <= odd_q;
      if (take) begin
        even_sum_q <= 10'(add(32'(pair_q), 32'(even_before)));
        odd_sum_q  <= 10'(add(32'(odd_d_q), 32'(odd_before)));
        low_dd_q   <= low_d_q;
      end
      low_d_q      <= low;
      even_sum_d_q <= even_sum_q[9:2];
      odd_sum_d_q  <= odd_sum_q[9:2];
      even_own_q   <= {~even_sum_q[7], even_sum_q[6:1], low_dd_q[0]};
      odd_own_q    <= {~odd_sum_q[7], odd_sum_q[6:1], low_dd_q[1]};
      unique case (select_q)
        2'd0: even_byte_q <= even_own_q;
        2'd1: even_byte_q <= even_sum_d_q[9:2];
        2'd2: even_byte_q <= lower_source_i[8*u+:8];
        2'd3: even_byte_q <= upper_source_i[8*u+:8];
      endcase
      odd_byte_q <= select_q[0] ? odd_sum_d_q[9:2] : odd_own_q;
      if (absent) begin
        even_byte_q <= '0;
        odd_byte_q  <= '0;
      end
    end

    assign even_sum_o[8*u+:8] = even_own_q;
    assign odd_sum_o[8*u+:8]  = odd_own_q;
    assign even_o[8*u+:8]     = even_byte_q;
    assign odd_o[8*u+:8]      = odd_byte_q;
  end
endmodule
