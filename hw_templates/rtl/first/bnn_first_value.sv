// Values of every so many channels of the first layer: sums times scales, offset, shift, saturation.
//
//   byte_o = (sum * scale + offset) >> 4*shift_i, at least low, at most high_i           low: -128, with unsigned_i 0
//
// sums_i[t] has the sum of turn t, and on top of it the bit that goes with the byte. The turns follow soon_i, one a cycle,
// with group_i and sums_i constant. Beat 4*group + t of this unit has scale and offset: write_data_i comes a cycle after
// write_i. The configuration is constant while values are on their way.
//
// Latency: 11 cycles from soon_i to the first byte. Data only, no reset.
(* keep_hierarchy = "yes" *)
module bnn_first_value
  import bnn_pkg::*;
#(
    parameter int unsigned Depth = 64,
    localparam int unsigned AddrBits = $clog2(Depth)
) (
    input  logic                clk_i,
    // Channels of the program
    input  logic                write_i,
    input  logic [AddrBits-1:0] write_addr_i,
    input  logic [63:0]         write_data_i,
    // Configuration
    input  logic [2:0]          shift_i,
    input  logic                unsigned_i,
    input  logic [7:0]          high_i,
    // Sums
    input  logic                soon_i,
    input  logic [AddrBits-3:0] group_i,
    input  logic [3:0][14:0]    sums_i,
    // Values
    output logic [7:0]          byte_o,
    output logic                bit_o
);
  /* verilator no_inline_module */
  (* ram_style = "block" *) logic [$bits(first_value_t)-1:0] mem[Depth];
  logic write_q;
  logic [AddrBits-1:0] write_addr_q;
  logic [1:0] turn_q;

  always_ff @(posedge clk_i) begin
    write_q      <= write_i;
    write_addr_q <= write_addr_i;
    if (write_q) mem[write_addr_q] <= write_data_i;
    turn_q <= soon_i ? '0 : turn_q + 2'd1;
  end

  // ---- Product and offset: registers of a DSP48E1 --------------------------------------------------

  first_value_t beat_q;
  logic signed [13:0] sum_q, sum_d_q;
  logic [15:0] scale_q;
  logic signed [31:0] offset_q, offset_d_q;
  logic signed [32:0] product_q, total_q;

  always_ff @(posedge clk_i) begin
    beat_q     <= mem[{group_i, turn_q}];
    sum_q      <= sums_i[turn_q][13:0];
    sum_d_q    <= sum_q;
    scale_q    <= beat_q.scale;
    offset_q   <= beat_q.offset;
    offset_d_q <= offset_q;
    product_q  <= sum_d_q * signed'({1'b0, scale_q});
    total_q    <= product_q + 33'(offset_d_q);
  end

  // ---- Shift: by 16 or not, saturating where more is left than any shift makes a value of ----------

  logic [2:0] shift_q;
  logic fits_q;  // 21 bits hold what is not shifted by 16
  logic signed [32:0] total_d_q;
  logic signed [20:0] by16_q;
  logic signed [13:0] factor_q;
  logic signed [32:0] shifted_q, by_all_q;  // registers of a DSP48E1
  logic signed [20:0] y;

  always_ff @(posedge clk_i) begin
    shift_q   <= shift_i;
    fits_q    <= total_q[32:20] == {13{total_q[32]}};
    total_d_q <= total_q;
    by16_q    <= shift_q[2] ? 21'(signed'(total_d_q[32:16])) : fits_q ? total_d_q[20:0]
        : {total_d_q[32], {20{~total_d_q[32]}}};
    // The rest of the shift: to the left by as much less, and twelve bits dropped
    factor_q  <= 14'sd1 << (4 * (3 - 32'(shift_q[1:0])));
    shifted_q <= by16_q * factor_q;
    by_all_q  <= shifted_q;
  end

  assign y = by_all_q[32:12];

  // ---- Saturation ----------------------------------------------------------------------------------

  logic unsigned_q, over_q, under_q;
  logic [7:0] high_q, y_q, byte_q;
  logic [9:0] bit_q;

  always_ff @(posedge clk_i) begin
    unsigned_q <= unsigned_i;
    high_q     <= high_i;
    over_q     <= ~y[20] & (|(y[19:0] & {12'hFFF, ~high_q}));
    under_q    <= y[20] & (unsigned_q | ~(&y[19:7]));
    y_q        <= y[7:0];
    byte_q     <= over_q ? high_q : under_q ? {~unsigned_q, 7'd0} : y_q;
    bit_q      <= {bit_q[8:0], sums_i[turn_q][14]};
  end

  logic unused_value;
  assign unused_value = ^{beat_q, by_all_q[11:0]};

  assign byte_o = byte_q;
  assign bit_o  = bit_q[9];
endmodule
