// The contract between planner, cores and host: registers, the words of a program, error codes (docs/ARCHITECTURE.md).
// Generated from bnn/contract.py by python -m hls contract; do not edit.
package bnn_pkg;
  // verilator lint_off UNUSEDPARAM  // a package names what some of its users leave out
  localparam logic [31:0] ProgramMagic = 32'h504E4E42;  // first word of a program, "BNNP"
  localparam int unsigned ProgramVersion = 1;  // version of the program's format
  localparam int unsigned ProgramVersion2 = 2;  // version of a program that uses planes, bases, values or shortcuts
  localparam logic [31:0] CoreId = 32'h314E4E42;  // ID register of the core, "BNN1"
  localparam int unsigned InterfaceVersion = 1;  // version of the registers
  localparam int unsigned HeaderWords = 32;  // words of the program's header
  localparam int unsigned DescriptorWords = 32;  // words of a descriptor
  // bytes of a beat of the memory port; addresses and offsets are multiples of it
  localparam int unsigned BeatBytes = 8;
  localparam int unsigned TableBytes = 256;  // bytes of the pixel table, the first part of the first-layer block
  localparam int unsigned MaxChannels = 4;  // channels of an input image at most
  localparam int unsigned FirstChannels = 512;  // output channels of the first layer at most
  localparam int unsigned FirstTaps = 9;  // taps of the first layer's kernel
  localparam int unsigned FirstValues = 256;  // output channels of the first layer that give a value at most
  localparam int unsigned AccBits = 16;  // bits of an accumulator: a fan-in is below 2^ACC_BITS - 1
  localparam int unsigned ValueBits = 8;  // bits of a value in memory
  localparam int unsigned MaxHandOvers = 16;  // hand-overs of a sum at most
  localparam int unsigned MaxAverage = 255;  // rows, and columns, of a map that is averaged at most
  localparam int unsigned MaxBatch = 1024;  // images of a batch at most
  // beats of a burst of the RTL core's reads at most, for which a ring has room beside a group
  localparam int unsigned BurstBeats = 64;
  // words of a pixel with values below which the RTL core's first layer writes those of two lanes at once
  localparam int unsigned PairWords = 32;
  // cycles from operands to sums in the RTL core's array up to SIMD = 64; each doubling of it adds one
  localparam int unsigned ArrayLatency = 7;
  localparam int unsigned DescriptorUsed = 32;  // words of a descriptor up to the last that is not 0

  // Cycles from operands to sums in the array.
  function automatic int unsigned array_latency(input int unsigned simd);
    return simd > 64 ? ArrayLatency + $clog2(simd / 64) : ArrayLatency;
  endfunction

  // Codes of the error register.
  typedef enum logic [2:0] {
    ErrorNone = 3'd0,  // no error
    ErrorMagic = 3'd1,  // bad magic or version
    ErrorGeometry = 3'd2,  // geometry, or another first layer than the one wired in
    ErrorLayers = 3'd3,  // too many layers, or none
    ErrorResponse = 3'd4,  // AXI error response
    // a value of the header or of a descriptor out of range, sizes or counts of them that disagree, a part of the
    // program that ends beyond its total size, layers that take another number of weight words than their segment has,
    // or an average of a map without rows or columns, or of too many
    ErrorRange = 3'd5,
    ErrorVector = 3'd6  // the program needs the vector unit, which the design does not have
  } error_e;

  // Geometry of the design.
  typedef struct packed {
    logic [15:0] simd;  // SIMD
    logic [7:0] lanes;  // LANES
    logic [7:0] pe;  // PE
  } geometry_t;

  // What stays in the weight memory.
  typedef struct packed {
    logic [15:0] ring_base;  // where the ring of segment B's words begins; 0: they stay too, or none do
    logic [14:0] unused;
    logic resident;  // all weight words, or with ring_base those of segment A
  } kept_t;

  // Size of an image.
  typedef struct packed {
    logic [15:0] width;  // width W
    logic [15:0] height;  // height H
  } image_size_t;

  // Channels and what the first layer does.
  typedef struct packed {
    logic [14:0] unused1;
    logic pixel_map;  // they are written by pixel, else by image
    logic [3:0] first_planes;  // planes of pixels B that are written in place of sums; 0: none
    logic [1:0] unused;
    logic pool;  // 2x2 pool
    logic pad;  // pad 1
    logic [7:0] channels;  // channels C
  } image_mode_t;

  // What the first layer computes, before the pool, even if pool; 0 in pack mode.
  typedef struct packed {
    logic [15:0] columns;  // columns
    logic [15:0] rows;  // rows
  } computed_t;

  // What the first layer gives beyond bits.
  typedef struct packed {
    logic [6:0] unused;
    logic [4:0] shift;  // bits that it is shifted right: 0, 4, ..., 28
    logic [3:0] value_bits;  // 0: the value is signed, of 8 bits; 1 to 8: unsigned, of so many
    logic [15:0] value_channels;  // channels with a value, a multiple of SIMD; 0: none
  } first_result_t;

  // The program's first words. Offsets are in bytes from the program's start, multiples of 8. Word 0 is in the least
  // significant bits.
  typedef struct packed {
    logic [63:0] unused;
    first_result_t first_result;  // what the first layer gives beyond bits
    logic [31:0] elements;  // elements per image H*W*C (pack mode)
    logic [31:0] out_words;  // output words per pixel CW (pack mode: words per image)
    logic [31:0] out_row_stride;  // output row_stride (pack mode: 0)
    logic [31:0] out_image_stride;  // output image_stride
    logic [31:0] out_odd;  // output base for odd sub-batches
    logic [31:0] out_even;  // output base for even sub-batches
    computed_t computed;  // what the first layer computes, before the pool, even if pool; 0 in pack mode
    image_mode_t image_mode;  // channels and what the first layer does
    image_size_t image_size;  // size of an image
    logic [31:0] pixels;  // pixels per image, H*W
    logic [31:0] first_pe;  // FIRST_PE of the design
    logic [31:0] classes;  // classes
    logic [31:0] image_bytes;  // image bytes in memory: H*W*C rounded up to 8
    logic [31:0] first_channels;  // output channels of the first layer rounded up to FIRST_PE (0: pack mode)
    logic [31:0] first;  // offset of the first-layer block
    logic [31:0] words_b;  // its weight-memory words
    logic [31:0] weights_b;  // offset of segment B's weights; 0 without one
    // its weight-memory words: just what its layers take, the sum of groups x (header words + group_words) less
    // weights_back
    logic [31:0] words_a;
    logic [31:0] weights_a;  // offset of segment A's weights
    logic [31:0] descriptors;  // offset of the descriptors
    kept_t kept;  // what stays in the weight memory
    logic [31:0] batch;  // batch B (images, a multiple of S; B = S if LA = L)
    logic [31:0] sub_batch;  // sub-batch S (images)
    logic [31:0] layers_a;  // layers LA of segment A (run per sub-batch)
    logic [31:0] layers;  // array layers L
    logic [31:0] size;  // total size in bytes; no part of the program ends beyond it
    geometry_t geometry;  // geometry of the design
    logic [31:0] version;  // PROGRAM_VERSION
    logic [31:0] magic;  // PROGRAM_MAGIC
  } header_t;

  // What the layer does.
  typedef struct packed {
    logic [7:0] unused;
    logic early;  // a band of rows that may end while the first layer is at work
    logic release_first;  // last layer that reads the first layer's double buffer
    logic shortcut_first;  // the shortcut, or the value to average, is of the first layer's double buffer
    logic shortcut_same;  // the shortcut has the output's height and width, in a layer with stride2
    logic shortcut_average;  // the shortcut is averaged over 2x2, of twice the height and width (with stride2)
    logic shortcut;  // a shortcut is added
    logic bit_planes;  // planes are the bits of the value, the most significant first
    logic value;  // the value is written
    logic average;  // no sums of bits: values are summed over their map
    logic pad_first;  // padding is +1 in the first plane, -1 in the others (with pad_one off)
    logic pad2;  // pad 2 (with pad off)
    logic stride2;  // stride 2
    logic by_image;  // lanes are images of a map that lies by image
    logic vector;  // sums leave through the vector unit
    logic batch_source;  // source was written by image for the whole batch: every layer of segment B
    logic segment_end;  // last layer of its segment
    logic from_first;  // source is the first layer's double buffer
    logic dense;  // lanes are images (dense)
    logic scores;  // scores: the last layer, no other
    logic serial;  // write serially by image
    logic pool;  // 2x2 pool
    logic pad_one;  // padding is +1
    logic pad;  // pad 1
    logic kernel3;  // 3x3 (else 1x1)
  } flags_t;

  // Size of the input.
  typedef struct packed {
    logic [15:0] width;  // input width
    logic [15:0] height;  // input height
  } input_size_t;

  // Passes of a sum; 0: one.
  typedef struct packed {
    logic [20:0] unused;
    logic [1:0] hand;  // when sums are handed over: 0 after all passes, 1 after each outer one, 2 after each pass
    logic planes_outer;  // the outer loop is that over planes, else that over bases
    logic [3:0] more_planes;  // planes N less 1
    logic [3:0] more_bases;  // bases M less 1
  } passes_t;

  // Taps of the kernel; 0: 3x3 or 1x1 by kernel3.
  typedef struct packed {
    logic [15:0] tap_columns;  // columns
    logic [15:0] tap_rows;  // rows
  } taps_t;

  // Where a pixel's planes and value lie among the dest_words.
  typedef struct packed {
    logic [15:0] value_word;  // first word of the value
    logic [15:0] plane_words;  // words per plane: plane k lies at k x these
  } dest_planes_t;

  // What the vector unit gives.
  typedef struct packed {
    logic [18:0] unused1;
    logic [4:0] shift;  // bits that it is shifted right: 0, 4, ..., 28
    logic [3:0] value_bits;  // 0: the value is signed, of 8 bits; 1 to 8: unsigned, of so many
    logic [1:0] unused;
    logic [1:0] thresholds;  // planes by thresholds K
  } result_t;

  // Where a pixel's value lies.
  typedef struct packed {
    logic [15:0] shortcut_word;  // first word of the value
    logic [15:0] shortcut_words;  // words per pixel, all planes and the value
  } shortcut_place_t;

  // What a band of a layer's rows has beside its own descriptor.
  typedef struct packed {
    logic [15:0] weights_back;  // weight words by which the ring goes back behind it
    logic [15:0] source_row;  // row of the first layer's map at which its source begins (with from_first)
  } band_t;

  // One array layer. Word 0 is in the least significant bits.
  typedef struct packed {
    band_t band;  // what a band of a layer's rows has beside its own descriptor
    logic [31:0] shortcut_values;  // words of the value that there are, a multiple of 8: behind them the shortcut is 0
    shortcut_place_t shortcut_place;  // where a pixel's value lies
    logic [31:0] shortcut_row_stride;  // shortcut row_stride
    logic [31:0] shortcut_image_stride;  // shortcut image_stride
    logic [31:0] shortcut_odd;  // shortcut base for odd sub-batches; equal unless shortcut_first
    logic [31:0] shortcut_even;  // shortcut base for even sub-batches
    result_t result;  // what the vector unit gives
    dest_planes_t dest_planes;  // where a pixel's planes and value lie among the dest_words
    taps_t taps;  // taps of the kernel; 0: 3x3 or 1x1 by kernel3
    logic [31:0] source_words;  // words per pixel of the source, all planes and the value; 0: CW
    logic [31:0] pass_words;  // weight words of a pass, taps x CW
    passes_t passes;  // passes of a sum; 0: one
    logic [31:0] out_columns;  // output columns after pool
    logic [31:0] outputs;  // output channels (classes for scores)
    logic [31:0] last_bits;  // valid bits in the last input word of a tap, 1 ... SIMD; of a pixel if flattened
    logic [31:0] group_words;  // weight words per group without header, k*k*CW
    logic [31:0] dest_words;  // destination words per pixel
    logic [31:0] dest_row_stride;  // destination row_stride
    logic [31:0] dest_image_stride;  // destination image_stride
    logic [31:0] dest_base;  // destination base
    logic [31:0] source_row_stride;  // source row_stride
    logic [31:0] source_image_stride;  // source image_stride
    logic [31:0] source_odd;  // source base for odd sub-batches; equal unless from_first
    logic [31:0] source_even;  // source base for even sub-batches
    input_size_t input_size;  // size of the input
    logic [31:0] blocks;  // column blocks ceil(columns / LANES)
    logic [31:0] columns;  // columns computed (before pool; even if pool) = valid lanes over all blocks; dense: LANES
    logic [31:0] rows;  // rows computed (before pool; even if pool)
    logic [31:0] tap_words;  // input words per tap CW
    logic [31:0] groups;  // groups G
    flags_t flags;  // what the layer does
  } descriptor_t;

  // What the header word of a group has for every PE.
  typedef struct packed {
    logic [14:0] unused;
    logic flip;  // flip: the bit is inverted after the pool
    logic [15:0] threshold;  // T, unsigned; absent channels 65535
  } threshold_header_t;

  // What the two header words of a group of the last layer have for every PE. Word 0 is in the least significant bits.
  typedef struct packed {
    logic [15:0] unused;
    logic [15:0] scale;  // scale, signed
    logic [31:0] offset;  // offset, signed
  } score_header_t;

  // What the header word of a hand-over has for every PE, in the order of the hand-overs.
  typedef struct packed {
    logic [6:0] unused;
    logic [24:0] coefficient;  // coefficient, signed; absent channels 0
  } coefficient_header_t;

  // What the two header words of a plane by thresholds, or of a value without any, have for every PE. Word 0 is in the
  // least significant bits.
  typedef struct packed {
    logic [14:0] unused;
    logic flip;  // flip: the bit is inverted after the pool
    logic [15:0] limit;  // threshold on the value, signed; absent channels 256
    logic [31:0] offset;  // offset, signed
  } vector_header_t;

  // An output channel in the first-layer block, behind the pixel table.
  typedef struct packed {
    logic [6:0] unused1;
    logic flip;  // flip: the bit is inverted after the pool
    logic [15:0] threshold;  // T, signed; absent channels 32767
    logic [3:0] unused;
    logic [35:0] weights;  // weights, bit tap*4 + c with tap = 3*ky + kx; unused bits 0
  } first_beat_t;

  // What makes a value of an output channel's sums, behind all channels of the first-layer block.
  typedef struct packed {
    logic [15:0] unused;
    logic [15:0] scale;  // scale, unsigned; absent channels 0
    logic [31:0] offset;  // offset, signed; absent channels 0
  } first_value_t;

  // Control signals.
  typedef struct packed {
    logic [23:0] unused1;
    logic restart;  // auto_restart
    logic [2:0] unused;
    logic ready;  // ap_ready (clear on read)
    logic idle;  // ap_idle
    logic done;  // ap_done (clear on read)
    logic start;  // ap_start
  } reg_control_t;

  // Global interrupt enable.
  typedef struct packed {
    logic [30:0] unused;
    logic interrupts;  // whether status bits raise the interrupt
  } reg_global_enable_t;

  // Interrupt enable.
  typedef struct packed {
    logic [29:0] unused;
    logic enable_ready;  // ready
    logic enable_done;  // done
  } reg_enable_t;

  // Interrupt status, toggle on write.
  typedef struct packed {
    logic [29:0] unused;
    logic status_ready;  // ready
    logic status_done;  // done
  } reg_status_t;

  // Images of a run.
  typedef struct packed {
    logic keep;  // keep: the program of the last run is still the one to run
    logic [30:0] image_count;  // image count
  } reg_count_t;

  // Size of the weight memory, FIRST_PE.
  typedef struct packed {
    logic [15:0] first_pe;  // FIRST_PE
    logic [15:0] weight_depth;  // WEIGHT_DEPTH
  } reg_weights_t;

  // Sizes of the activation memory and of the image buffer.
  typedef struct packed {
    logic [15:0] image_pixels;  // IMAGE_PIXELS
    logic [15:0] act_depth;  // ACT_DEPTH
  } reg_activations_t;

  // What the design has.
  typedef struct packed {
    logic [30:0] unused;
    logic vector;  // the vector unit
  } reg_features_t;

  // What the array is told of a layer: its descriptor, and what changes from one time to the next.
  typedef struct packed {
    logic [15:0] in_batch;  // number of the first image where the destination is written by image
    logic [15:0] images;  // images of the sub-batch or batch
    logic odd;  // parity of the sub-batch
    descriptor_t descriptor;
  } layer_t;

  // Offsets of the registers.
  localparam logic [7:0] RegControl = 8'h00;  // control signals
  localparam logic [7:0] RegGlobalEnable = 8'h04;  // global interrupt enable
  localparam logic [7:0] RegEnable = 8'h08;  // interrupt enable
  localparam logic [7:0] RegStatus = 8'h0C;  // interrupt status, toggle on write
  localparam logic [7:0] RegProgram = 8'h10;  // address of the program
  localparam logic [7:0] RegProgramHigh = 8'h14;  // address of the program
  localparam logic [7:0] RegImages = 8'h1C;  // address of the images
  localparam logic [7:0] RegImagesHigh = 8'h20;  // address of the images
  localparam logic [7:0] RegScores = 8'h28;  // address of the scores
  localparam logic [7:0] RegScoresHigh = 8'h2C;  // address of the scores
  localparam logic [7:0] RegCount = 8'h34;  // images of a run
  localparam logic [7:0] RegId = 8'h40;  // CORE_ID
  localparam logic [7:0] RegVersion = 8'h50;  // INTERFACE_VERSION
  localparam logic [7:0] RegGeometry = 8'h60;  // geometry of the design, as in the program
  localparam logic [7:0] RegWeights = 8'h70;  // size of the weight memory, FIRST_PE
  localparam logic [7:0] RegActivations = 8'h80;  // sizes of the activation memory and of the image buffer
  localparam logic [7:0] RegMaxLayers = 8'h90;  // MAX_LAYERS: array layers of a program
  localparam logic [7:0] RegCycles = 8'hA0;  // cycles of the last run
  localparam logic [7:0] RegBusy = 8'hB0;  // cycles in which the array multiplied
  localparam logic [7:0] RegError = 8'hC0;  // error code of the last run
  localparam logic [7:0] RegFeatures = 8'hD0;  // what the design has
endpackage
