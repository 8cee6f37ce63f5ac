// Some bits of a word that the first layer writes: a part of a packed word, with values_i of one of values or of their
// bits (plane_i), or channels: those of this write, of one before, or 0 until then.
//
// Latency: 1 cycle with enable_i; pack_i and values_i are constant during a run.
(* keep_hierarchy = "yes" *)
module bnn_first_slice #(
    parameter int unsigned Bits = 16,
    parameter bit Values = 1'b0
) (
    input  logic            clk_i,
    input  logic            enable_i,
    input  logic            pack_i,
    input  logic            begin_i,    // the word's first write
    input  logic            here_i,
    input  logic [Bits-1:0] channel_i,
    input  logic [Bits-1:0] word_i,
    input  logic            values_i,
    input  logic            plane_i,
    input  logic [Bits-1:0] value_i,
    input  logic [Bits-1:0] bits_i,
    output logic [Bits-1:0] data_o
);
  logic [Bits-1:0] data_q;

  if (Values) begin : gen_values
    // One of four sources a bit, by two selects: one LUT
    logic values_q, pack_q, whole_q, second;
    logic [Bits-1:0] source;

    always_ff @(posedge clk_i) begin
      values_q <= values_i;
      pack_q   <= pack_i;
      whole_q  <= values_i | pack_i;
    end

    assign second = values_q ? plane_i : pack_q;

    always_comb begin
      unique case ({values_q, second})
        2'd0:    source = channel_i;
        2'd1:    source = word_i;
        2'd2:    source = value_i;
        default: source = bits_i;
      endcase
    end

    always_ff @(posedge clk_i) begin
      if (enable_i) begin
        if (whole_q || here_i) data_q <= source;
        else if (begin_i) data_q <= '0;
      end
    end
  end else begin : gen_bits
    logic pack_q, unused_values;

    always_ff @(posedge clk_i) begin
      pack_q <= pack_i;
      if (enable_i) begin
        if (pack_q) data_q <= word_i;
        else if (here_i) data_q <= channel_i;
        else if (begin_i) data_q <= '0;
      end
    end

    assign unused_values = ^{values_i, plane_i, value_i, bits_i};
  end

  assign data_o = data_q;
endmodule
