// Windows of the first layer: 3x3 pixels of the patch for every position and group of channels.
//
//   for columns of a row, from the third on (with a pool every second, from the fourth on):
//     for group < group_end_i: for the window, or the four of a pool:  window_o, valid_o, group_o
//
// A window lies at window_o[(3*ky + kx)*32 +: 32]. first_o and last_o mark the first and the last window of a sum: the
// same one without a pool. With four_i a sum has four windows in any case: without a pool they are the same. group_o, twice the same, comes with the window. A sum is begun only if the queue of
// results has room: Results, less those begun, more those popped (pop_i).
//
// The configuration is constant from two cycles before clear_i ends to the end of the run. A column is taken
// with column_valid_i and column_pop_o.
//
// Latency: a window is there 2 cycles after it was begun, the first one of a column 3 cycles after that was taken.
module bnn_first_windows
  import bnn_pkg::*;
#(
    parameter int unsigned GroupBits = 5,
    parameter int unsigned Results = 16,
    localparam int unsigned WindowBits = FirstTaps * MaxChannels * 8
) (
    input  logic                      clk_i,
    input  logic                      clear_i,
    input  logic                      pool_i,
    input  logic                      four_i,  // with pool_i too
    input  logic [GroupBits:0]        group_end_i,
    input  logic [15:0]               column_limit_i,
    // Columns
    input  logic                      column_valid_i,
    output logic                      column_pop_o,
    input  logic [127:0]              column_i,
    // Windows
    output logic                      valid_o,
    output logic                      first_o,
    output logic                      last_o,
    output logic [WindowBits-1:0]     window_o,
    output logic [1:0][GroupBits-1:0] group_o,
    // Results taken out of their queue
    input  logic                      pop_i
);
  localparam int unsigned CreditBits = $clog2(Results) + 1;

  // ---- Which window, which group -------------------------------------------------------------

  // patch_q[x][y]: the newest column is x = 3. Three rows lie in y = 1 .. 3 (shifted in from the
  // top), four in y = 0 .. 3.
  logic [3:0][3:0][31:0] patch_q;
  logic busy_q, issue, sum_last, first_now_q, last_now_q, room_q, complete, pop, pop_q;
  logic [2:0] have_q;  // at least 1, 2, 3 columns of the row are in the patch
  logic odd_q, row_end, group_last, unused_group_top;
  logic [15:0] unused_column;
  logic [GroupBits:0] group;
  logic [1:0] quad_q, quad_next;
  logic [CreditBits-1:0] credit_q;

  assign issue = busy_q & (~last_now_q | room_q);
  assign sum_last = busy_q & last_now_q & room_q;
  assign pop = column_valid_i & (~busy_q | (last_now_q & room_q & group_last));
  assign complete = pool_i ? have_q[2] & odd_q : have_q[1];
  assign unused_group_top = group[GroupBits];
  assign quad_next = quad_q + 2'(issue & four_i);

  bnn_loop #(
      .Bits(GroupBits + 1)
  ) u_group (
      .clk_i,
      .restart_i(clear_i),
      .go_i     (sum_last),
      .limit_i  (group_end_i),
      .value_o  (group),
      .last_o   (group_last)
  );
  bnn_loop u_column_count (
      .clk_i,
      .restart_i(clear_i),
      .go_i     (pop),
      .limit_i  (column_limit_i),
      .value_o  (unused_column),
      .last_o   (row_end)
  );

  always_ff @(posedge clk_i) begin
    pop_q       <= pop_i & ~clear_i;
    first_now_q <= ~four_i | quad_next == 2'd0;
    last_now_q  <= ~four_i | quad_next == 2'd3;
    room_q      <= credit_q > CreditBits'(2);  // one may be taken in this cycle
    if (pop) patch_q <= {column_i, patch_q[3:1]};
    if (clear_i) begin
      busy_q   <= 1'b0;
      have_q   <= '0;
      odd_q    <= 1'b0;
      quad_q   <= '0;
      credit_q <= CreditBits'(Results);
    end else begin
      if (pop) begin
        have_q <= row_end ? '0 : {have_q[1:0], 1'b1};
        odd_q  <= ~row_end & ~odd_q;
        busy_q <= complete;
      end else if (sum_last && group_last) begin
        busy_q <= 1'b0;
      end
      quad_q   <= quad_next;
      credit_q <= credit_q - CreditBits'(sum_last) + CreditBits'(pop_q);
    end
  end

  assign column_pop_o = pop;

  // ---- The window itself ---------------------------------------------------------------------

  logic [3:0][3:0][31:0] patch_d_q;  // with the select registers of the taps
  logic [1:0] valid_q, first_q, last_q, select;
  logic [GroupBits-1:0] group_q;

  // Position {dy, dx}; without a pool it is the newest column, three rows shifted in from the top.
  assign select = pool_i ? quad_q : 2'd3;

  for (genvar ky = 0; ky < 3; ky++) begin : gen_ky
    for (genvar kx = 0; kx < 3; kx++) begin : gen_kx
      for (genvar h = 0; h < 2; h++) begin : gen_half
        bnn_first_tap #(
            .Bits(16)
        ) u_tap (
            .clk_i,
            .select_i  (select),
            .position_i({
              patch_d_q[kx+1][ky+1][16*h+:16], patch_d_q[kx][ky+1][16*h+:16],
              patch_d_q[kx+1][ky][16*h+:16], patch_d_q[kx][ky][16*h+:16]
            }),
            .data_o    (window_o[(3*ky+kx)*32+16*h+:16])
        );
      end
    end
  end

  for (genvar h = 0; h < 2; h++) begin : gen_group
    bnn_register #(
        .Bits(GroupBits)
    ) u_group (
        .clk_i,
        .data_i(group_q),
        .data_o(group_o[h])
    );
  end

  always_ff @(posedge clk_i) begin
    patch_d_q <= patch_q;
    group_q   <= group[GroupBits-1:0];
    first_q   <= {first_q[0], first_now_q};
    last_q    <= {last_q[0], last_now_q};
    if (clear_i) valid_q <= '0;
    else valid_q <= {valid_q[0], issue};
  end

  assign valid_o = valid_q[1];
  assign first_o = first_q[1];
  assign last_o  = last_q[1];
endmodule
