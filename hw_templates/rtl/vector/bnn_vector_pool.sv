// Values of two lanes of the vector unit: maximum over a pool, and the queue of what is left.
//
//   pairs_i:   even = maximum of both (with pool_i), or the even one (a stride): the odd one is dropped
//   pool_i:    the maximum of what comes with one addr_i from first_i on
//
// valid_i goes with the values, which are signed unless unsigned_i; with last_i what is left of them is kept at
// place_i. The configuration (pool_i, pairs_i, unsigned_i) is constant while values are on their way.
//
// Latency: values are read at read_addr_i from 4 cycles after valid_i on; even_o and odd_o 2 cycles after
// read_addr_i. Values of one addr_i come at least 4 cycles apart.
(* keep_hierarchy = "yes" *)
module bnn_vector_pool (
    input  logic       clk_i,
    // Configuration
    input  logic       pool_i,
    input  logic       pairs_i,
    input  logic       unsigned_i,
    // Values
    input  logic       valid_i,
    input  logic       first_i,
    input  logic       last_i,
    input  logic [4:0] addr_i,
    input  logic [5:0] place_i,
    input  logic [7:0] even_i,
    input  logic [7:0] odd_i,
    // What is left
    input  logic [5:0] read_addr_i,
    output logic [7:0] even_o,
    output logic [7:0] odd_o
);
  /* verilator no_inline_module */
  logic both_q, unsigned_q;  // both lanes at one place
  logic [1:0] valid_q, last_q;
  logic first_q, first_d_q, vertical_q;
  logic [4:0] addr_q, addr_d_q, addr_dd_q;
  logic [5:0] place_q, place_d_q, place_dd_q, read_addr_q;
  logic keep_q, note_q;
  logic odd_more, pair_odd_q;

  // How numbers compare: two's complement with its sign inverted
  function automatic logic [7:0] ordered(input logic [7:0] value, input logic is_unsigned);
    return {value[7] ^ ~is_unsigned, value[6:0]};
  endfunction

  assign odd_more = ordered(odd_i, unsigned_q) > ordered(even_i, unsigned_q);

  always_ff @(posedge clk_i) begin
    both_q     <= pool_i & pairs_i;
    vertical_q <= pool_i;
    unsigned_q <= unsigned_i;
    pair_odd_q <= odd_more & both_q;
    valid_q    <= {valid_q[0], valid_i};
    last_q     <= {last_q[0], last_i};
    first_q    <= first_i;
    first_d_q  <= first_q | ~vertical_q;
    addr_q     <= addr_i;
    addr_d_q   <= addr_q;
    addr_dd_q  <= addr_d_q;
    place_q    <= place_i;
    place_d_q  <= place_q;
    place_dd_q <= place_d_q;
    keep_q     <= valid_q[1] & last_q[1];
    note_q     <= valid_q[1] & ~last_q[1];
    read_addr_q <= read_addr_i;
  end

  for (genvar i = 0; i < 2; i++) begin : gen_lane
    (* ram_style = "distributed" *) logic [7:0] upper_mem[32];
    (* ram_style = "distributed" *) logic [7:0] mem[64];
    logic [7:0] own_q, other_q, value_q, upper_q, most_q, read_q;
    logic upper_more;

    assign upper_more = ~first_d_q & (ordered(upper_q, unsigned_q) > ordered(value_q, unsigned_q));

    always_ff @(posedge clk_i) begin
      own_q   <= (i == 0) ? even_i : odd_i;
      other_q <= odd_i;
      value_q <= (i == 0 && pair_odd_q) ? other_q : own_q;
      upper_q <= upper_mem[addr_q];
      most_q  <= upper_more ? upper_q : value_q;
      if (note_q) upper_mem[addr_dd_q] <= most_q;
      if (keep_q) mem[place_dd_q] <= most_q;
      read_q <= mem[read_addr_q];
    end

    if (i == 0) begin : gen_even
      assign even_o = read_q;
    end else begin : gen_odd
      assign odd_o = read_q;
    end
  end

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking

  logic [2:0] before_q;  // ones: cycles since a value
  logic [2:0][4:0] addr_before_q;

  always_ff @(posedge clk_i) begin
    before_q      <= {before_q[1:0], valid_i};
    addr_before_q <= {addr_before_q[1:0], addr_i};
  end

  values_apart: assert property (valid_i |-> !(before_q[0] && addr_before_q[0] == addr_i)
      && !(before_q[1] && addr_before_q[1] == addr_i) && !(before_q[2] && addr_before_q[2] == addr_i))
      else $error("values of addr_i = %0d less than four cycles apart", addr_i);
`endif
endmodule
