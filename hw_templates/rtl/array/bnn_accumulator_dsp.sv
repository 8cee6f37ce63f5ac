// Two accumulators as bnn_accumulator, of the same PE in two lanes, in one DSP48E1 whose adder is two of 24 bits.
//
//   acc = sum over the words from the first on of count_i - threshold,   threshold: threshold_i at the last take_i
//
// What is added lies one bit up: C is 2 * threshold, A:B 2 * count_i. The first word comes as ~C + A:B + 1, the one in
// the lowest bit of A:B; the others are added to P. With shift_i P becomes the neighbour's, so that a row can be read
// out: that of link_i, the wires between slices of a column, or with Linked = 0 chain_i, which then comes through C.
//
// Layout: that of lane n at count_i[n*CountBits +: CountBits] and acc_o[n*SumBits +: SumBits]. Timing as that of
// bnn_accumulator, of which the registers are the DSP48E1's own: clear_i, first_i and shift_i come with the count.
//
// No tool infers this, so that the cell is named for synthesis; a bench holds its model against the lines that
// stand for it in simulation.
(* keep_hierarchy = "yes" *)
module bnn_accumulator_dsp #(
    parameter int unsigned CountBits = 7,
    parameter int unsigned SumBits = 17,
    parameter bit          Linked = 1'b1
) (
    input  logic                   clk_i,
    input  logic [2*CountBits-1:0] count_i,
    input  logic                   clear_i,  // no word
    input  logic                   first_i,
    input  logic                   shift_i,
    input  logic                   take_i,
    input  logic [SumBits-2:0]     threshold_i,
    input  logic [2*SumBits-1:0]   chain_i,
    input  logic [47:0]            link_i,
    output logic [47:0]            link_o,
    output logic [2*SumBits-1:0]   acc_o
);
  localparam int unsigned Half = 24;

  if (SumBits >= Half) begin : gen_check
    $error("bnn_accumulator_dsp: SumBits = %0d, must be less than %0d", SumBits, Half);
  end

`ifdef SYNTHESIS
  localparam int unsigned Bits = 4;  // of what comes through C, on one register

  logic [47:0] count, operand, total;

  for (genvar n = 0; n < 2; n++) begin : gen_half
    assign count[n*Half+:Half] = Half'({count_i[n*CountBits+:CountBits], first_i});
    assign acc_o[n*SumBits+:SumBits] = total[n*Half+1+:SumBits];
  end

  if (Linked) begin : gen_threshold
    logic unused_chain;

    assign operand = {Half'({threshold_i, 1'b0}), Half'({threshold_i, 1'b0})};
    assign unused_chain = ^chain_i;
  end else begin : gen_chain
    logic [SumBits-1:0] threshold_q;

    always_ff @(posedge clk_i) if (take_i) threshold_q <= {1'b0, threshold_i};

    for (genvar n = 0; n < 2; n++) begin : gen_half
      logic [SumBits-1:0] value;

      for (genvar b = 0; b < SumBits; b += Bits) begin : gen_bits
        localparam int unsigned Here = (SumBits - b < Bits) ? SumBits - b : Bits;
        logic shift;

        bnn_register u_shift (
            .clk_i,
            .data_i(shift_i),
            .data_o(shift)
        );
        assign value[b+:Here] = shift ? chain_i[n*SumBits+b+:Here] : threshold_q[b+:Here];
      end
      assign operand[n*Half+:Half] = Half'({value, 1'b0});
    end
  end

  bnn_dsp #(
      .CReg(Linked),
      .Simd("TWO24")
  ) u_total (
      .clk_i,
      .a_i     (count[47:18]),
      .b_i     (count[17:0]),
      .c_i     (operand),
      .link_i,
      // Z is P; C with first_i; PCIN with shift_i, or C
      .op_i    ({1'b0, ~(Linked & shift_i), first_i | shift_i, 4'b0011}),
      .alu_i   ({3'b000, first_i}),  // 0001: ~Z plus the others
      .rst_ab_i(clear_i),
      .take_c_i(take_i | ~Linked),
      .take_p_i(1'b1),
      .p_o     (total),
      .link_o
  );
`else
  logic [2*CountBits-1:0] count_q;
  logic [SumBits-2:0] threshold_q;
  logic [2*SumBits-1:0] acc_q;
  logic first_q, shift_q, unused_bits;

  always_ff @(posedge clk_i) begin
    count_q <= clear_i ? '0 : count_i;
    first_q <= first_i;
    shift_q <= shift_i;
    if (take_i) threshold_q <= threshold_i;
  end

  for (genvar n = 0; n < 2; n++) begin : gen_half
    logic [SumBits-1:0] neighbour, base;

    assign neighbour = Linked ? link_i[n*Half+1+:SumBits] : chain_i[n*SumBits+:SumBits];
    assign base = shift_q ? neighbour : first_q ? -{1'b0, threshold_q} : acc_q[n*SumBits+:SumBits];
    always_ff @(posedge clk_i) acc_q[n*SumBits+:SumBits] <= base + SumBits'(count_q[n*CountBits+:CountBits]);
    assign link_o[n*Half+:Half] = Half'({acc_q[n*SumBits+:SumBits], 1'b0});
  end

  assign acc_o = acc_q;
  assign unused_bits = ^{link_i, chain_i};
`endif
endmodule
