// Image buffer of the first layer: pixels of 32 bits, two images, of which one is filled while the other is read.
//
// Beats become pixels of channels_i bytes (bnn_unpack), pixel_o; value_i, in the same cycle, is what is stored for
// it, with 0 in place of the bytes above channels_i. full_o[h]: half h holds an image; filled_o: so many pixels of the
// next one can be read. read_last_i frees half read_addr_i's top bit. clear_i, before a run, empties both; with pack_i
// no beat is taken.
//
//   read_data_o = pixel read_addr_i[PixelBits-1:0] of half read_addr_i[PixelBits]
//
// Latency: 3 cycles from read_addr_i.
module bnn_first_image
  import bnn_add_pkg::add;
#(
    parameter int unsigned ImagePixels = 1024,
    localparam int unsigned PixelBits = $clog2(ImagePixels)
) (
    input  logic               clk_i,
    input  logic               clear_i,
    input  logic               pack_i,
    input  logic [2:0]         channels_i,
    input  logic [15:0]        pixels_i,
    // Beats
    input  logic               beat_valid_i,
    output logic               beat_take_o,
    input  logic [63:0]        beat_i,
    // Pixels, through the table
    output logic [31:0]        pixel_o,
    output logic [3:0][4:0]    row_o,  // [7:3] of its bytes again
    input  logic [31:0]        value_i,
    // Reads
    output logic [1:0]         full_o,
    output logic [PixelBits-1:0] filled_o,
    input  logic               read_last_i,
    input  logic [PixelBits:0] read_addr_i,
    output logic [31:0]        read_data_o
);
  logic valid, last;
  logic free_q;  // whether the half that is filled is free

  logic unpack_rst, clear_late;  // a cycle late: images begin four after clear_i or later

  bnn_register u_unpack_rst (
      .clk_i,
      .data_i(clear_i | pack_i),
      .data_o(unpack_rst)
  );

  bnn_register u_clear (
      .clk_i,
      .data_i(clear_i),
      .data_o(clear_late)
  );

  bnn_unpack u_unpack (
      .clk_i,
      .rst_i       (unpack_rst),
      .channels_i,
      .pixels_i,
      .beat_valid_i,
      .beat_take_o,
      .beat_i,
      .valid_o     (valid),
      .ready_i     (free_q),
      .last_o      (last),
      .pixel_o,
      .row_o
  );

  // ---- Filling -------------------------------------------------------------------------------

  (* ram_style = "block" *) logic [31:0] image_mem[2*ImagePixels];
  logic [1:0] full_q, full;
  logic filled, half, half_q;
  logic [PixelBits-1:0] fill_q;
  logic [3:0] there_q;  // bytes of a pixel
  logic store_q, store_half_q;
  logic [PixelBits-1:0] store_addr_q;
  logic [31:0] store_data_q, store_data;

  assign filled = last;
  assign half = half_q ^ filled;

  for (genvar h = 0; h < 2; h++) begin : gen_full
    assign full[h] = (full_q[h] | (filled & (half_q == 1'(h))))
        & ~(read_last_i & (read_addr_i[PixelBits] == 1'(h)));
  end

  for (genvar i = 0; i < 4; i++) begin : gen_byte
    assign store_data[8*i+:8] = there_q[i] ? value_i[8*i+:8] : 8'd0;
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < 4; i++) there_q[i] <= 3'(i) < channels_i;
    store_data_q <= store_data;
    store_addr_q <= fill_q;
    store_half_q <= half_q;
    if (store_q) image_mem[{store_half_q, store_addr_q}] <= store_data_q;
    if (clear_late) begin
      full_q  <= '0;
      half_q  <= 1'b0;
      free_q  <= 1'b1;
      store_q <= 1'b0;
    end else begin
      store_q <= valid;
      full_q  <= full;
      half_q  <= half;
      free_q  <= ~full[half];
    end
    if (clear_late || filled) begin
      fill_q <= '0;
    end else if (valid) begin
      fill_q <= PixelBits'(add(32'(fill_q), 32'd1));
    end
  end

  assign full_o   = full_q;
  assign filled_o = fill_q;

  // ---- Reading -------------------------------------------------------------------------------

  logic [PixelBits:0] read_addr_q;
  logic [31:0] read_q, read_data_q;

  always_ff @(posedge clk_i) begin
    read_addr_q <= read_addr_i;
    read_q      <= image_mem[read_addr_q];
    read_data_q <= read_q;
  end

  assign read_data_o = read_data_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (clear_i);

  read_full: assert property (read_last_i |-> full_q[read_addr_i[PixelBits]])
      else $error("read_last_i of a half that is not full");
`endif
endmodule
