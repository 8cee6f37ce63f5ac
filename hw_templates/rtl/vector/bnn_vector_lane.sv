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

  // Whether a is greater than b, as gates for no carry chain
  function automatic logic more(input logic [3:0] a, input logic [3:0] b);
    more = 1'b0;
    for (int unsigned i = 0; i < 4; i++) more = (a[i] & ~b[i]) | ((a[i] ~^ b[i]) & more);
  endfunction

  for (genvar u = 0; u < Units; u++) begin : gen_unit
    logic [7:0] own_q, pair_q, v_q, v_d_q, v_dd_q, bits_q, v;
    logic [9:0] limit_q;  // without a sign, as number
    logic [9:0] number;
    logic minus_q;  // v is less than 0
    logic flip_q, flip_d_q, hit, plane;
    // v and the limit, three parts of them: hit in any case; if the others are; parts that are greater, or equal
    logic sure_q, maybe_q, middle_more_q, middle_same_q, low_most_q;

    bnn_mux #(
        .Words(8),
        .Bits (1)
    ) u_mux (
        .select_i(bit_q),
        .word_i  (v_q),
        .data_o  (plane)
    );

    assign v = serial_q ? pick_i[8*u+:8] : half_q ? pair_q : own_q;
    assign number = {~minus_q, minus_q, v_q};
    assign hit = (sure_q | (maybe_q & (middle_more_q | (middle_same_q & low_most_q)))) ^ flip_d_q;

    always_ff @(posedge clk_i) begin
      own_q   <= own_i[8*u+:8];
      pair_q  <= pair_i[8*u+:8];
      v_q     <= v ^ {~unsigned_q, 7'd0};
      minus_q <= ~unsigned_q & ~v[7];
      flip_q  <= limit_i[11*u+10];
      limit_q <= limit_i[11*u+:10] ^ 10'h200;
      sure_q  <= bit_planes_q ? plane : more(number[9:6], limit_q[9:6]);
      maybe_q <= ~bit_planes_q & number[9:6] == limit_q[9:6];
      middle_more_q <= more({1'b0, number[5:3]}, {1'b0, limit_q[5:3]});
      middle_same_q <= number[5:3] == limit_q[5:3];
      low_most_q <= ~more({1'b0, limit_q[2:0]}, {1'b0, number[2:0]});
      flip_d_q <= ~bit_planes_q & flip_q;
      v_d_q   <= v_q;
      v_dd_q  <= v_d_q;
      if (take_q) bits_q <= {hit, bits_q[7:1]};
    end

    assign data_o[8*u+:8] = value_q ? v_dd_q : bits_q;
  end
endmodule
