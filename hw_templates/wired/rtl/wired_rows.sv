// Vectors of Size bits out of a map that comes in Words words of Bits bits, by a schedule that is known beforehand.
//
// Reads[p]: a vector is read with word p, Reads[Words]: in the cycle after the last word, whether or not the next map
// has begun; word 0 then has no vector. Starts[16*p +: 16] is its first bit among the Keep words before the newest,
// the oldest lowest, and that one; what lies beyond the newest is 0. No back-pressure. emit_o announces a vector, a
// cycle before valid_o; vector_o stays until the next one.
//
// Latency: a vector leaves in the cycle after the word that it is read with.
module wired_rows #(
    parameter int unsigned Bits = 8,
    parameter int unsigned Words = 2,
    parameter int unsigned Keep = 1,
    parameter int unsigned Size = 16,
    parameter logic [Words:0] Reads = 3'b010,
    parameter logic [(Words+1)*16-1:0] Starts = '0
) (
    input  logic            clk_i,
    input  logic            rst_ni,
    input  logic            valid_i,
    input  logic [Bits-1:0] word_i,
    output logic            emit_o,
    output logic            valid_o,
    output logic [Size-1:0] vector_o
);
  localparam int unsigned PlaceBits = $clog2(Words + 1);
  logic [PlaceBits-1:0] count_q, place;
  logic after_q, last, unused;
  // one vector beyond the newest word, so that each place's part exists
  logic [(Keep+1)*Bits+Size-1:0] kept;
  logic [Words:0][Size-1:0] parts;

  if (Reads == '0 || (Reads[Words] && Reads[0])) begin : gen_check
    $error("wired_rows: Reads = %0d: no vector, or two at once", Reads);
  end

  if (Keep > 0) begin : gen_keep
    logic [Keep*Bits-1:0] line_q;
    always_ff @(posedge clk_i) begin
      if (valid_i || after_q) line_q <= (Keep * Bits)'({word_i, line_q} >> Bits);
    end
    assign kept = {Size'(0), word_i, line_q};
  end else begin : gen_none
    assign kept = {Size'(0), word_i};
  end

  assign unused = ^kept;  // filling of the last word, rows beyond the map
  assign last = count_q == PlaceBits'(Words - 1);
  assign place = after_q ? PlaceBits'(Words) : count_q;
  assign emit_o = after_q || (valid_i && Reads[count_q]);
  for (genvar p = 0; p <= Words; p++) begin : gen_place
    localparam int unsigned Start = {16'd0, Starts[16*p+:16]};
    assign parts[p] = kept[Start+:Size];
  end

  always_ff @(posedge clk_i) begin
    if (emit_o) vector_o <= parts[place];
    if (!rst_ni) begin
      count_q <= '0;
      after_q <= 1'b0;
      valid_o <= 1'b0;
    end else begin
      if (valid_i) count_q <= last ? '0 : count_q + 1'b1;
      after_q <= Reads[Words] && valid_i && last;
      valid_o <= emit_o;
    end
  end
endmodule
