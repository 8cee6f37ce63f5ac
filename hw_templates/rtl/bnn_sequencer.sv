// Steps of one array layer: for each step the read addresses, padding and markers.
//
//   for g < groups: for i < images: for y in rows (step 2 with pool): for b < blocks:
//     for dy < 1 + pool: for ky, kx, c:  one step
//
// A step reads lane l's column b*Lanes + l + shift, shift = kx - pad, of row y + dy + ky - pad:
// memory m is read at  source_base + i*image_stride + row*row_stride + (b + n)*cw + c,
// n = -1 for m = Lanes-1 if shift < 0, n = 1 for m < shift, else 0. pad_o[l] is set for a lane
// outside the image (never with dense_i); pad_word_o is 0, or with pad_plus_i the ones of the
// real channels (valid_bits_i of the last word of a tap). weight_index_o counts the steps of a
// sum: 0 .. k*k*cw - 1. first_o and last_o mark the first and last step of a sum, second_o the
// lower row of a pool (dy = 1), group_first_o and group_last_o the ends of a group.
//
// start_i takes a pulse while busy_o is low; the configuration is constant while busy_o is
// high, and groups, images, rows, blocks and cw are at least 1, rows even with pool_i. A step
// is taken when step_valid_o and step_ready_i are high; its outputs hold until then.
// image_o, row_o, block_o and group_o name the step. done_o is a one-cycle pulse.
//
// Latency: the first step is valid after the edge that samples start_i; one step per cycle;
// done_o is high in the cycle after the last step.
module bnn_sequencer #(
    parameter int unsigned Simd = 64,
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
    input  logic                      pad_plus_i,
    input  logic                      pool_i,
    input  logic                      dense_i,
    input  logic [15:0]               groups_i,
    input  logic [15:0]               images_i,
    input  logic [15:0]               rows_i,
    input  logic [15:0]               blocks_i,
    input  logic [15:0]               cw_i,
    input  logic [15:0]               height_i,
    input  logic [15:0]               width_i,
    input  logic [8:0]                valid_bits_i,
    input  logic [AddrBits-1:0]       source_base_i,
    input  logic [AddrBits-1:0]       image_stride_i,
    input  logic [AddrBits-1:0]       row_stride_i,
    // Steps
    output logic                      step_valid_o,
    input  logic                      step_ready_i,
    output logic [Lanes*AddrBits-1:0] read_addr_o,
    output logic signed [2:0]         shift_o,
    output logic [Lanes-1:0]          pad_o,
    output logic [Simd-1:0]           pad_word_o,
    output logic [15:0]               weight_index_o,
    output logic                      first_o,
    output logic                      last_o,
    output logic                      second_o,
    output logic                      group_first_o,
    output logic                      group_last_o,
    output logic [15:0]               group_o,
    output logic [15:0]               image_o,
    output logic [15:0]               row_o,
    output logic [15:0]               block_o
);
  if (Lanes < 2 || Lanes > 16 || (Lanes & (Lanes - 1)) != 0) begin : gen_check_lanes
    $error("bnn_sequencer: Lanes = %0d, must be a power of two from 2 to 16", Lanes);
  end
  if (ActDepth < 2 || ActDepth > 65536 || (ActDepth & (ActDepth - 1)) != 0) begin : gen_check_depth
    $error("bnn_sequencer: ActDepth = %0d, must be a power of two from 2 to 65536", ActDepth);
  end

  logic busy_q, done_q, dy_q;
  logic [15:0] group_q, image_q, row_q, block_q, c_q, index_q;
  logic [1:0] ky_q, kx_q;
  logic [AddrBits-1:0] image_addr_q;  // row 0 of the image
  logic [AddrBits-1:0] row_addr_q;  // row y - pad
  logic [AddrBits-1:0] tap_addr_q;  // row y + dy + ky - pad
  logic [AddrBits-1:0] block_addr_q;  // b * cw

  // End of each loop: of this one and of all inside it.
  logic end_c, end_kx, end_ky, end_dy, end_b, end_y, end_i, end_g, step;
  logic [1:0] taps;
  logic [AddrBits-1:0] pad_row, two_rows, cw, here;
  logic signed [17:0] input_row;
  logic row_out;

  assign taps     = kernel3_i ? 2'd2 : 2'd0;
  assign cw       = cw_i[AddrBits-1:0];
  assign pad_row  = pad_one_i ? row_stride_i : '0;
  assign two_rows = pool_i ? row_stride_i << 1 : row_stride_i;
  assign step     = busy_q & step_ready_i;
  assign end_c    = c_q == cw_i - 16'd1;
  assign end_kx   = end_c & (kx_q == taps);
  assign end_ky   = end_kx & (ky_q == taps);
  assign end_dy   = end_ky & (dy_q == pool_i);
  assign end_b    = end_dy & (block_q == blocks_i - 16'd1);
  assign end_y    = end_b & (row_q + (pool_i ? 16'd2 : 16'd1) == rows_i);
  assign end_i    = end_y & (image_q == images_i - 16'd1);
  assign end_g    = end_i & (group_q == groups_i - 16'd1);

  always_ff @(posedge clk_i) begin
    if (start_i && !busy_q) begin
      {group_q, image_q, row_q, block_q, c_q, index_q} <= '0;
      {dy_q, ky_q, kx_q} <= '0;
      image_addr_q <= source_base_i;
      row_addr_q   <= source_base_i - pad_row;
      tap_addr_q   <= source_base_i - pad_row;
      block_addr_q <= '0;
    end else if (step) begin
      c_q     <= end_c ? '0 : c_q + 16'd1;
      index_q <= end_ky ? '0 : index_q + 16'd1;
      if (end_c) kx_q <= end_kx ? '0 : kx_q + 2'd1;
      if (end_kx) begin
        ky_q       <= end_ky ? '0 : ky_q + 2'd1;
        tap_addr_q <= tap_addr_q + row_stride_i;
      end
      if (end_ky) begin
        dy_q       <= ~end_dy & pool_i;
        tap_addr_q <= end_dy ? row_addr_q : row_addr_q + row_stride_i;
      end
      if (end_dy) begin
        block_q      <= end_b ? '0 : block_q + 16'd1;
        block_addr_q <= end_b ? '0 : block_addr_q + cw;
      end
      if (end_b) begin
        row_q      <= end_y ? '0 : row_q + (pool_i ? 16'd2 : 16'd1);
        row_addr_q <= row_addr_q + two_rows;
        tap_addr_q <= row_addr_q + two_rows;
      end
      if (end_y) begin
        image_q      <= end_i ? '0 : image_q + 16'd1;
        image_addr_q <= end_i ? source_base_i : image_addr_q + image_stride_i;
        row_addr_q   <= (end_i ? source_base_i : image_addr_q + image_stride_i) - pad_row;
        tap_addr_q   <= (end_i ? source_base_i : image_addr_q + image_stride_i) - pad_row;
      end
      if (end_i) group_q <= group_q + 16'd1;
    end
    if (rst_i) begin
      busy_q <= 1'b0;
      done_q <= 1'b0;
    end else begin
      busy_q <= busy_q ? ~(step & end_g) : start_i;
      done_q <= step & end_g;
    end
  end

  assign shift_o = signed'({1'b0, kx_q}) - signed'({2'b00, pad_one_i});
  assign here = tap_addr_q + block_addr_q + c_q[AddrBits-1:0];
  assign input_row = 18'(row_q) + 18'(dy_q) + 18'(ky_q) - 18'(pad_one_i);
  assign row_out = (input_row < 0) | (input_row >= 18'(height_i));

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    logic signed [20:0] column;
    logic next, previous;

    assign column = 21'(block_q) * 21'(Lanes) + 21'(l) + 21'(kx_q) - 21'(pad_one_i);
    assign pad_o[l] = ~dense_i & (row_out | (column < 0) | (column >= 21'(width_i)));

    assign next = shift_o > 3'(l) && l < 2;
    assign previous = shift_o < 0 && l == Lanes - 1;
    assign read_addr_o[l*AddrBits+:AddrBits] = here + (next ? cw : '0) - (previous ? cw : '0);
  end

  always_comb begin
    pad_word_o = '0;
    if (pad_plus_i) begin
      for (int unsigned i = 0; i < Simd; i++) begin
        pad_word_o[i] = ~end_c | (i < 32'(valid_bits_i));
      end
    end
  end

  assign busy_o         = busy_q;
  assign done_o         = done_q;
  assign step_valid_o   = busy_q;
  assign weight_index_o = index_q;
  assign first_o        = index_q == '0;
  assign last_o         = end_ky;
  assign second_o       = dy_q;
  assign group_first_o  = first_o & ~dy_q & (block_q == '0) & (row_q == '0) & (image_q == '0);
  assign group_last_o   = end_i;
  assign group_o        = group_q;
  assign image_o        = image_q;
  assign row_o          = row_q;
  assign block_o        = block_q;
endmodule
