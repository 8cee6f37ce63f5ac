// Order of the array layers of a run: which layer comes next, with which images.
//
//   for each batch: for each sub-batch: the layers of segment A;  then those of segment B, with the images of the batch
//
// begin_i starts a run of count_i images with the program header_i. layer_i is high while a layer runs: layer_done_i
// then ends it, end_o follows by a cycle. The layer to run now is segment B's with in_b_o, the last of its
// segment with last_o, the last of all with last_b_o; next_index_o is the one after it. segment_end_o: its end ends
// the sub-batch, or the batch; run_end_o: also the run, if it does.
//
// images_o, in_batch_o and odd_o are those of the layer's command; they and all of the above are settled nine cycles
// after end_o and do not change until the next, but for in_batch_o, which follows batch_i (the layer writes images of
// the batch, else those of a sub-batch) by a cycle. sub_begin_i begins the layers of a sub-batch; then rows_wait_o is
// high until the first layer has done all of it, and rows_o are the rows that it has done. It is at most two
// sub-batches ahead. consumed_o is a pulse when the first layer's bits of a sub-batch are read: by the first layer of
// the sub-batch, in a program of version 2 by that with release_i, rewind_o one when a resident segment A begins again.
module bnn_run_layers
  import bnn_pkg::*;
  import bnn_add_pkg::add;
#(
    parameter int unsigned MaxLayers = 16,
    parameter int unsigned RowBits = 11,
    localparam int unsigned LayerBits = (MaxLayers > 1) ? $clog2(MaxLayers) : 1
) (
    input  logic                 clk_i,
    // Run
    input  logic                 begin_i,
    input  logic [31:0]          count_i,
    input  header_t              header_i,
    input  logic                 two_segments_i,
    // First layer
    input  logic                 first_row_i,
    input  logic                 first_done_i,
    input  logic                 sub_begin_i,
    output logic                 rows_wait_o,
    output logic [RowBits-1:0]   rows_o,
    output logic                 consumed_o,
    // Array
    input  logic                 layer_i,
    input  logic                 layer_done_i,
    input  logic                 release_i,
    input  logic                 batch_i,
    output logic                 odd_o,
    output logic [15:0]          images_o,
    output logic [15:0]          in_batch_o,
    output logic                 rewind_o,
    // What comes next
    output logic                 in_b_o,
    output logic                 last_o,
    output logic                 last_b_o,
    output logic                 end_o,
    output logic [LayerBits-1:0] next_index_o,
    output logic                 segment_end_o,
    output logic                 run_end_o
);
  logic [LayerBits-1:0] index_q, next_index_q;
  logic [31:0] left;  // images of sub-batches not finished
  logic [15:0] sub_images, in_batch_q, in_batch_next_q, images_q, in_batch_out_q;
  logic [1:0] ready_q;  // sub-batches the first layer has done and rows_wait_q has not seen
  logic [RowBits-1:0] rows_q;  // rows it has done of the next one
  logic rows_wait_q, first_row_q, taken;
  logic in_b_q, in_b_copy, odd_q, batch_end_q, first_done_q, end_q;
  logic sub_end_q, batch_over_q;  // segment A has done a sub-batch; the last segment a batch
  logic [15:0] end_a_q, end_b_q;  // last layers of the segments
  logic in_clear_q, rows_clear_q;  // in_batch_q, rows_q begin again
  logic first_q, last_q, last_a_q, last_b_q;
  logic to_b_q, segment_end_q;  // what follows the last layer of a segment
  logic last_images_q, done_images_q, run_end_q, consumed_q, rewind_q;

  bnn_sub_batch u_sub_batch (
      .clk_i,
      .restart_i(begin_i),
      .step_i   (sub_end_q),
      .count_i,
      .size_i   (header_i.sub_batch[15:0]),
      .left_o   (left),
      .images_o (sub_images)
  );

  bnn_register u_in_b (
      .clk_i,
      .data_i(in_b_q),
      .data_o(in_b_copy)
  );

  assign taken = rows_wait_q & ready_q != '0;

  // These settle in the nine cycles before they are used.
  always_ff @(posedge clk_i) begin
    end_a_q         <= header_i.layers_a[15:0] - 16'd1;
    end_b_q         <= header_i.layers[15:0] - 16'd1;
    last_a_q        <= 16'(index_q) == end_a_q;
    last_b_q        <= 16'(index_q) == end_b_q;
    last_q          <= in_b_q ? last_b_q : last_a_q;
    first_q         <= index_q == '0;
    in_batch_next_q <= 16'(add(32'(in_batch_q), 32'(sub_images)));
    last_images_q   <= left == 32'(sub_images);
    done_images_q   <= left == '0;
    batch_end_q     <= last_images_q | (in_batch_next_q == header_i.batch[15:0]);
    to_b_q          <= last_q & ~in_b_q & batch_end_q & two_segments_i;
    segment_end_q   <= last_q & (in_b_q | ~batch_end_q | ~two_segments_i);
    // left still counts this sub-batch unless segment B has run.
    run_end_q       <= in_b_q ? done_images_q : last_images_q;
    next_index_q    <= segment_end_q ? '0 : LayerBits'(add(32'(index_q), 32'd1));
    // Segment B takes the images of the batch.
    images_q        <= in_b_copy ? in_batch_q : sub_images;
    in_batch_out_q  <= (in_b_copy | ~batch_i) ? '0 : in_batch_q;
  end

  always_ff @(posedge clk_i) begin
    first_row_q  <= first_row_i;
    first_done_q <= first_done_i;
    end_q        <= layer_done_i;
    consumed_q   <= end_q & (header_i.version[1] ? release_i : first_q);
    sub_end_q    <= end_q & last_q & ~in_b_q;
    batch_over_q <= end_q & last_q & (in_b_q | (batch_end_q & ~two_segments_i));
    rewind_q     <= end_q & last_q & ~in_b_q & header_i.kept.resident & two_segments_i & ~batch_end_q;
    if (begin_i) begin
      in_b_q     <= 1'b0;
      index_q    <= '0;
      odd_q      <= 1'b0;
      ready_q    <= '0;
      rows_wait_q <= 1'b0;
    end else begin
      if (layer_i && end_q) begin
        in_b_q  <= to_b_q | (in_b_q & ~segment_end_q);
        index_q <= next_index_q;
      end
      odd_q <= odd_q ^ sub_end_q;
      ready_q     <= ready_q + 2'(first_done_q) - 2'(taken);
      rows_wait_q <= sub_begin_i | (rows_wait_q & ~taken);
    end
    in_clear_q <= begin_i | batch_over_q;
    if (in_clear_q) in_batch_q <= '0;
    else if (sub_end_q) in_batch_q <= in_batch_next_q;
    rows_clear_q <= begin_i | first_done_i;  // with first_done_q
    if (rows_clear_q) rows_q <= '0;
    else if (first_row_q) rows_q <= RowBits'(add(32'(rows_q), 32'd1));
  end

  assign rows_wait_o   = rows_wait_q;
  assign rows_o        = rows_q;
  assign consumed_o    = consumed_q;
  assign odd_o         = odd_q;
  assign images_o      = images_q;
  assign in_batch_o    = in_batch_out_q;
  assign rewind_o      = rewind_q;
  assign in_b_o        = in_b_q;
  assign last_o        = last_q;
  assign last_b_o      = last_b_q;
  assign end_o         = end_q;
  assign next_index_o  = next_index_q;
  assign segment_end_o = segment_end_q;
  assign run_end_o     = run_end_q;

  logic unused_layers;
  assign unused_layers = ^header_i;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking

  logic [8:0] recent_q;  // ones: cycles since begin_i or the last end of a layer

  always_ff @(posedge clk_i) recent_q <= (begin_i || end_q) ? '0 : {recent_q[7:0], 1'b1};

  begin_in_turn: assert property (sub_begin_i |-> !rows_wait_q)
      else $error("sub_begin_i before the first layer has done the sub-batch before");
  ready_limited: assert property (layer_i |-> ready_q <= 2'd2)
      else $error("%0d sub-batches of the first layer are done and not taken", ready_q);
  settled: assert property (layer_i && recent_q[8] |-> $stable({in_b_q, last_q, last_b_q, next_index_q, segment_end_q,
      run_end_q, odd_q, images_q, in_batch_out_q}))
      else $error("what comes next changes nine cycles after the last layer, or later");
`endif
endmodule
