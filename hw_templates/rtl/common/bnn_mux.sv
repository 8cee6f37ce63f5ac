// One of Words words of Bits bits: LUTs, joined by the multiplexers that stand behind them in a slice.
//
//   data_o = word_i[select_i*Bits +: Bits]
//
// Vivado takes these multiplexers by itself; yosys, by which areas are estimated, only where they are named.
module bnn_mux #(
    parameter int unsigned Words = 8,
    parameter int unsigned Bits = 2,
    localparam int unsigned SelectBits = $clog2(Words)
) (
    input  logic [SelectBits-1:0] select_i,
    input  logic [Words*Bits-1:0] word_i,
    output logic [Bits-1:0]       data_o
);
`ifdef SYNTHESIS
  localparam bit Named = Words == 8 || Words == 16;
`else
  localparam bit Named = 1'b0;
`endif

  if (Named) begin : gen_named
`ifdef SYNTHESIS
    for (genvar i = 0; i < Bits; i++) begin : gen_bit
      logic [Words/8-1:0] half;

      for (genvar h = 0; h < Words / 8; h++) begin : gen_half
        logic [7:0] bits;

        for (genvar w = 0; w < 8; w++) begin : gen_word
          assign bits[w] = word_i[(8*h+w)*Bits+i];
        end
        MUXF7 u_mux (
            .I0(bits[{1'b0, select_i[1:0]}]),
            .I1(bits[{1'b1, select_i[1:0]}]),
            .S (select_i[2]),
            .O (half[h])
        );
      end

      if (Words == 8) begin : gen_one
        assign data_o[i] = half[0];
      end else begin : gen_two
        MUXF8 u_mux (
            .I0(half[0]),
            .I1(half[1]),
            .S (select_i[3]),
            .O (data_o[i])
        );
      end
    end
`endif
  end else begin : gen_plain
    assign data_o = word_i[32'(select_i)*Bits+:Bits];
  end
endmodule
