// Headers of a group for the vector unit: coefficients, offsets, limits and flips, read from the weight ring and kept.
//
// load_i: the words of the next group's header are in the ring; they are read with read_o at index_o, each eight
// times, as every time another of the eight channels that a unit serves is picked. done_o is a pulse when all are
// kept. Channel s of unit u is PE 8*u + s. Two groups are kept, bank by bank: the first of a layer (start_i) in bank
// 0.
//
// Order: hand_overs_i coefficient words, then offset and limit of each of planes_i planes. Reads: coefficient_o,
// [u*25 +: 25], offset_o and limit_o (the limit in [9:0], the flip in [10]) 2 cycles after their addresses.
//
// Latency: data_i comes 4 cycles after read_o; done_o 8 cycles after the last one.
module bnn_vector_header
  import bnn_pkg::*;
#(
    parameter int unsigned Pe = 8,
    parameter int unsigned Simd = 64,
    localparam int unsigned Units = Pe / 8
) (
    input  logic                clk_i,
    input  logic                rst_i,
    input  logic                start_i,
    // Configuration
    input  logic [4:0]          hand_overs_i,
    input  logic [1:0]          planes_i,
    // Words of the ring
    input  logic                load_i,
    output logic                read_o,
    output logic [5:0]          index_o,
    input  logic [Pe*Simd-1:0]  data_i,
    output logic                done_o,
    // Reads
    input  logic                coefficient_bank_i,
    input  logic [3:0]          coefficient_hand_i,
    input  logic [2:0]          coefficient_channel_i,
    output logic [Units*25-1:0] coefficient_o,
    input  logic                offset_bank_i,
    input  logic [1:0]          offset_plane_i,
    input  logic [2:0]          offset_channel_i,
    output logic [Units*32-1:0] offset_o,
    input  logic                limit_bank_i,
    input  logic [1:0]          limit_plane_i,
    input  logic [2:0]          limit_channel_i,
    output logic [Units*11-1:0] limit_o
);
  localparam int unsigned PickWait = 4;  // cycles from a read to the word at the multiplexers, and one through them

  // ---- Reads of the ring -------------------------------------------------------------------------

  logic busy_q, offset_q, limit_q, bank_q, last_q, end_word_q;
  logic [5:0] index_q;
  logic [4:0] left_q;  // coefficients still to come
  logic [1:0] plane_q;
  logic [2:0] channel_q;

  always_ff @(posedge clk_i) begin
    if (load_i) begin
      index_q   <= '0;
      left_q    <= hand_overs_i;
      offset_q  <= 1'b0;
      limit_q   <= 1'b0;
      plane_q   <= '0;
      channel_q <= '0;
      end_word_q <= 1'b0;
      last_q    <= 1'b0;
    end else if (busy_q) begin
      channel_q <= channel_q + 3'd1;
      end_word_q <= channel_q == 3'd6;
      if (end_word_q) begin
        index_q  <= index_q + 6'd1;
        left_q   <= left_q - 5'd1;
        offset_q <= limit_q | (~offset_q & left_q == 5'd1);
        limit_q  <= offset_q;
        if (limit_q) plane_q <= plane_q + 2'd1;
        last_q   <= offset_q & plane_q == planes_i - 2'd1;
      end
    end
    if (rst_i) begin
      busy_q <= 1'b0;
      bank_q <= 1'b0;
    end else begin
      busy_q <= load_i | (busy_q & ~(last_q & end_word_q));
      if (start_i) bank_q <= 1'b0;
      else if (done_o) bank_q <= ~bank_q;
    end
  end

  assign read_o  = busy_q;
  assign index_o = index_q;

  // ---- One of eight PEs for each unit ------------------------------------------------------------

  localparam int unsigned ControlBits = 3 + 3 + 4 + 2;

  logic [PickWait:0][ControlBits-1:0] control_q;
  logic [PickWait:0] valid_q;
  logic [2:0] over_q;
  logic [2:0] select_q, select_d_q;
  logic [3:0] hand;
  logic [Units*32-1:0] word;

  assign hand = index_q[3:0];

  always_ff @(posedge clk_i) begin
    control_q <= {control_q[PickWait-1:0], {busy_q & ~offset_q & ~limit_q, busy_q & offset_q, busy_q & limit_q,
                                            channel_q, hand, plane_q}};
    select_q  <= channel_q;
    select_d_q <= select_q;
    if (rst_i) begin
      valid_q <= '0;
      over_q  <= '0;
    end else begin
      valid_q <= {valid_q[PickWait-1:0], busy_q};
      over_q  <= {over_q[1:0], valid_q[PickWait] & ~valid_q[PickWait-1]};
    end
  end

  for (genvar u = 0; u < Units; u++) begin : gen_unit
    logic [8*32-1:0] words;
    for (genvar s = 0; s < 8; s++) begin : gen_channel
      assign words[s*32+:32] = data_i[(8*u+s)*Simd+:32];
    end
    bnn_pick #(
        .Words(8),
        .Bits (32)
    ) u_pick (
        .clk_i,
        .select_i(select_d_q),
        .word_i  (words),
        .data_o  (word[u*32+:32])
    );
  end

  assign done_o = over_q[2];

  // ---- What is kept --------------------------------------------------------------------------------

  coefficient_header_t [Units-1:0] coefficient_word;
  vector_header_t [Units-1:0] plane_word;  // either of its words
  logic coefficient_write, offset_write, limit_write;
  logic [2:0] channel;
  logic [3:0] hand_d;
  logic [1:0] plane;

  assign {coefficient_write, offset_write, limit_write, channel, hand_d, plane} = control_q[PickWait];

  logic [7:0] coefficient_addr;
  logic [5:0] offset_addr, limit_addr;

  assign coefficient_addr = {coefficient_bank_i, coefficient_hand_i, coefficient_channel_i};
  assign offset_addr = {offset_bank_i, offset_plane_i, offset_channel_i};
  assign limit_addr = {limit_bank_i, limit_plane_i, limit_channel_i};

  for (genvar u = 0; u < Units; u++) begin : gen_keep
    assign coefficient_word[u] = word[u*32+:32];
    assign plane_word[u] = {2{word[u*32+:32]}};

    bnn_vector_table #(
        .Bits(25),
        .Depth(256),
        .Block(1'b1)
    ) u_coefficient (
        .clk_i,
        .write_i     (coefficient_write),
        .write_addr_i({bank_q, hand_d, channel}),
        .data_i      (coefficient_word[u].coefficient),
        .addr_i      (coefficient_addr),
        .data_o      (coefficient_o[u*25+:25])
    );
    bnn_vector_table #(
        .Bits(32),
        .Depth(64),
        .Block(1'b1)
    ) u_offset (
        .clk_i,
        .write_i     (offset_write),
        .write_addr_i({bank_q, plane, channel}),
        .data_i      (plane_word[u].offset),
        .addr_i      (offset_addr),
        .data_o      (offset_o[u*32+:32])
    );
    bnn_vector_table #(
        .Bits(11),
        .Depth(64)
    ) u_limit (
        .clk_i,
        .write_i     (limit_write),
        .write_addr_i({bank_q, plane, channel}),
        .data_i      ({plane_word[u].flip, plane_word[u].limit[9:0]}),
        .addr_i      (limit_addr),
        .data_o      (limit_o[u*11+:11])
    );
  end

  logic unused_header;
  assign unused_header = ^{data_i, coefficient_word, plane_word};

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  load_in_turn: assert property (load_i |-> !busy_q && valid_q == '0 && over_q == '0)
      else $error("load_i before done_o");
  counts_fit: assert property (load_i |-> hand_overs_i >= 5'd1 && hand_overs_i <= 5'(MaxHandOvers) && planes_i != '0)
      else $error("hand_overs_i = %0d, planes_i = %0d, must be 1 to 16 and 1 to 3", hand_overs_i, planes_i);
`endif
endmodule
