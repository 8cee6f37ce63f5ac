// Header of a program: its words, and whether they can be what this core runs.
//
// beat_i enters with load_i, all bits of it, the first beat first. error_o is the first of the errors that the header has:
// ErrorMagic, ErrorGeometry, ErrorLayers, ErrorVector or ErrorRange, else ErrorNone; two_segments_o and words_o, the
// weight words of both segments, are derived values.
//
// Latency: header_o 2 cycles after the beat, two_segments_o and words_o 1 more, error_o 9 cycles after the last beat.
module bnn_run_header
  import bnn_pkg::*;
  import bnn_add_pkg::add;
#(
    parameter int unsigned Pe = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned WeightDepth = 1024,
    parameter int unsigned ActDepth = 1024,
    parameter int unsigned FirstPe = 4,
    parameter int unsigned ImagePixels = 1024,
    parameter int unsigned MaxLayers = 16,
    parameter int unsigned Vector = 0
) (
    input  logic        clk_i,
    input  logic [2:0]  load_i,
    input  logic [63:0] beat_i,
    output header_t     header_o,
    output logic        two_segments_o,
    output logic [16:0] words_o,
    output error_e      error_o
);
  localparam int unsigned AddrBits = $clog2(ActDepth);
  localparam int unsigned SimdBits = $clog2(Simd);
  localparam int unsigned LayerBits = $clog2(MaxLayers);
  localparam int unsigned RingBits = $clog2(WeightDepth);
  localparam int unsigned PixelBits = $clog2(ImagePixels);
  localparam int unsigned BatchBits = $clog2(MaxBatch);
  localparam int unsigned ChannelBits = $clog2(FirstChannels);
  localparam int unsigned ValuesBits = $clog2(FirstValues);
  localparam geometry_t Geometry = '{simd: 16'(Simd), lanes: 8'(Lanes), pe: 8'(Pe)};

  localparam int unsigned Bits = $bits(header_t);

  header_t header_q;
  logic [Bits-1:0] shifted;  // as it is with the next beat, which enters at the top
  logic [63:0] beat_q;
  logic two_segments_q;
  logic [16:0] words_q;  // of the lower halves
  logic high_a_q, high_b_q;  // the upper one is not 0

  assign shifted = {beat_q, header_q[Bits-1:64]};

  // A register of its own shifts four bits of every beat; what nobody reads on its way can be an SRL.
  for (genvar b = 0; b < 64; b += 4) begin : gen_part
    logic load;

    bnn_register u_load (
        .clk_i,
        .data_i(&load_i),
        .data_o(load)
    );
    always_ff @(posedge clk_i) begin
      for (int unsigned i = b; i < Bits; i += 64) if (load) header_q[i+:4] <= shifted[i+:4];
    end
  end

  always_ff @(posedge clk_i) begin
    beat_q         <= beat_i;
    two_segments_q <= header_q.layers_a[15:0] != header_q.layers[15:0];
    words_q        <= 17'(add(32'(header_q.words_a[15:0]), 32'(header_q.words_b[15:0])));
    high_a_q       <= header_q.words_a[31:16] != '0;
    high_b_q       <= header_q.words_b[31:16] != '0;
  end

  assign header_o       = header_q;
  assign two_segments_o = two_segments_q;
  assign words_o        = words_q;

  // ---- Checks --------------------------------------------------------------------------------

  // One comparison per term, registered: the check has time.
  logic [1:0] magic_q, geometry_q, layers_q;
  logic [31:0] range_q;
  // What sizes and counts must be.
  logic [31:0] said_pixels_q, area_q, elements_q;
  logic [28:0] whole_beats_q, beats_q;
  logic [15:0] packed_words;
  logic [3:0] said_planes_q, planes_q;  // the latter at least 1
  logic [31:0] layers_a_q, layers_all_q;  // of the header, for comparisons
  logic [19:0] planes_words_q;  // of all planes
  logic [16:0] rows_q, columns_q;
  logic [15:0] said_rows_q, said_columns_q;
  logic [RingBits-1:0] ring_base;
  logic [1:0] no_planes_q;  // or the words are not as many
  logic equal_area, equal_area_q, equal_elements_q, equal_planes_q;
  logic equal_elements, equal_planes;  // to what the image has, what its planes have
  logic beyond_ring_q;  // what stays reaches into the ring
  logic [1:0] no_pixels_q;  // no rows, no columns
  logic no_words_b_q, ring_q, more_beats_q, more_packed_q;  // the latter: one that is not whole
  logic pack_q, bad_magic_q, bad_geometry_q, bad_layers_q, bad_range_q, bad_vector, bad_values;
  error_e error_q;

  assign ring_base = header_q.kept.ring_base[RingBits-1:0];

  // Rows or columns that a 3x3 kernel computes, even with a pool.
  function automatic logic differs(input logic [16:0] computed, input logic pool, input logic [15:0] said);
    return {computed[16:1], computed[0] & ~pool} != {1'b0, said};
  endfunction

  if (Vector != 0) begin : gen_values
    logic values_q;
    logic [19:0] record_q;  // channels, and the bits of their values
    logic [6:0] values_range_q;

    always_ff @(posedge clk_i) begin
      values_q <= header_q.first_result.value_channels != '0;
      record_q <= 20'(header_q.first_channels[15:0]) + {1'b0, header_q.first_result.value_channels, 3'd0};
      values_range_q[0] <= values_q && header_q.first_result.value_channels[SimdBits-1:0] != '0;
      values_range_q[1] <= values_q && (header_q.first_result.value_channels[15:ValuesBits+1] != '0
          || (header_q.first_result.value_channels[ValuesBits]
              && header_q.first_result.value_channels[ValuesBits-1:0] != '0));
      values_range_q[2] <= values_q && header_q.first_result.value_channels > header_q.first_channels[15:0];
      values_range_q[3] <= values_q && header_q.first_channels[SimdBits-1:0] != '0;
      values_range_q[4] <= values_q && header_q.first_result.value_bits > 4'(ValueBits);
      values_range_q[5] <= values_q && header_q.first_result.shift[1:0] != '0;
      values_range_q[6] <= values_q && header_q.out_words != 32'(record_q >> SimdBits);
    end

    assign bad_vector = 1'b0;
    assign bad_values = |values_range_q;
  end else begin : gen_bits
    logic values_q;
    always_ff @(posedge clk_i) values_q <= header_q.first_result.value_channels != '0;
    assign bad_vector = values_q;
    assign bad_values = 1'b0;
  end

  bnn_equal #(
      .Bits(32)
  ) u_area (
      .a_i    (said_pixels_q),
      .b_i    (area_q),
      .equal_o(equal_area)
  );
  bnn_equal #(
      .Bits(32)
  ) u_elements (
      .a_i    (header_q.elements),
      .b_i    (elements_q),
      .equal_o(equal_elements)
  );

  bnn_equal #(
      .Bits(32)
  ) u_planes (
      .a_i    (header_q.out_words),
      .b_i    (32'(planes_words_q)),
      .equal_o(equal_planes)
  );

  // Not a DSP slice's own register: a sum is made before it.
  bnn_register #(
      .Bits(16)
  ) u_packed (
      .clk_i,
      .data_i(16'(add(32'(header_q.elements[31:SimdBits]), 32'(more_packed_q)))),
      .data_o(packed_words)
  );

  always_ff @(posedge clk_i) begin
    layers_a_q    <= header_q.layers_a;
    layers_all_q  <= header_q.layers;
    magic_q[0]    <= header_q.magic != ProgramMagic;
    magic_q[1]    <= header_q.version != 32'(ProgramVersion) && header_q.version != 32'(ProgramVersion2);
    geometry_q[0] <= header_q.geometry != Geometry;
    geometry_q[1] <= header_q.first_pe != 32'(FirstPe);
    layers_q[0]   <= layers_all_q[31:LayerBits+1] != '0
        || (layers_all_q[LayerBits] && layers_all_q[LayerBits-1:0] != '0);
    layers_q[1]   <= header_q.layers == '0;
    pack_q        <= header_q.first_channels[15:0] == '0;
    area_q        <= 32'(header_q.image_size.height) * 32'(header_q.image_size.width);
    elements_q    <= 32'(header_q.pixels[15:0]) * 32'(header_q.image_mode.channels[2:0]);
    more_beats_q  <= header_q.elements[2:0] != '0;
    more_packed_q <= header_q.elements[SimdBits-1:0] != '0;
    whole_beats_q <= header_q.elements[31:3];
    beats_q       <= 29'(add(32'(whole_beats_q), 32'(more_beats_q)));
    said_planes_q <= header_q.image_mode.first_planes;
    planes_q      <= {said_planes_q[3:1], said_planes_q[0] | ~(|said_planes_q)};
    // More words than 16 bits hold are of more elements than the image has, which is a fault of its own.
    planes_words_q <= 20'(packed_words) * 20'(planes_q);
    rows_q        <= 17'(header_q.image_size.height) - (header_q.image_mode.pad ? 17'd0 : 17'd2);
    columns_q     <= 17'(header_q.image_size.width) - (header_q.image_mode.pad ? 17'd0 : 17'd2);
    no_words_b_q  <= header_q.words_b == '0;
    ring_q        <= header_q.kept.ring_base != '0;

    range_q[0]  <= layers_a_q > layers_all_q;
    range_q[1]  <= header_q.layers_a == '0;
    range_q[2]  <= header_q.sub_batch[BatchBits:0] == '0 || header_q.sub_batch[31:BatchBits+1] != '0;
    range_q[3]  <= header_q.batch[BatchBits:0] < header_q.sub_batch[BatchBits:0];
    range_q[4]  <= header_q.batch[31:BatchBits+1] != '0
        || (header_q.batch[BatchBits] && header_q.batch[BatchBits-1:0] != '0);
    range_q[5]  <= header_q.kept.resident && !ring_q && (high_a_q || high_b_q || words_q > 17'(WeightDepth));
    range_q[6]  <= header_q.words_a == '0;
    range_q[7]  <= two_segments_q == no_words_b_q;
    range_q[8]  <= header_q.first_channels[31:ChannelBits+1] != '0
        || (header_q.first_channels[ChannelBits] && header_q.first_channels[ChannelBits-1:0] != '0);
    range_q[9]  <= (header_q.first_channels & 32'(FirstPe - 1)) != '0
        || header_q.image_mode.channels == '0 || header_q.image_mode.channels > 8'(MaxChannels);
    range_q[10] <= header_q.pixels == '0;
    range_q[11] <= (header_q.pixels >> PixelBits) != '0 && header_q.pixels != 32'(ImagePixels);
    range_q[12] <= header_q.image_bytes == '0 || header_q.image_bytes[2:0] != '0;
    range_q[13] <= pack_q && header_q.elements == '0;
    range_q[14] <= header_q.out_words[AddrBits-1:0] == '0;
    range_q[15] <= |{header_q.descriptors[2:0], header_q.weights_a[2:0], header_q.weights_b[2:0], header_q.first[2:0]};
    said_pixels_q <= header_q.pixels;
    equal_area_q <= equal_area;
    range_q[16] <= !equal_area_q;
    equal_elements_q <= equal_elements;
    range_q[17] <= !equal_elements_q;
    range_q[18] <= header_q.image_bytes[31:3] != beats_q;
    said_rows_q <= header_q.computed.rows;
    said_columns_q <= header_q.computed.columns;
    range_q[19] <= !pack_q && differs(rows_q, header_q.image_mode.pool, said_rows_q);
    range_q[20] <= !pack_q && differs(columns_q, header_q.image_mode.pool, said_columns_q);
    range_q[21] <= pack_q && !header_q.image_mode.pixel_map && !equal_planes_q;
    equal_planes_q <= equal_planes;
    range_q[22] <= said_planes_q > 4'd8;
    range_q[23] <= !pack_q && said_planes_q != '0;
    no_planes_q <= {header_q.out_words[31:4] != '0, said_planes_q == '0
        || header_q.out_words[3:0] != said_planes_q};
    range_q[24] <= header_q.image_mode.pixel_map && no_planes_q != '0;
    range_q[25] <= header_q.image_mode.pixel_map && said_rows_q != header_q.image_size.height;
    range_q[26] <= header_q.image_mode.pixel_map && said_columns_q != header_q.image_size.width;
    range_q[27] <= header_q.kept.unused != '0;
    range_q[28] <= header_q.classes[31:16] != '0;
    // The ring of segment B: behind the words that stay, of 2^n words
    range_q[29] <= ring_q && (!header_q.kept.resident || !header_q.version[1] || no_words_b_q
        || high_a_q || beyond_ring_q);
    beyond_ring_q <= header_q.words_a[15:0] > header_q.kept.ring_base;
    range_q[30] <= (header_q.kept.ring_base >> RingBits) != '0
        || (ring_base & ~{1'b1, ring_base[RingBits-1:1]}) != '0;
    no_pixels_q <= {said_rows_q == '0, said_columns_q == '0};
    range_q[31] <= !pack_q && no_pixels_q != '0;

    bad_magic_q    <= |magic_q;
    bad_geometry_q <= |geometry_q;
    bad_layers_q   <= |layers_q;
    bad_range_q    <= (|range_q) | bad_values;
    error_q        <= bad_magic_q ? ErrorMagic : bad_geometry_q ? ErrorGeometry : bad_layers_q ? ErrorLayers
        : bad_vector ? ErrorVector : bad_range_q ? ErrorRange : ErrorNone;
  end

  assign error_o = error_q;
endmodule
