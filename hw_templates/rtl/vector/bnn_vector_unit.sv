// One channel a cycle of one lane of the vector unit: sums times coefficients, offset, shift, shortcut, saturation.
//
//   u = sum over the hand-overs from first_i to last_i of coefficient_i * acc          average_i: acc is byte_i, signed
//   y = ((u + offset_i) >> 4*shift_i) + byte_i, with shortcut_i;  v = y, at least low, at most high
//
// low and high are -128 and 127, with unsigned_i 0 and most_i. acc is one of the sums that were handed over: the unit
// serves the PEs of two tile rows, even_i and odd_i, which write_i takes to write_addr_i, and which are read at
// read_addr_i of odd_sel_i. The configuration (average_i, shortcut_i, shift_i, unsigned_i, most_i) is constant while
// values are on their way.
//
// Latency, from read_addr_i: byte_i of an average comes with it, coefficient_i, first_i, last_i and valid_i 2 cycles
// later; u is complete 5 after the last one. From there: offset_i, score_o 2 later, byte_i of a shortcut 5, v_o 9.
// write_i and its address come a cycle before the sums. u holds until the next last_i.
(* keep_hierarchy = "yes" *)
module bnn_vector_unit (
    input  logic               clk_i,
    // Configuration
    input  logic               average_i,
    input  logic               shortcut_i,
    input  logic [2:0]         shift_i,
    input  logic               unsigned_i,
    input  logic [7:0]         most_i,
    // Sums
    input  logic               write_i,
    input  logic [5:0]         write_addr_i,
    input  logic [15:0]        even_i,
    input  logic [15:0]        odd_i,
    input  logic [5:0]         read_addr_i,
    input  logic               odd_sel_i,
    // Products
    input  logic signed [24:0] coefficient_i,
    input  logic               valid_i,
    input  logic               first_i,
    input  logic               last_i,
    input  logic signed [31:0] offset_i,
    input  logic signed [7:0]  byte_i,
    output logic [31:0]        score_o,
    output logic [7:0]         v_o
);
  /* verilator no_inline_module */
  localparam int unsigned Bits = 41;  // of u + offset

  logic average_q, shortcut_q, unsigned_q;
  logic [2:0] shift_q;
  logic [7:0] most_q;

  always_ff @(posedge clk_i) begin
    average_q  <= average_i;
    shortcut_q <= shortcut_i;
    shift_q    <= shift_i;
    unsigned_q <= unsigned_i;
    most_q     <= most_i;
  end

  // ---- Sums that were handed over ----------------------------------------------------------------

  (* ram_style = "distributed" *) logic [15:0] even_mem[64];
  (* ram_style = "distributed" *) logic [15:0] odd_mem[64];
  logic write_q, odd_sel_q;
  logic [5:0] write_addr_q, read_addr_q;
  logic signed [7:0] byte_q;
  logic signed [16:0] acc_q, acc_d_q;

  always_ff @(posedge clk_i) begin
    write_q      <= write_i;
    write_addr_q <= write_addr_i;
    read_addr_q  <= read_addr_i;
    odd_sel_q    <= odd_sel_i;
    byte_q       <= byte_i;
    if (write_q) begin
      even_mem[write_addr_q] <= even_i;
      odd_mem[write_addr_q]  <= odd_i;
    end
    acc_q <= average_q ? 17'(byte_q) : {1'b0, odd_sel_q ? odd_mem[read_addr_q] : even_mem[read_addr_q]};
  end

  // ---- Products and their sum: registers of a DSP48E1 ----------------------------------------------

  logic signed [24:0] coefficient_q;
  logic signed [40:0] product_q;
  logic signed [Bits-1:0] sum_q, u_q;
  logic [1:0] valid_q, first_q;
  logic [2:0] last_q;

  always_ff @(posedge clk_i) begin
    acc_d_q       <= acc_q;
    coefficient_q <= coefficient_i;
    valid_q       <= {valid_q[0], valid_i};
    first_q       <= {first_q[0], first_i};
    last_q        <= {last_q[1:0], last_i};
    product_q     <= coefficient_q * acc_d_q;
    if (valid_q[1]) sum_q <= (first_q[1] ? '0 : sum_q) + Bits'(product_q);
    if (last_q[2]) u_q <= sum_q;
  end

  // ---- Offset and shift, saturating where bits are dropped ----------------------------------------

  // Vivado makes the sum in a DSP48E1 too; yosys leaves it to LUTs.
  (* use_dsp = "yes" *) logic signed [Bits-1:0] total_q;
  logic signed [31:0] offset_q;
  logic signed [24:0] by16_q;
  logic signed [13:0] factor_q;
  logic signed [36:0] shifted_q, by_all_q;  // registers of a DSP48E1
  logic signed [9:0] y_q;

  always_ff @(posedge clk_i) begin
    offset_q <= offset_i;
    total_q  <= u_q + Bits'(offset_q);
    by16_q   <= shift_q[2] ? total_q[40:16] : (total_q[40:24] == {17{total_q[40]}}) ? total_q[24:0]
        : {total_q[40], {24{~total_q[40]}}};
    // The rest of the shift: to the left by as much less, and twelve bits dropped
    factor_q  <= 14'sd1 << (4 * (3 - 32'(shift_q[1:0])));
    shifted_q <= by16_q * factor_q;
    by_all_q  <= shifted_q;
    y_q       <= (by_all_q[36:21] == {16{by_all_q[36]}}) ? by_all_q[21:12] : {by_all_q[36], {9{~by_all_q[36]}}};
  end

  // ---- Shortcut and saturation ---------------------------------------------------------------------

  logic signed [10:0] t_q;
  logic [7:0] t_d_q;
  logic over_q, under_q;
  logic [7:0] v_q;

  always_ff @(posedge clk_i) begin
    t_q     <= 11'(y_q) + (shortcut_q ? 11'(byte_q) : 11'sd0);
    t_d_q   <= t_q[7:0];
    over_q  <= ~t_q[10] & (|(t_q[9:0] & {2'b11, ~most_q}));
    under_q <= t_q[10] & (unsigned_q | ~(&t_q[9:7]));
    v_q     <= over_q ? most_q : under_q ? {~unsigned_q, 7'd0} : t_d_q;
  end

  logic unused_unit;
  assign unused_unit = ^by_all_q[11:0];

  assign score_o = total_q[31:0];
  assign v_o     = v_q;
endmodule
