// The contract between planner, cores and host: registers, the words of a program, error codes (docs/ARCHITECTURE.md).
// Generated from bnn/contract.py by python -m hls contract; do not edit.
package bnn_pkg;
  // verilator lint_off UNUSEDPARAM  // a package names what some of its users leave out
  localparam logic [31:0] ProgramMagic = 32'h504E4E42;  // first word of a program, "BNNP"
  localparam int unsigned ProgramVersion = 1;  // version of the program's format
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
  localparam int unsigned AccBits = 16;  // bits of an accumulator: a fan-in is below 2^ACC_BITS - 1
  localparam int unsigned MaxBatch = 1024;  // images of a batch at most
  // cycles from operands to sums in the RTL core's array up to SIMD = 64; each doubling of it adds one
  localparam int unsigned ArrayLatency = 9;
  localparam int unsigned DescriptorUsed = 19;  // words of a descriptor up to the last that is not 0

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
    // program that ends beyond its total size, or layers that take another number of weight words than their segment
    // has
    ErrorRange = 3'd5
  } error_e;

  // Geometry of the design.
  typedef struct packed {
    logic [15:0] simd;  // SIMD
    logic [7:0] lanes;  // LANES
    logic [7:0] pe;  // PE
  } geometry_t;

  // Size of an image.
  typedef struct packed {
    logic [15:0] width;  // width W
    logic [15:0] height;  // height H
  } image_size_t;

  // Channels and what the first layer does.
  typedef struct packed {
    logic [21:0] unused;
    logic pool;  // 2x2 pool
    logic pad;  // pad 1
    logic [7:0] channels;  // channels C
  } image_mode_t;

  // What the first layer computes, before the pool, even if pool; 0 in pack mode.
  typedef struct packed {
    logic [15:0] columns;  // columns
    logic [15:0] rows;  // rows
  } computed_t;

  // The program's first words. Offsets are in bytes from the program's start, multiples of 8. Word 0 is in the least
  // significant bits.
  typedef struct packed {
    logic [95:0] unused;
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
    // its weight-memory words: just what its layers take, the sum of groups x (header words + group_words)
    logic [31:0] words_a;
    logic [31:0] weights_a;  // offset of segment A's weights
    logic [31:0] descriptors;  // offset of the descriptors
    logic [31:0] resident;  // 1 if all weight words fit the weight memory and stay there
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
    logic [21:0] unused;
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

  // One array layer. Word 0 is in the least significant bits.
  typedef struct packed {
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

  // An output channel in the first-layer block, behind the pixel table.
  typedef struct packed {
    logic [6:0] unused1;
    logic flip;  // flip: the bit is inverted after the pool
    logic [15:0] threshold;  // T, signed; absent channels 32767
    logic [3:0] unused;
    logic [35:0] weights;  // weights, bit tap*4 + c with tap = 3*ky + kx; unused bits 0
  } first_beat_t;

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
endpackage
