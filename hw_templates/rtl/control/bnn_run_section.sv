// Parts of a program, one after the other: which one is at hand, where it lies and how long it is.
//
// The header, the descriptors, the first-layer block, the weights of segment A, those of segment B: in_*_o tells which
// one is at hand. header_i returns to the first one, next_i goes on to the next, from the last one to the first, and
// segment_a_i, without next_i, goes to the weights of A. addr_o and beats_o are those of the part at hand, of the
// program at base_i. bad_o: with check_i a part has ended behind the program's size, since load_i.
//
// Latency: beats_o follow the part by 3 cycles, addr_o, added in two halves, by 4; what check_i looks at by 5.
module bnn_run_section
  import bnn_pkg::*;
  import bnn_add_pkg::add;
#(
    parameter int unsigned Pe = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned Vector = 0
) (
    input  logic        clk_i,
    input  header_t     program_i,
    input  logic [63:0] base_i,
    // Which one
    input  logic        header_i,
    input  logic        next_i,
    input  logic        segment_a_i,
    output logic        in_header_o,
    output logic        in_descriptors_o,
    output logic        in_first_o,
    output logic        in_segment_a_o,
    // Where it is
    output logic [63:0] addr_o,
    output logic [31:0] beats_o,
    // Whether it is in the program
    input  logic        load_i,
    input  logic        check_i,
    output logic        bad_o
);
  localparam int unsigned BeatShift = $clog2(BeatBytes);
  localparam int unsigned WordShift = $clog2(Pe * Simd / 64);
  localparam int unsigned OffsetBits = 32 - BeatShift;
  localparam int unsigned SizeBits = 32 + WordShift;
  localparam int unsigned Half = SizeBits / 2;  // wide sums are made in halves
  localparam int unsigned HeaderBeats = HeaderWords * 4 / BeatBytes;
  localparam int unsigned DescriptorBeats = DescriptorWords * 4 / BeatBytes;
  localparam int unsigned TableBeats = TableBytes / BeatBytes;
  localparam int unsigned Sections = 5;
  localparam int unsigned Header = 0, Descriptors = 1, First = 2, SegmentA = 3, SegmentB = 4;

  logic [Sections-1:0] section_q;  // one-hot

  always_ff @(posedge clk_i) begin
    if (header_i) section_q <= Sections'(1) << Header;
    else if (next_i) section_q <= {section_q[Sections-2:0], section_q[Sections-1]};
    else if (segment_a_i) section_q <= Sections'(1) << SegmentA;
  end

  assign in_header_o      = section_q[Header];
  assign in_descriptors_o = section_q[Descriptors];
  assign in_first_o       = section_q[First];
  assign in_segment_a_o   = section_q[SegmentA];

  // ---- Place and size, in beats ----------------------------------------------------------------

  // The section's own; the others' are 0.
  logic [Sections-1:0][OffsetBits-1:0] offset, offset_q;
  logic [Sections-1:0][SizeBits-1:0] size, size_q;
  logic [OffsetBits-1:0] here, here_q;
  logic [SizeBits-1:0] length, length_q;
  logic [63:0] addr_q;
  logic [32:0] addr_low_q;  // with its carry
  logic [31:0] beats_q;
  logic [Half:0] end_low_q;  // with its carry
  logic [SizeBits-Half:0] end_high_q;
  logic [SizeBits:0] end_q;
  logic beyond_q, bad_q;
  logic [15:0] first_q;  // channels of the first layer, those with a value twice

  // Registered in any case, for the sums behind it
  if (Vector != 0) begin : gen_values
    always_ff @(posedge clk_i) first_q <= program_i.first_channels[15:0] + program_i.first_result.value_channels;
  end else begin : gen_bits
    always_ff @(posedge clk_i) first_q <= program_i.first_channels[15:0];
  end

  assign offset[Header]      = '0;
  assign offset[Descriptors] = program_i.descriptors[31:BeatShift];
  assign offset[First]       = program_i.first[31:BeatShift];
  assign offset[SegmentA]    = program_i.weights_a[31:BeatShift];
  assign offset[SegmentB]    = program_i.weights_b[31:BeatShift];
  assign size[Header]        = SizeBits'(HeaderBeats);
  assign size[Descriptors]   = SizeBits'(program_i.layers[15:0]) << $clog2(DescriptorBeats);
  assign size[First]         = SizeBits'(first_q) + SizeBits'(TableBeats);
  assign size[SegmentA]      = SizeBits'(program_i.words_a) << WordShift;
  assign size[SegmentB]      = SizeBits'(program_i.words_b) << WordShift;

  for (genvar s = 0; s < Sections; s++) begin : gen_section
    always_ff @(posedge clk_i) begin
      offset_q[s] <= section_q[s] ? offset[s] : '0;
      size_q[s]   <= section_q[s] ? size[s] : '0;
    end
  end

  always_comb begin
    here   = '0;
    length = '0;
    for (int s = 0; s < Sections; s++) begin
      here |= offset_q[s];
      length |= size_q[s];
    end
  end

  always_ff @(posedge clk_i) begin
    here_q   <= here;
    length_q <= length;
    addr_low_q <= {(OffsetBits + 1)'(add(32'(base_i[31:BeatShift]), 32'(here_q))), base_i[BeatShift-1:0]};
    addr_q     <= {add(base_i[63:32], 32'(addr_low_q[32])), addr_low_q[31:0]};
    beats_q    <= length_q[31:0];
    end_low_q  <= (Half + 1)'(add(32'(here_q[Half-1:0]), 32'(length_q[Half-1:0])));
    end_high_q <= (SizeBits - Half + 1)'(add(32'(here_q[OffsetBits-1:Half]), 32'(length_q[SizeBits-1:Half])));
    end_q      <= {(SizeBits - Half + 1)'(add(32'(end_high_q), 32'(end_low_q[Half]))), end_low_q[Half-1:0]};
    beyond_q   <= end_q > (SizeBits + 1)'(program_i.size[31:BeatShift]);
    if (load_i) bad_q <= 1'b0;
    else if (check_i && beyond_q) bad_q <= 1'b1;
  end

  assign addr_o  = addr_q;
  assign beats_o = beats_q;
  assign bad_o   = bad_q;

  logic unused_section;
  assign unused_section = ^program_i;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking

  one_section: assert property (next_i && !header_i |-> $onehot(section_q))
      else $error("sections %b, expected one", section_q);
`endif
endmodule
