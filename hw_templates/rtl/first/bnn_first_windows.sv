// Windows of the first layer: 3x3 pixels of the patch for every position and group of channels.
//
//   for columns with complete_i, which are the last ones of their windows:
//     for group < group_end_i: for the window, or the four of a pool:  window_o, valid_o, group_o
//
// A window lies at window_o[(3*ky + kx)*32 +: 32]. first_o and last_o mark the first and the last window of a sum: the
// same one without a pool. With four_i a sum has four windows in any case: without a pool they are the same. group_o,
// twice the same, comes with the window. A sum is begun only if the queue of results has room: Results less those begun,
// more those popped (either bit of pop_i).
//
// The configuration is constant from two cycles before clear_i ends to the end of the run. A column is taken
// with column_valid_i and column_pop_o.
//
// Latency: a window is there 2 cycles after it was begun, the first one of a column 3 cycles after that was taken.
module bnn_first_windows
  import bnn_pkg::*;
  import bnn_add_pkg::count;
#(
    parameter int unsigned GroupBits = 5,
    parameter int unsigned Results = 32,
    localparam int unsigned WindowBits = FirstTaps * MaxChannels * 8
) (
    input  logic                      clk_i,
    input  logic                      clear_i,
    input  logic                      pool_i,
    input  logic                      four_i,  // with pool_i too
    input  logic [GroupBits:0]        group_end_i,
    // Columns
    input  logic                      column_valid_i,
    output logic [1:0]                column_pop_o,  // twice
    input  logic                      complete_i,
    input  logic [127:0]              column_i,
    // Windows
    output logic                      valid_o,
    output logic                      first_o,
    output logic                      last_o,
    output logic [WindowBits-1:0]     window_o,
    output logic [1:0][GroupBits-1:0] group_o,
    // Results taken out of their queue
    input  logic [1:0]                pop_i
);
  localparam int unsigned CreditBits = $clog2(Results) + 1;

  // ---- Which window, which group -------------------------------------------------------------

  logic busy_q, issue, sum_last, begun_q, first_now_q, last_now_q, room_q, pop, pop_q;
  logic [2:0] pops;  // pop, and again for who gives the columns
  logic clear_late;  // for the loop
  logic group_last, unused_group_top;
  logic [GroupBits:0] group;
  logic [1:0] quad_q, quad_next;
  logic [CreditBits-1:0] begun_count_q;  // sums begun and not popped

  assign issue = busy_q & (~last_now_q | room_q);
  assign sum_last = busy_q & last_now_q & room_q;

  for (genvar i = 0; i < 3; i++) begin : gen_pop
    bnn_first_windows_pop u_pop (
        .valid_i     (column_valid_i),
        .busy_i      (busy_q),
        .last_i      (last_now_q),
        .room_i      (room_q),
        .group_last_i(group_last),
        .pop_o       (pops[i])
    );
  end

  bnn_register u_clear (
      .clk_i,
      .data_i(clear_i),
      .data_o(clear_late)
  );

  assign pop = pops[2];
  assign unused_group_top = group[GroupBits];
  assign quad_next = {quad_q[1] ^ (issue & four_i & quad_q[0]), quad_q[0] ^ (issue & four_i)};

  bnn_loop #(
      .Bits (GroupBits + 1),
      .Gates(3)
  ) u_group (
      .clk_i,
      .restart_i(clear_late),
      .go_i     ({busy_q, last_now_q, room_q}),
      .limit_i  (group_end_i),
      .value_o  (group),
      .last_o   (group_last)
  );

  always_ff @(posedge clk_i) begin
    pop_q       <= |pop_i & ~clear_i;
    first_now_q <= ~four_i | (issue ? quad_q == 2'd3 : quad_q == 2'd0);
    last_now_q  <= ~four_i | (issue ? quad_q == 2'd2 : quad_q == 2'd3);
    // Two may be taken until then, and one in that cycle
    room_q      <= begun_count_q < CreditBits'(Results - 3);
    if (clear_i) begin
      busy_q        <= 1'b0;
      begun_q       <= 1'b0;
      quad_q        <= '0;
      begun_count_q <= '0;
    end else begin
      if (pop) busy_q <= complete_i;
      else if (sum_last && group_last) busy_q <= 1'b0;
      begun_q <= sum_last;
      quad_q  <= quad_next;
      begun_count_q <= CreditBits'(count(32'(begun_count_q), begun_q, pop_q));
    end
  end

  assign column_pop_o = pops[1:0];

  // ---- The window itself ---------------------------------------------------------------------

  // patch_q[x][y], a cycle late, with the select registers of the taps: the newest column is x = 3. Three rows lie in
  // y = 1 .. 3 (shifted in from the top), four in y = 0 .. 3.
  logic [3:0][3:0][31:0] patch_q;
  logic [3:0][31:0] column_q;
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
              patch_q[kx+1][ky+1][16*h+:16], patch_q[kx][ky+1][16*h+:16],
              patch_q[kx+1][ky][16*h+:16], patch_q[kx][ky][16*h+:16]
            }),
            .data_o    (window_o[(3*ky+kx)*32+16*h+:16])
        );
      end
    end
  end

  for (genvar x = 0; x < 4; x++) begin : gen_x
    for (genvar h = 0; h < 2; h++) begin : gen_half
      logic shift;

      bnn_register u_shift (
          .clk_i,
          .data_i(pop),
          .data_o(shift)
      );
      always_ff @(posedge clk_i) begin
        if (shift) patch_q[x][2*h+:2] <= x == 3 ? column_q[2*h+:2] : patch_q[(x+1)%4][2*h+:2];
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
    column_q  <= column_i;
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
