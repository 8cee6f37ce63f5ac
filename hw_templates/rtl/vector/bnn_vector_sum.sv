// One product a cycle added to a sum, with an offset: two DSP48E1, one above the other.
//
//   op_i, as OPMODE:  Load   total = offset_i + a                            a = 2 * coefficient_i * acc_i
//                     Add    total += a
//                     Plus   total += offset_i, with minus_i -=
//                     Link   total = link_i
//   total_o = total,  shifted_o = far_i ? total >> 17 : total
//
// op_i is done with valid_i, else the total stays. A total is twice the sum, and the offset counts twice too: far_i
// drops 16 bits of the sum. link_o is shifted_o, on the wires between neighbours: linked units take each other's
// totals, every second cycle at most.
//
// Latency: total_o 3 cycles from acc_i and coefficient_i, 2 from the rest, which comes a cycle later; shifted_o one
// more. far_i is constant while totals are on their way. Data only, no reset.
//
// No tool infers all of this, so that cells are named for synthesis; a bench holds their model against the lines that
// stand for them in simulation.
(* keep_hierarchy = "yes" *)
module bnn_vector_sum (
    input  logic               clk_i,
    input  logic               far_i,
    // Product
    input  logic signed [24:0] coefficient_i,
    input  logic signed [16:0] acc_i,
    // A cycle later
    input  logic               valid_i,
    input  logic        [ 6:0] op_i,
    input  logic               minus_i,
    input  logic signed [31:0] offset_i,
    // Neighbours
    input  logic        [47:0] link_i,
    output logic        [47:0] link_o,
    output logic signed [47:0] total_o,
    output logic signed [47:0] shifted_o
);
  /* verilator no_inline_module */
  logic valid_q;

  always_ff @(posedge clk_i) valid_q <= valid_i;

`ifdef SYNTHESIS
  logic [47:0] link;

  bnn_dsp #(
      .MReg(1'b1),
      .Mult("MULTIPLY")
  ) u_total (
      .clk_i,
      .a_i     ({{5{coefficient_i[24]}}, coefficient_i}),
      .b_i     ({acc_i, 1'b0}),
      .c_i     ({{15{offset_i[31]}}, offset_i, 1'b0}),
      .link_i,
      .op_i,
      .alu_i   ({2'b00, minus_i, minus_i}),  // 0011: Z less the others
      .rst_ab_i(1'b0),
      .take_c_i(1'b1),
      .take_p_i(valid_q),
      .p_o     (total_o),
      .link_o  (link)
  );

  bnn_dsp u_shifted (
      .clk_i,
      .a_i     ('1),
      .b_i     ('1),
      .c_i     ('1),
      .link_i  (link),
      .op_i    ({far_i, 6'b010000}),  // Z is PCIN, or PCIN >> 17
      .alu_i   ('0),
      .rst_ab_i(1'b0),
      .take_c_i(1'b1),
      .take_p_i(1'b1),
      .p_o     (shifted_o),
      .link_o
  );
`else
  logic signed [24:0] coefficient_q;
  logic signed [17:0] acc_q;
  logic signed [42:0] product_q;
  logic signed [47:0] offset_q, total_q, shifted_q, z, y;
  logic [6:0] op_q;
  logic minus_q, far_q;

  always_comb begin
    unique case (op_q[6:4])
      3'b011:  z = offset_q;
      3'b010:  z = total_q;
      default: z = signed'(link_i);
    endcase
    unique case (op_q[3:0])
      4'b0101: y = 48'(product_q);
      4'b1100: y = offset_q;
      default: y = '0;
    endcase
  end

  always_ff @(posedge clk_i) begin
    coefficient_q <= coefficient_i;
    acc_q         <= {acc_i, 1'b0};
    product_q     <= coefficient_q * acc_q;
    offset_q      <= 48'(signed'({offset_i, 1'b0}));
    op_q          <= op_i;
    minus_q       <= minus_i;
    far_q         <= far_i;
    if (valid_q) total_q <= minus_q ? z - y : z + y;
    shifted_q <= far_q ? total_q >>> 17 : total_q;
  end

  assign total_o   = total_q;
  assign shifted_o = shifted_q;
  assign link_o    = shifted_q;
`endif
endmodule
