// Results of one lane of the vector unit: bits of its values, and what is written of them.
//
//   v = own_i, with half_i pair_i, with serial_i pick_i;  bit = (v >= limit) ^ flip, with bit_planes_i bit bit_i of v
//
// limit_i of unit u: the limit, signed, in [u*11 +: 10], the flip above it. v is signed unless unsigned_i, and comes
// with its sign inverted. data_o has the bytes of the Pe / 8 units for a write with value_i, else the bits of the last
// eight values of each, the first in the lowest place.
//
// Latency: own_i and pair_i come a cycle before pick_i; limit_i and bit_i with it; data_o, with value_i,
// is that of the values whose pick_i was 3 cycles before it, and bits up to one cycle before them. Data only, no
// reset.
(* keep_hierarchy = "yes" *)
module bnn_vector_lane #(
    parameter int unsigned Units = 1
) (
    input  logic                clk_i,
    // Configuration
    input  logic                half_i,
    input  logic                serial_i,
    input  logic                bit_planes_i,
    input  logic                unsigned_i,
    // Values
    input  logic [Units*8-1:0]  own_i,
    input  logic [Units*8-1:0]  pair_i,
    input  logic [Units*8-1:0]  pick_i,
    input  logic [Units*11-1:0] limit_i,
    input  logic [2:0]          bit_i,
    input  logic                take_i,  // with the values' bit: it goes to the others
    input  logic                value_i,
    output logic [Units*8-1:0]  data_o
);
  /* verilator no_inline_module */
  logic half_q, serial_q, bit_planes_q, unsigned_q, take_q, value_q;
  logic [2:0] bit_q;

  always_ff @(posedge clk_i) begin
    half_q       <= half_i;
    serial_q     <= serial_i;
    bit_planes_q <= bit_planes_i;
    unsigned_q   <= unsigned_i;
    bit_q        <= bit_i;
    take_q       <= take_i;
    value_q      <= value_i;
  end

  for (genvar u = 0; u < Units; u++) begin : gen_unit
    logic [7:0] own_q, pair_q, v_q, v_d_q, v_dd_q, bits_q;
    logic signed [9:0] limit_q;
    logic flip_q, hit_q, plane;

    bnn_mux #(
        .Words(8),
        .Bits (1)
    ) u_mux (
        .select_i(bit_q),
        .word_i  (v_q),
        .data_o  (plane)
    );

    always_ff @(posedge clk_i) begin
      own_q   <= own_i[8*u+:8];
      pair_q  <= pair_i[8*u+:8];
      v_q     <= (serial_q ? pick_i[8*u+:8] : half_q ? pair_q : own_q) ^ {~unsigned_q, 7'd0};
      {flip_q, limit_q} <= limit_i[11*u+:11];
      hit_q   <= bit_planes_q ? plane : (10'(signed'({~unsigned_q & v_q[7], v_q})) >= limit_q) ^ flip_q;
      v_d_q   <= v_q;
      v_dd_q  <= v_d_q;
      if (take_q) bits_q <= {hit_q, bits_q[7:1]};
    end

    assign data_o[8*u+:8] = value_q ? v_dd_q : bits_q;
  end
endmodule
