// What follows the comparisons of Rows rows at once: 2x2 max-pool (stride 2) as the OR of the bits, then the flips.
//
//   bits_i[(y*Width + x)*Channels +: Channels] = row y, column x; bits_o the same of what is left
//
// With Pool = 1 Width is even, and Rows too, or 1: then every second row makes one with the row before it. No
// back-pressure. Latency: 1 cycle after the last row of a block.
module wired_row_pool #(
    parameter int unsigned Channels = 8,
    parameter int unsigned Width = 8,
    parameter int unsigned Rows = 2,
    parameter int unsigned Pool = 0,
    parameter logic [Channels-1:0] Flip = '0,
    parameter int unsigned OutRows = Pool == 1 && Rows > 1 ? Rows / 2 : Rows,
    parameter int unsigned OutWidth = Pool == 1 ? Width / 2 : Width
) (
    input  logic                                clk_i,
    input  logic                                rst_ni,
    input  logic                                valid_i,
    input  logic [Rows*Width*Channels-1:0]      bits_i,
    output logic                                valid_o,
    output logic [OutRows*OutWidth*Channels-1:0] bits_o
);
  localparam int unsigned RowBits = Width * Channels;

  if (Pool > 1 || (Pool == 1 && (Width % 2 != 0 || (Rows % 2 != 0 && Rows != 1)))) begin : gen_check
    $error("wired_row_pool: Pool = %0d, Width = %0d, Rows = %0d: blocks are cut", Pool, Width, Rows);
  end

  logic [OutRows*OutWidth*Channels-1:0] left;
  logic leaves;

  if (Pool == 0) begin : gen_pass
    assign left = bits_i;
    assign leaves = valid_i;
  end else begin : gen_pool
    logic [2*OutRows*RowBits-1:0] pairs;  // two rows for each that leaves
    if (Rows == 1) begin : gen_above
      logic [RowBits-1:0] above_q;
      logic odd_q;
      always_ff @(posedge clk_i) begin
        if (valid_i) above_q <= bits_i;
        if (!rst_ni) odd_q <= 1'b0;
        else if (valid_i) odd_q <= !odd_q;
      end
      assign pairs = {bits_i, above_q};
      assign leaves = valid_i && odd_q;
    end else begin : gen_pairs
      assign pairs = bits_i;
      assign leaves = valid_i;
    end
    for (genvar y = 0; y < OutRows; y++) begin : gen_row
      for (genvar x = 0; x < OutWidth; x++) begin : gen_column
        localparam int unsigned First = 2 * (y * RowBits + x * Channels);
        assign left[(y*OutWidth+x)*Channels+:Channels] =
            pairs[First+:Channels] | pairs[First+Channels+:Channels] |
            pairs[First+RowBits+:Channels] | pairs[First+RowBits+Channels+:Channels];
      end
    end
  end

  always_ff @(posedge clk_i) begin
    bits_o  <= left ^ {(OutRows * OutWidth) {Flip}};
    valid_o <= rst_ni && leaves;
  end
endmodule
