// Pixel table of the first layer, for eight bytes at a time.
//
//   data_o[i] = table[pack_i ? beat_i[i] : pixel_i[i]];  of bytes 4 to 7, the beat's, without Whole the top bit
//   top_o[i] = data_o[i][7], again without Whole, for who takes no more
//
// load_valid_i: a word of the table, eight entries, with its index; load_data_i comes a cycle after it. pack_i[0] is
// for bytes 0 and 1, pack_i[1], the same value, for the others; both are constant from the cycle before the first byte.
//
// Latency: none from a byte; a loaded entry is there three cycles after load_valid_i.
module bnn_first_table #(
    parameter bit Whole = 1'b0
) (
    input  logic            clk_i,
    input  logic            load_valid_i,
    input  logic [4:0]      load_index_i,
    input  logic [63:0]     load_data_i,
    input  logic [1:0]      pack_i,
    input  logic [7:0][7:0] beat_i,
    input  logic [3:0][7:0] pixel_i,
    output logic [7:0][7:0] data_o,
    output logic [7:0]      top_o
);
  logic load_q;
  logic [4:0] index_q;
  logic [63:0] load_data_q;
  logic [7:0][7:0] byte_at;
  logic [7:0][4:0] row;

  always_ff @(posedge clk_i) begin
    load_q      <= load_valid_i;
    index_q     <= load_index_i;
    load_data_q <= load_data_i;
  end

  for (genvar i = 0; i < 8; i++) begin : gen_byte
    localparam int unsigned Bits = (i < 4 || Whole) ? 8 : 1;

    if (i < 4) begin : gen_pixel
      // Two bits with a register for it, as it lies before the memory
      for (genvar b = 0; b < 8; b += 2) begin : gen_bits
        logic pack;

        bnn_register u_pack (
            .clk_i,
            .data_i(pack_i[i/2]),
            .data_o(pack)
        );
        assign byte_at[i][b+:2] = pack ? beat_i[i][b+:2] : pixel_i[i][b+:2];
      end

      // The row again, for half of the memory
      for (genvar b = 3; b < 8; b++) begin : gen_row
        logic pack;

        bnn_register u_pack (
            .clk_i,
            .data_i(pack_i[i/2]),
            .data_o(pack)
        );
        assign row[i][b-3] = pack ? beat_i[i][b] : pixel_i[i][b];
      end
    end else begin : gen_beat
      assign byte_at[i] = beat_i[i];
      assign row[i] = beat_i[i][7:3];
      if (!Whole) begin : gen_top
        assign data_o[i][6:0] = '0;
      end
    end

    bnn_first_lookup #(
        .Bits(Bits)
    ) u_lookup (
        .clk_i,
        .write_i      (load_q),
        .write_index_i(index_q),
        .write_data_i (load_data_q),
        .byte_i       (byte_at[i]),
        .row_i        (row[i]),
        .data_o       (data_o[i][7-:Bits]),
        .top_o        (top_o[i])
    );
  end
endmodule
