// Pixel table of the first layer: for the bytes of a pixel and, again, for those of a beat in pack mode.
//
//   pixel_o[i] = table[pixel_i[i]],  pack_o[i] = table[beat_i[i]]:  of this without Whole the top bit, and 0 below it
//
// load_valid_i: a word of the table, eight entries, with its index; load_data_i comes a cycle after it. row_i has the
// upper bits of pixel_i again, [7:3] of each byte.
//
// Latency: none from a byte; a loaded entry is there three cycles after load_valid_i. A table for each of both, so that
// its address is the register that holds the byte.
module bnn_first_table #(
    parameter bit Whole = 1'b0
) (
    input  logic            clk_i,
    input  logic            load_valid_i,
    input  logic [4:0]      load_index_i,
    input  logic [63:0]     load_data_i,
    input  logic [3:0][7:0] pixel_i,
    input  logic [3:0][4:0] row_i,
    output logic [3:0][7:0] pixel_o,
    input  logic [7:0][7:0] beat_i,
    output logic [7:0][7:0] pack_o
);
  localparam int unsigned Bits = Whole ? 8 : 1;

  logic load_q;
  logic [4:0] index_q;
  logic [63:0] load_data_q;

  always_ff @(posedge clk_i) begin
    load_q      <= load_valid_i;
    index_q     <= load_index_i;
    load_data_q <= load_data_i;
  end

  for (genvar i = 0; i < 4; i++) begin : gen_pixel
    bnn_first_lookup u_lookup (
        .clk_i,
        .write_i      (load_q),
        .write_index_i(index_q),
        .write_data_i (load_data_q),
        .byte_i       (pixel_i[i]),
        .row_i        (row_i[i]),
        .data_o       (pixel_o[i])
    );
  end

  for (genvar i = 0; i < 8; i++) begin : gen_pack
    logic [Bits-1:0] data;

    bnn_first_lookup #(
        .Bits(Bits)
    ) u_lookup (
        .clk_i,
        .write_i      (load_q),
        .write_index_i(index_q),
        .write_data_i (load_data_q),
        .byte_i       (beat_i[i]),
        .row_i        (beat_i[i][7:3]),
        .data_o       (data)
    );
    assign pack_o[i] = 8'(data) << (8 - Bits);
  end
endmodule
