// One channel a cycle of one lane of the vector unit: sums times coefficients, offset, shift, shortcut, saturation.
//
//   u = sum of coefficient_i * acc, and an offset, as op_i says (bnn_vector_sum)      average_i: acc is pixel_i, signed
//   y = (u >> shift) + byte_i;  v = y, at least low, at most high, in v_o with the sign inverted where there is one
//
// low and high are -128 and 127, with unsigned_i 0 and most_i. acc is one of the sums that were handed over: the unit
// serves the PEs of two tile rows, even_i and odd_i, which write_i takes to write_addr_i, and which are read at
// read_addr_i of odd_sel_i. shift is 16*far_i + 4*n, factor_i[3 - n] set, with far_i factor_i[7 - n]. The configuration
// (average_i, far_i, factor_i, unsigned_i, most_i) is constant while values are on their way. score_o has the low bits
// of u, or by link_i those of a neighbour.
//
// Latency, from read_addr_i: pixel_i 1 cycle later, coefficient_i, valid_i, op_i, minus_i and offset_i 2, score_o 5,
// byte_i 7, v_o 11. write_i and its address come a cycle before the sums. Data only, no reset.
(* keep_hierarchy = "yes" *)
module bnn_vector_unit (
    input  logic               clk_i,
    // Configuration
    input  logic               average_i,
    input  logic               far_i,
    input  logic        [ 7:0] factor_i,
    input  logic               unsigned_i,
    input  logic        [ 7:0] most_i,
    // Sums
    input  logic               write_i,
    input  logic        [ 5:0] write_addr_i,
    input  logic        [15:0] even_i,
    input  logic        [15:0] odd_i,
    input  logic        [ 5:0] read_addr_i,
    input  logic               odd_sel_i,
    input  logic signed [ 7:0] pixel_i,
    // What becomes of a sum
    input  logic signed [24:0] coefficient_i,
    input  logic               valid_i,
    input  logic        [ 6:0] op_i,
    input  logic               minus_i,
    input  logic signed [31:0] offset_i,
    input  logic        [47:0] link_i,
    output logic        [47:0] link_o,
    output logic        [31:0] score_o,
    // Value
    input  logic signed [ 7:0] byte_i,
    output logic        [ 7:0] v_o
);
  /* verilator no_inline_module */
  logic average_q, far_q, unsigned_q;
  logic [7:0] most_q;

  always_ff @(posedge clk_i) begin
    average_q  <= average_i;
    far_q      <= far_i;
    unsigned_q <= unsigned_i;
    most_q     <= most_i;
  end

  // ---- Sums that were handed over ----------------------------------------------------------------

  (* ram_style = "distributed" *) logic [31:0] mem[64];
  logic write_q, odd_sel_q;
  logic [5:0] write_addr_q, read_addr_q;
  logic [31:0] read;
  logic signed [16:0] acc_q;

  assign read = mem[read_addr_q];

  always_ff @(posedge clk_i) begin
    write_q      <= write_i;
    write_addr_q <= write_addr_i;
    read_addr_q  <= read_addr_i;
    odd_sel_q    <= odd_sel_i;
    if (write_q) mem[write_addr_q] <= {odd_i, even_i};
    acc_q <= average_q ? 17'(pixel_i) : {1'b0, odd_sel_q ? read[31:16] : read[15:0]};
  end

  // ---- u, twice ------------------------------------------------------------------------------------

  logic valid_q, minus_q;
  logic [6:0] op_q;
  logic signed [31:0] offset_q;
  logic signed [47:0] total, shifted;

  always_ff @(posedge clk_i) begin
    valid_q  <= valid_i;
    op_q     <= op_i;
    minus_q  <= minus_i;
    offset_q <= offset_i;
  end

  bnn_vector_sum u_sum (
      .clk_i,
      .far_i    (far_q),
      .coefficient_i,
      .acc_i    (acc_q),
      .valid_i  (valid_q),
      .op_i     (op_q),
      .minus_i  (minus_q),
      .offset_i (offset_q),
      .link_i,
      .link_o,
      .total_o  (total),
      .shifted_o(shifted)
  );

  assign score_o = total[32:1];

  // ---- Shift and shortcut: a DSP48E1 ---------------------------------------------------------------

  // Near, the multiplier has the low bits of u and y stands 12 bits up, once more as u is there twice; far, it has all
  // that is left of u.
  localparam int unsigned Window = 25, Place = 13;

  logic signed [Window-1:0] window_q;
  logic signed [14:0] factor_q;
  logic signed [39:0] product_q, y_q;
  logic signed [7:0] byte_q;

  always_ff @(posedge clk_i) begin
    window_q  <= shifted[Window-1:0];
    factor_q  <= {1'b0, factor_i[7], factor_i[3], 2'b00, factor_i[6], factor_i[2], 2'b00,
                  factor_i[5], factor_i[1], 2'b00, factor_i[4], factor_i[0]};
    product_q <= window_q * factor_q;
    byte_q    <= byte_i;
    y_q       <= product_q + (40'(byte_q) <<< Place);
  end

  // ---- Saturation ------------------------------------------------------------------------------------

  // u fits 41 bits: which of those above the window's are not its sign
  logic [17:0] high;
  logic [3:0] wide_q;
  logic negative_q, over_q, over_d_q, under_q, under_d_q;
  // What remains of it, and bits beyond those of a value
  logic signed [25:0] y;
  logic [3:0] beyond_q;
  logic [2:0] past_q;
  logic y_negative_q, saturate;
  logic [7:0] low_q, past, v_q;

  assign high = shifted[Window+16:Window-1];
  assign y = y_q[Place+25:Place];
  assign past = y[7:0] & ~most_q;
  assign saturate = (|beyond_q) | (unsigned_q ? y_negative_q | (|past_q) : y_negative_q != (|past_q));

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < 3; i++) wide_q[i] <= high[5*i+:5] != {5{high[17]}};
    wide_q[3]    <= high[16:15] != {2{high[17]}};
    negative_q   <= high[17];
    over_q       <= (|wide_q) & ~negative_q;
    under_q      <= (|wide_q) & negative_q;
    over_d_q     <= over_q;
    under_d_q    <= under_q;
    for (int unsigned i = 0; i < 3; i++) beyond_q[i] <= y[8+5*i+:5] != {5{y[25]}};
    beyond_q[3]  <= y[24:23] != {2{y[25]}} || over_d_q || under_d_q;
    y_negative_q <= (y[25] | under_d_q) & ~over_d_q;
    past_q       <= {|past[7:6], |past[5:3], |past[2:0]};
    low_q        <= y[7:0];
    v_q          <= (!saturate ? low_q : y_negative_q ? {~unsigned_q, 7'd0} : most_q) ^ {~unsigned_q, 7'd0};
  end

  assign v_o = v_q;

  logic unused_unit;
  assign unused_unit = ^{total, shifted[47:Window+17], y_q[39], y_q[Place-1:0]};
endmodule
