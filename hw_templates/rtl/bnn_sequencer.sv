// Steps of one array layer: for each step the read addresses, padding and markers.
//
//   for g < groups: for i < images: for y in rows (step 2 with pool): for b < blocks:
//     for dy < 1 + pool: for ky, kx, c:  one step
//
// A step reads lane l's column b*Lanes + l + shift, shift = kx - pad, of row y + dy + ky - pad:
// memory m is read at  source_base + i*image_stride + row*row_stride + (b + n)*cw + c,
// n = -1 for m = Lanes-1 if shift < 0, n = 1 for m < shift, else 0. pad_o[l] is set for a lane
// outside the image (never with dense_i), tail_o on the last word of a tap. index_o counts the
// steps of a sum: 0 .. k*k*cw - 1. first_o and last_o mark the first and last step of a sum,
// second_o the lower row of a pool (dy = 1), group_last_o the last step of a group.
//
// start_i takes a pulse while busy_o is low; the configuration is constant from start_i to
// done_o, and groups, images, rows, blocks and cw are at least 1, rows even with pool_i. A step is
// taken when busy_o and ready_i are high; now_*_o name it. done_o is a pulse in the cycle after
// the last step was taken.
//
// Latency: the first step can be taken after the edge that samples start_i; the outputs of a
// step, with valid_o, are there 4 cycles after it was taken. One step per cycle. Counters run
// down and keep a flag for their last value, so no comparison lies between the loops.
module bnn_sequencer #(
    parameter int unsigned Lanes = 4,
    parameter int unsigned ActDepth = 1024,
    localparam int unsigned AddrBits = $clog2(ActDepth)
) (
    input  logic                      clk_i,
    input  logic                      rst_i,
    input  logic                      start_i,
    output logic                      busy_o,
    output logic                      done_o,
    // Configuration, from the descriptor
    input  logic                      kernel3_i,
    input  logic                      pad_one_i,
    input  logic                      pool_i,
    input  logic                      dense_i,
    input  logic [15:0]               groups_i,
    input  logic [15:0]               images_i,
    input  logic [15:0]               rows_i,
    input  logic [15:0]               blocks_i,
    input  logic [15:0]               cw_i,
    input  logic [15:0]               height_i,
    input  logic [15:0]               width_i,
    input  logic [AddrBits-1:0]       source_base_i,
    input  logic [AddrBits-1:0]       image_stride_i,
    input  logic [AddrBits-1:0]       row_stride_i,
    // The step that can be taken
    input  logic                      ready_i,
    output logic                      now_first_o,
    output logic                      now_final_o,  // last, of the lower row if there are two
    output logic                      now_group_last_o,
    // Steps taken
    output logic                      valid_o,
    output logic [Lanes*AddrBits-1:0] read_addr_o,
    output logic signed [2:0]         shift_o,
    output logic [Lanes-1:0]          pad_o,
    output logic                      tail_o,
    output logic [15:0]               index_o,
    output logic                      first_o,
    output logic                      last_o,
    output logic                      second_o,
    output logic                      group_last_o
);
  localparam int unsigned LaneBits = $clog2(Lanes);

  if (Lanes < 2 || Lanes > 16 || (Lanes & (Lanes - 1)) != 0) begin : gen_check_lanes
    $error("bnn_sequencer: Lanes = %0d, must be a power of two from 2 to 16", Lanes);
  end
  if (ActDepth < 2 || ActDepth > 65536 || (ActDepth & (ActDepth - 1)) != 0) begin : gen_check_depth
    $error("bnn_sequencer: ActDepth = %0d, must be a power of two from 2 to 65536", ActDepth);
  end

  // ---- Loops -----------------------------------------------------------------------------------

  logic busy_q, done_q, step;
  // Remaining values of a loop and whether this is the last one.
  logic [15:0] c_q, block_q, row_q, image_q, group_q, c_count_q, index_q;
  logic c_last_q, kx_last_q, ky_last_q, dy_last_q, block_last_q, row_last_q, image_last_q;
  logic group_last_q, first_q;
  logic [1:0] ky_q, kx_q;
  logic dy_q;
  logic end_c, end_kx, end_ky, end_dy, end_block, end_row, end_image, end_group;
  logic [15:0] row_count;

  assign step = busy_q & ready_i;
  assign row_count = pool_i ? rows_i >> 1 : rows_i;
  assign end_c = c_last_q;
  assign end_kx = c_last_q & kx_last_q;
  assign end_ky = c_last_q & kx_last_q & ky_last_q;
  assign end_dy = c_last_q & kx_last_q & ky_last_q & dy_last_q;
  assign end_block = end_dy & block_last_q;
  assign end_row = end_dy & block_last_q & row_last_q;
  assign end_image = end_dy & block_last_q & row_last_q & image_last_q;
  assign end_group = end_dy & block_last_q & row_last_q & image_last_q & group_last_q;

  always_ff @(posedge clk_i) begin
    if (start_i || (step && end_c)) begin
      c_q      <= cw_i;
      c_last_q <= cw_i == 16'd1;
    end else if (step) begin
      c_q      <= c_q - 16'd1;
      c_last_q <= c_q == 16'd2;
    end
    if (start_i || (step && end_kx)) begin
      kx_q      <= '0;
      kx_last_q <= ~kernel3_i;
    end else if (step && end_c) begin
      kx_q      <= kx_q + 2'd1;
      kx_last_q <= kx_q == 2'd1;
    end
    if (start_i || (step && end_ky)) begin
      ky_q      <= '0;
      ky_last_q <= ~kernel3_i;
    end else if (step && end_kx) begin
      ky_q      <= ky_q + 2'd1;
      ky_last_q <= ky_q == 2'd1;
    end
    if (start_i || (step && end_dy)) begin
      dy_q      <= 1'b0;
      dy_last_q <= ~pool_i;
    end else if (step && end_ky) begin
      dy_q      <= 1'b1;
      dy_last_q <= 1'b1;
    end
    if (start_i || (step && end_block)) begin
      block_q      <= blocks_i;
      block_last_q <= blocks_i == 16'd1;
    end else if (step && end_dy) begin
      block_q      <= block_q - 16'd1;
      block_last_q <= block_q == 16'd2;
    end
    if (start_i || (step && end_row)) begin
      row_q      <= row_count;
      row_last_q <= row_count == 16'd1;
    end else if (step && end_block) begin
      row_q      <= row_q - 16'd1;
      row_last_q <= row_q == 16'd2;
    end
    if (start_i || (step && end_image)) begin
      image_q      <= images_i;
      image_last_q <= images_i == 16'd1;
    end else if (step && end_row) begin
      image_q      <= image_q - 16'd1;
      image_last_q <= image_q == 16'd2;
    end
    if (start_i) begin
      group_q      <= groups_i;
      group_last_q <= groups_i == 16'd1;
    end else if (step && end_image) begin
      group_q      <= group_q - 16'd1;
      group_last_q <= group_q == 16'd2;
    end
    if (start_i || (step && end_ky)) begin
      index_q <= '0;
      first_q <= 1'b1;
    end else if (step) begin
      index_q <= index_q + 16'd1;
      first_q <= 1'b0;
    end
    if (start_i || (step && end_c)) c_count_q <= '0;
    else if (step) c_count_q <= c_count_q + 16'd1;
    if (rst_i) begin
      busy_q <= 1'b0;
      done_q <= 1'b0;
    end else begin
      busy_q <= busy_q ? ~(step & end_group) : start_i;
      done_q <= step & end_group;
    end
  end

  // ---- Events, registered: which loop goes on after the step of the cycle before ---------------------

  // Exclusive; begin_q also at the end of a group.
  logic step_q, begin_q, image_next_q, row_next_q, block_next_q, dy_next_q, ky_next_q;
  logic block_begin_q, block_step_q;
  // The step itself
  logic first_d_q, last_d_q, dy_d_q, tail_d_q, end_image_q;
  logic [15:0] index_d_q, c_d_q;
  logic [1:0] kx_d_q;

  always_ff @(posedge clk_i) begin
    begin_q       <= start_i | (step & end_image);
    image_next_q  <= step & end_row & ~end_image;
    row_next_q    <= step & end_block & ~end_row;
    block_next_q  <= step & end_dy & ~end_block;
    dy_next_q     <= step & end_ky & ~end_dy;
    ky_next_q     <= step & end_kx & ~end_ky;
    block_begin_q <= start_i | (step & end_block);
    block_step_q  <= step & end_dy & ~end_block;
    first_d_q     <= first_q;
    last_d_q      <= end_ky;
    dy_d_q        <= dy_q;
    tail_d_q      <= c_last_q;
    end_image_q   <= end_image;
    index_d_q     <= index_q;
    c_d_q         <= c_count_q;
    kx_d_q        <= kx_q;
    if (rst_i) step_q <= 1'b0;
    else step_q <= step;
  end

  // ---- Positions, as they are for the step of the cycle before ---------------------------------------

  logic [AddrBits-1:0] image_addr_q;  // row -pad of the image
  logic [AddrBits-1:0] row_addr_q;  // row y - pad
  logic [AddrBits-1:0] tap_addr_q;  // row y + dy + ky - pad
  logic [AddrBits-1:0] block_addr_q;  // b * cw
  logic [AddrBits-1:0] base_q, two_rows_q, cw;  // row -pad of the first image; two rows with a pool
  logic [AddrBits-1:0] next_image, next_row, next_tap;
  logic [15:0] left_q;  // columns from the block's first one on
  logic signed [16:0] y_q, tap_row_q;  // row y - pad; row y + dy + ky - pad
  logic signed [16:0] next_y;
  logic block_first_q;

  assign cw = cw_i[AddrBits-1:0];
  assign next_image = image_addr_q + image_stride_i;
  assign next_row = row_addr_q + (row_next_q ? two_rows_q : row_stride_i);
  assign next_tap = tap_addr_q + row_stride_i;
  assign next_y = y_q + (row_next_q && pool_i ? 17'sd2 : 17'sd1);

  always_ff @(posedge clk_i) begin
    base_q     <= source_base_i - (pad_one_i ? row_stride_i : '0);
    two_rows_q <= pool_i ? row_stride_i << 1 : row_stride_i;
    if (begin_q) image_addr_q <= base_q;
    else if (image_next_q) image_addr_q <= next_image;
    if (begin_q) row_addr_q <= base_q;
    else if (image_next_q) row_addr_q <= next_image;
    else if (row_next_q) row_addr_q <= next_row;
    unique case (1'b1)
      begin_q:      tap_addr_q <= base_q;
      image_next_q: tap_addr_q <= next_image;
      row_next_q:   tap_addr_q <= next_row;
      dy_next_q:    tap_addr_q <= next_row;
      block_next_q: tap_addr_q <= row_addr_q;
      ky_next_q:    tap_addr_q <= next_tap;
      default: ;
    endcase
    if (begin_q || image_next_q) y_q <= pad_one_i ? -17'sd1 : 17'sd0;
    else if (row_next_q) y_q <= next_y;
    unique case (1'b1)
      begin_q:      tap_row_q <= pad_one_i ? -17'sd1 : 17'sd0;
      image_next_q: tap_row_q <= pad_one_i ? -17'sd1 : 17'sd0;
      row_next_q:   tap_row_q <= next_y;
      dy_next_q:    tap_row_q <= next_y;
      block_next_q: tap_row_q <= y_q;
      ky_next_q:    tap_row_q <= tap_row_q + 17'sd1;
      default: ;
    endcase
    if (block_begin_q) begin
      block_addr_q  <= '0;
      left_q        <= width_i;
      block_first_q <= 1'b1;
    end else if (block_step_q) begin
      block_addr_q  <= block_addr_q + cw;
      left_q        <= left_q - 16'(Lanes);
      block_first_q <= 1'b0;
    end
  end

  // ---- Pipeline: sums of addresses, positions against the edges -----------------------------------

  logic [2:0] valid_p;
  logic [1:0] first_p, last_p, second_p, group_last_p, tail_p;
  logic [15:0] index_p[2];
  logic signed [2:0] shift_p[2];
  logic [AddrBits-1:0] here_p[2], c_p;
  logic row_above_p, row_below_p, row_out_p, block_first_p[2];
  logic [LaneBits+1:0] left_p[2];  // min(left, 2*Lanes): lanes and a shift of at most 2

  always_ff @(posedge clk_i) begin
    first_p      <= {first_p[0], first_d_q};
    last_p       <= {last_p[0], last_d_q};
    second_p     <= {second_p[0], dy_d_q};
    group_last_p <= {group_last_p[0], end_image_q};
    tail_p       <= {tail_p[0], tail_d_q};
    index_p[0]   <= index_d_q;
    index_p[1]   <= index_p[0];
    shift_p[0]   <= signed'({1'b0, kx_d_q}) - signed'({2'b00, pad_one_i});
    shift_p[1]   <= shift_p[0];
    here_p[0]    <= tap_addr_q + block_addr_q;
    c_p          <= c_d_q[AddrBits-1:0];
    here_p[1]    <= here_p[0] + c_p;
    row_above_p  <= tap_row_q[16];
    row_below_p  <= ~tap_row_q[16] & (tap_row_q[15:0] >= height_i);
    row_out_p    <= row_above_p | row_below_p;
    block_first_p[0] <= block_first_q;
    block_first_p[1] <= block_first_p[0];
    left_p[0]    <= (|left_q[15:LaneBits+1]) ? (LaneBits + 2)'(2 * Lanes)
        : {1'b0, left_q[LaneBits:0]};
    left_p[1]    <= left_p[0];
    if (rst_i) valid_p <= '0;
    else valid_p <= {valid_p[1:0], step_q};
  end

  logic [Lanes*AddrBits-1:0] read_addr_q;
  logic [Lanes-1:0] pad_q;
  logic signed [2:0] shift_q;
  logic tail_q, first_o_q, last_o_q, second_o_q, group_last_o_q;
  logic [15:0] index_o_q;

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    logic signed [LaneBits+2:0] column;  // relative to the block
    logic next, previous;

    assign column = (LaneBits + 3)'(signed'({1'b0, (LaneBits + 1)'(l)})) + (LaneBits + 3)'(shift_p[1]);
    assign next = shift_p[1] > 3'(l) && l < 2;
    assign previous = shift_p[1] < 0 && l == Lanes - 1;

    always_ff @(posedge clk_i) begin
      pad_q[l] <= ~dense_i & (row_out_p | (column < 0 ? block_first_p[1]
                                                      : (LaneBits + 2)'(column) >= left_p[1]));
      read_addr_q[l*AddrBits+:AddrBits] <= here_p[1] + (next ? cw : previous ? '0 - cw : '0);
    end
  end

  always_ff @(posedge clk_i) begin
    shift_q        <= shift_p[1];
    tail_q         <= tail_p[1];
    first_o_q      <= first_p[1];
    last_o_q       <= last_p[1];
    second_o_q     <= second_p[1];
    group_last_o_q <= group_last_p[1];
    index_o_q      <= index_p[1];
  end

  logic unused_sequencer;
  assign unused_sequencer = ^c_d_q;

  assign busy_o           = busy_q;
  assign done_o           = done_q;
  assign now_first_o      = first_q;
  assign now_final_o      = end_dy;
  assign now_group_last_o = end_image;
  assign valid_o          = valid_p[2];
  assign read_addr_o      = read_addr_q;
  assign shift_o          = shift_q;
  assign pad_o            = pad_q;
  assign tail_o           = tail_q;
  assign index_o          = index_o_q;
  assign first_o          = first_o_q;
  assign last_o           = last_o_q;
  assign second_o         = second_o_q;
  assign group_last_o     = group_last_o_q;
endmodule
