// Words in Parts parts of Bits bits each, the least significant first, one part per cycle.
//
// Row words make a row; the first Skip parts of a row's first word are of no map and are left out. The source holds a word,
// with valid_i, until ready_o says that its last part is taken. No latency.
module wired_narrow #(
    parameter int unsigned Bits = 8,
    parameter int unsigned Parts = 2,
    parameter int unsigned Row = 4,
    parameter int unsigned Skip = 0
) (
    input  logic                  clk_i,
    input  logic                  rst_ni,
    input  logic                  valid_i,
    input  logic [Parts*Bits-1:0] word_i,
    output logic                  ready_o,
    output logic                  valid_o,
    output logic [Bits-1:0]       part_o,
    input  logic                  ready_i
);
  localparam int unsigned PartBits = $clog2(Parts);
  localparam int unsigned RowBits = $clog2(Row + 1);
  logic [PartBits-1:0] part_q;
  logic [RowBits-1:0] word_q;
  logic last_part, last_word;

  if (Parts < 2 || Skip >= Parts) begin : gen_check
    $error("wired_narrow: Parts = %0d, Skip = %0d: nothing to narrow, or to give", Parts, Skip);
  end

  assign valid_o = valid_i;
  assign part_o = word_i[part_q*Bits+:Bits];
  assign last_part = part_q == PartBits'(Parts - 1);
  assign last_word = word_q == RowBits'(Row - 1);
  assign ready_o = ready_i && last_part;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      part_q <= PartBits'(Skip);
      word_q <= '0;
    end else if (valid_i && ready_i) begin
      part_q <= !last_part ? part_q + 1'b1 : last_word ? PartBits'(Skip) : '0;
      if (last_part) word_q <= last_word ? '0 : word_q + 1'b1;
    end
  end
endmodule
