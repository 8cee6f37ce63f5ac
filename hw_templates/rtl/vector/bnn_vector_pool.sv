// Values of two lanes of the vector unit: maximum over a pool, and the queue of what is left.
//
//   pairs_i:   even = maximum of both (with pool_i), or the even one (a stride): the odd one is dropped
//   pool_i:    the maximum of what comes with one addr_i from first_i on
//
// valid_i goes with the values of Units units, which compare as unsigned numbers; with last_i what is left of them is
// kept at place_i. The configuration (pool_i, pairs_i) is constant while values are on their way.
//
// Latency: values are read at read_addr_i from 5 cycles after valid_i on; even_o and odd_o 2 cycles after
// read_addr_i. Values of one addr_i come at least 4 cycles apart.
(* keep_hierarchy = "yes" *)
module bnn_vector_pool #(
    parameter int unsigned Units = 2
) (
    input  logic               clk_i,
    // Configuration
    input  logic               pool_i,
    input  logic               pairs_i,
    // Values
    input  logic               valid_i,
    input  logic               first_i,
    input  logic               last_i,
    input  logic [4:0]         addr_i,
    input  logic [5:0]         place_i,
    input  logic [Units*8-1:0] even_i,
    input  logic [Units*8-1:0] odd_i,
    // What is left
    input  logic [5:0]         read_addr_i,
    output logic [Units*8-1:0] even_o,
    output logic [Units*8-1:0] odd_o
);
  /* verilator no_inline_module */
  // A pair of each unit, then the upper ones: so many at once
  localparam int unsigned Compares = 3 * Units, AtOnce = 4;

  logic both_q, vertical_q;  // both lanes at one place
  logic [2:0] valid_q, last_q;
  logic [1:0] first_q;
  logic first_d_q, keep_q, note_q;
  logic [3:0][4:0] addr_q;
  logic [3:0][5:0] place_q;
  logic [5:0] read_addr_q;
  logic [2*Units*8-1:0] most, upper_q, read_q;

  (* ram_style = "distributed" *) logic [2*Units*8-1:0] upper_mem[32];
  (* ram_style = "distributed" *) logic [2*Units*8-1:0] mem[64];

  always_ff @(posedge clk_i) begin
    both_q      <= pool_i & pairs_i;
    vertical_q  <= pool_i;
    valid_q     <= {valid_q[1:0], valid_i};
    last_q      <= {last_q[1:0], last_i};
    first_q     <= {first_q[0], first_i};
    first_d_q   <= first_q[1] | ~vertical_q;
    addr_q      <= {addr_q[2:0], addr_i};
    place_q     <= {place_q[2:0], place_i};
    keep_q      <= valid_q[2] & last_q[2];
    note_q      <= valid_q[2] & ~last_q[2];
    read_addr_q <= read_addr_i;
    upper_q     <= upper_mem[addr_q[0]];
    read_q      <= mem[read_addr_q];
    if (note_q) upper_mem[addr_q[3]] <= most;
    if (keep_q) mem[place_q[3]] <= most;
  end

  logic [Compares-1:0][7:0] one, other;
  logic [Compares-1:0] less;

  for (genvar n = 0; n < Compares; n += AtOnce) begin : gen_less
    localparam int unsigned Words = (Compares - n > AtOnce) ? AtOnce : Compares - n;

    bnn_vector_less #(
        .Words(Words)
    ) u_less (
        .clk_i,
        .a_i   (one[n+:Words]),
        .b_i   (other[n+:Words]),
        .less_o(less[n+:Words])
    );
  end

  for (genvar u = 0; u < Units; u++) begin : gen_unit
    logic odd_more;

    assign one[u] = even_i[8*u+:8];
    assign other[u] = odd_i[8*u+:8];
    assign odd_more = less[u];

    for (genvar i = 0; i < 2; i++) begin : gen_lane
      logic [7:0] own_q, other_q, value_q, value_d_q, upper_d_q, most_q;
      logic upper_more;

      assign one[(i+1)*Units+u] = value_q;
      assign other[(i+1)*Units+u] = upper_q[(i*Units+u)*8+:8];
      assign upper_more = less[(i+1)*Units+u];

      always_ff @(posedge clk_i) begin
        own_q        <= (i == 0) ? even_i[8*u+:8] : odd_i[8*u+:8];
        other_q      <= odd_i[8*u+:8];
        value_q      <= (i == 0 && odd_more && both_q) ? other_q : own_q;
        value_d_q    <= value_q;
        upper_d_q    <= upper_q[(i*Units+u)*8+:8];
        most_q       <= (upper_more & ~first_d_q) ? upper_d_q : value_d_q;
      end

      assign most[(i*Units+u)*8+:8] = most_q;
    end
  end

  assign {odd_o, even_o} = read_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking

  logic apart;

  always_comb begin
    apart = 1'b1;
    for (int unsigned i = 0; i < 3; i++) apart &= ~(valid_q[i] && addr_q[i] == addr_i);
  end

  values_apart: assert property (valid_i |-> apart)
      else $error("values of addr_i = %0d less than four cycles apart", addr_i);
`endif
endmodule
