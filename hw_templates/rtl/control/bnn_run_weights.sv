// Weight stream of a run: a command per segment, bounded by nothing but the reader's credit.
//
//   for each batch: for each sub-batch: segment A;  then segment B       resident: A and B once, none if kept
//                                                                        with a ring: A once, or not if kept
//
// begin_i starts the run; the section at hand is segment A from the next cycle on (in_a_i tells so). valid_o asks for
// the section's words; a cycle after it was taken step_o, for one cycle, says so, and to_b_o whether segment B is next:
// else A is. With abort_i nothing more is asked for.
//
// The ring: clear_o empties it at the start of a run that is not kept, hold_o and words_o are for a resident program.
// limit_o comes a cycle after begin_i where segment B's words have a ring of their own.
//
// Latency: valid_o comes 12 cycles after begin_i or step_o, when section and comparisons have settled.
module bnn_run_weights
  import bnn_pkg::*;
  import bnn_add_pkg::add;
#(
    parameter int unsigned WeightDepth = 1024,
    localparam int unsigned RingBits = $clog2(WeightDepth)
) (
    input  logic              clk_i,
    input  logic              rst_i,
    // Run
    input  logic [1:0]        begin_i,  // twice
    input  logic              keep_i,
    input  logic              abort_i,
    input  logic [31:0]       count_i,
    input  header_t           header_i,
    input  logic              two_segments_i,
    input  logic [RingBits:0] words_i,
    // Section
    input  logic              in_a_i,
    output logic              step_o,
    output logic              to_b_o,
    // Weight reader
    output logic              valid_o,
    input  logic              ready_i,
    // Weight ring
    output logic              clear_o,
    output logic              hold_o,
    output logic [RingBits:0] words_o,
    output logic              limit_o
);
  logic some_q, valid_q, taken_q, sub_taken_q;  // the last: a sub-batch's words are asked for
  logic ring_q, once_q;  // segment B has a ring; all words are asked for once
  logic there_q, skip_q;  // segment A's words stay, and are there; so they are not asked for
  logic [31:0] left;
  logic [15:0] in_batch_q, images, next_q;
  logic [9:0] wait_q;  // ones: the cycles in which the comparisons settle
  logic last_q, batch_end_q, to_b_q, end_q;
  logic clear_q, hold_q, limit_q;
  logic [RingBits:0] words_q;

  bnn_sub_batch u_sub_batch (
      .clk_i,
      .restart_i(begin_i[1]),
      .step_i   (sub_taken_q),
      .count_i,
      .size_i   (header_i.sub_batch[15:0]),
      .left_o   (left),
      .images_o (images)
  );

  always_ff @(posedge clk_i) begin
    next_q      <= 16'(add(32'(in_batch_q), 32'(images)));
    last_q      <= left == 32'(images);
    batch_end_q <= last_q | (next_q == header_i.batch[15:0]);
    ring_q      <= header_i.kept.ring_base != '0;
    once_q      <= header_i.kept.resident & ~ring_q;
    to_b_q      <= in_a_i & two_segments_i & (batch_end_q | once_q);
    end_q       <= ~to_b_q & (once_q | last_q);
    skip_q      <= in_a_i & there_q;
    taken_q     <= (valid_q & ready_i) | (some_q & wait_q[9] & skip_q & ~taken_q & ~abort_i);
    sub_taken_q <= taken_q & ~to_b_q;
    if (begin_i[0] || taken_q) wait_q <= '0;
    else wait_q <= {wait_q[8:0], 1'b1};
    if (begin_i[0]) in_batch_q <= '0;
    else if (sub_taken_q) in_batch_q <= batch_end_q ? '0 : next_q;
    if (rst_i || abort_i) some_q <= 1'b0;
    else if (begin_i[0]) some_q <= ~(keep_i & once_q);
    else if (taken_q && end_q) some_q <= 1'b0;
    if (begin_i[0]) there_q <= keep_i;
    else if (taken_q && ring_q) there_q <= 1'b1;
    valid_q <= some_q & wait_q[9] & ~skip_q & ~taken_q & ~(valid_q & ready_i) & ~abort_i;
    clear_q <= begin_i[0] & ~keep_i;
    limit_q <= begin_i[0] & ring_q;
    hold_q  <= once_q;
    words_q <= words_i;
  end

  assign step_o  = taken_q;
  assign to_b_o  = to_b_q;
  assign valid_o = valid_q;
  assign clear_o = clear_q;
  assign hold_o  = hold_q;
  assign words_o = words_q;
  assign limit_o = limit_q;

  logic unused_weights;
  assign unused_weights = ^header_i;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  abort_stops: assert property (abort_i |=> !valid_o)
      else $error("valid_o after abort_i");
`endif
endmodule
