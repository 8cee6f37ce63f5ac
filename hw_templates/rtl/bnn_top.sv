// The accelerator: registers, run controller, first layer, array, memories and AXI masters.
//
// Ports are named as Vitis HLS names them, so the core takes the place of the HLS core in a
// block design. docs/ARCHITECTURE.md is the contract: parameters, program, order of work,
// registers. ap_rst_n is synchronous.
//
// With Ports = 2 the weights come through two ports at once: the low half of every word through the first, which has all
// else too, the high half through m_axi_gmem1. With Ports = 1 the latter is idle.
//
// The tap signals are for simulation: the writes of the activation memory, and pulses when the
// first layer has finished a sub-batch and the array a layer.
module bnn_top
  import bnn_pkg::*;
  import bnn_add_pkg::add;
#(
    parameter int unsigned Pe = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned WeightDepth = 1024,
    parameter int unsigned ActDepth = 1024,
    parameter int unsigned FirstPe = 4,
    parameter bit FirstWired = 1'b0,  // the first layer's weights are wired in, see bnn_first_layer
    parameter int unsigned ImagePixels = 1024,
    parameter int unsigned MaxLayers = 16,
    parameter int unsigned Vector = 0,
    parameter int unsigned Ports = 1,
    parameter int unsigned DspLanes = 0  // lanes whose accumulators are DSP slices
) (
    input  logic        ap_clk,
    input  logic        ap_rst_n,
    /* verilator lint_off SYMRSVDWORD */
    output logic        interrupt,
    /* verilator lint_on SYMRSVDWORD */
    // Registers
    input  logic        s_axi_control_AWVALID,
    output logic        s_axi_control_AWREADY,
    input  logic [7:0]  s_axi_control_AWADDR,
    input  logic        s_axi_control_WVALID,
    output logic        s_axi_control_WREADY,
    input  logic [31:0] s_axi_control_WDATA,
    input  logic [3:0]  s_axi_control_WSTRB,
    output logic        s_axi_control_BVALID,
    input  logic        s_axi_control_BREADY,
    output logic [1:0]  s_axi_control_BRESP,
    input  logic        s_axi_control_ARVALID,
    output logic        s_axi_control_ARREADY,
    input  logic [7:0]  s_axi_control_ARADDR,
    output logic        s_axi_control_RVALID,
    input  logic        s_axi_control_RREADY,
    output logic [31:0] s_axi_control_RDATA,
    output logic [1:0]  s_axi_control_RRESP,
    // Memory
    output logic        m_axi_gmem_AWVALID,
    input  logic        m_axi_gmem_AWREADY,
    output logic [63:0] m_axi_gmem_AWADDR,
    output logic [0:0]  m_axi_gmem_AWID,
    output logic [7:0]  m_axi_gmem_AWLEN,
    output logic [2:0]  m_axi_gmem_AWSIZE,
    output logic [1:0]  m_axi_gmem_AWBURST,
    output logic [1:0]  m_axi_gmem_AWLOCK,
    output logic [3:0]  m_axi_gmem_AWCACHE,
    output logic [2:0]  m_axi_gmem_AWPROT,
    output logic [3:0]  m_axi_gmem_AWQOS,
    output logic [3:0]  m_axi_gmem_AWREGION,
    output logic        m_axi_gmem_WVALID,
    input  logic        m_axi_gmem_WREADY,
    output logic [63:0] m_axi_gmem_WDATA,
    output logic [7:0]  m_axi_gmem_WSTRB,
    output logic        m_axi_gmem_WLAST,
    input  logic        m_axi_gmem_BVALID,
    output logic        m_axi_gmem_BREADY,
    input  logic [0:0]  m_axi_gmem_BID,
    input  logic [1:0]  m_axi_gmem_BRESP,
    output logic        m_axi_gmem_ARVALID,
    input  logic        m_axi_gmem_ARREADY,
    output logic [63:0] m_axi_gmem_ARADDR,
    output logic [0:0]  m_axi_gmem_ARID,
    output logic [7:0]  m_axi_gmem_ARLEN,
    output logic [2:0]  m_axi_gmem_ARSIZE,
    output logic [1:0]  m_axi_gmem_ARBURST,
    output logic [1:0]  m_axi_gmem_ARLOCK,
    output logic [3:0]  m_axi_gmem_ARCACHE,
    output logic [2:0]  m_axi_gmem_ARPROT,
    output logic [3:0]  m_axi_gmem_ARQOS,
    output logic [3:0]  m_axi_gmem_ARREGION,
    input  logic        m_axi_gmem_RVALID,
    output logic        m_axi_gmem_RREADY,
    input  logic [63:0] m_axi_gmem_RDATA,
    input  logic        m_axi_gmem_RLAST,
    input  logic [0:0]  m_axi_gmem_RID,
    input  logic [1:0]  m_axi_gmem_RRESP,
    // Memory, the second port, which reads
    output logic        m_axi_gmem1_ARVALID,
    input  logic        m_axi_gmem1_ARREADY,
    output logic [63:0] m_axi_gmem1_ARADDR,
    output logic [0:0]  m_axi_gmem1_ARID,
    output logic [7:0]  m_axi_gmem1_ARLEN,
    output logic [2:0]  m_axi_gmem1_ARSIZE,
    output logic [1:0]  m_axi_gmem1_ARBURST,
    output logic [1:0]  m_axi_gmem1_ARLOCK,
    output logic [3:0]  m_axi_gmem1_ARCACHE,
    output logic [2:0]  m_axi_gmem1_ARPROT,
    output logic [3:0]  m_axi_gmem1_ARQOS,
    output logic [3:0]  m_axi_gmem1_ARREGION,
    input  logic        m_axi_gmem1_RVALID,
    output logic        m_axi_gmem1_RREADY,
    input  logic [63:0] m_axi_gmem1_RDATA,
    input  logic        m_axi_gmem1_RLAST,
    input  logic [0:0]  m_axi_gmem1_RID,
    input  logic [1:0]  m_axi_gmem1_RRESP
);
  localparam int unsigned AddrBits = $clog2(ActDepth);
  localparam int unsigned RingBits = $clog2(WeightDepth);
  localparam int unsigned Groups = Simd / Pe;
  localparam int unsigned PartBeats = Pe * Simd / 64 / Ports;  // of a weight word, through each port
  localparam int unsigned PartShift = $clog2(PartBeats);

  if (Ports != 1 && Ports != 2) begin : gen_check_ports
    $error("bnn_top: Ports = %0d, must be 1 or 2", Ports);
  end

  logic clk, rst, flush, control_rst, run_rst, first_rst, ring_rst, write_rst;
  assign clk = ap_clk;
  always_ff @(posedge clk) rst <= ~ap_rst_n;

  // The large units have resets of their own; first layer and engine are reset at the end of a run too.
  bnn_register u_control_rst (
      .clk_i (clk),
      .data_i(rst),
      .data_o(control_rst)
  );

  bnn_register u_ring_rst (
      .clk_i (clk),
      .data_i(rst),
      .data_o(ring_rst)
  );

  bnn_register u_write_rst (
      .clk_i (clk),
      .data_i(rst),
      .data_o(write_rst)
  );

  bnn_register u_run_rst (
      .clk_i (clk),
      .data_i(rst),
      .data_o(run_rst)
  );

  bnn_register u_first_rst (
      .clk_i (clk),
      .data_i(rst | flush),
      .data_o(first_rst)
  );

  // ---- Registers -----------------------------------------------------------------------------

  logic start, done;
  logic [63:0] program_addr, images_addr, scores_addr;
  logic [31:0] cycles, busy_cycles;
  reg_count_t count;
  error_e error_code;

  bnn_control #(
      .Pe         (Pe),
      .Simd       (Simd),
      .Lanes      (Lanes),
      .WeightDepth(WeightDepth),
      .ActDepth   (ActDepth),
      .FirstPe    (FirstPe),
      .ImagePixels(ImagePixels),
      .MaxLayers  (MaxLayers),
      .Vector     (Vector)
  ) u_control (
      .clk_i        (clk),
      .rst_i        (control_rst),
      .awvalid_i    (s_axi_control_AWVALID),
      .awready_o    (s_axi_control_AWREADY),
      .awaddr_i     (s_axi_control_AWADDR),
      .wvalid_i     (s_axi_control_WVALID),
      .wready_o     (s_axi_control_WREADY),
      .wdata_i      (s_axi_control_WDATA),
      .wstrb_i      (s_axi_control_WSTRB),
      .bvalid_o     (s_axi_control_BVALID),
      .bready_i     (s_axi_control_BREADY),
      .bresp_o      (s_axi_control_BRESP),
      .arvalid_i    (s_axi_control_ARVALID),
      .arready_o    (s_axi_control_ARREADY),
      .araddr_i     (s_axi_control_ARADDR),
      .rvalid_o     (s_axi_control_RVALID),
      .rready_i     (s_axi_control_RREADY),
      .rdata_o      (s_axi_control_RDATA),
      .rresp_o      (s_axi_control_RRESP),
      .interrupt_o  (interrupt),
      .start_o      (start),
      .done_i       (done),
      .program_o    (program_addr),
      .images_o     (images_addr),
      .scores_o     (scores_addr),
      .count_o      (count),
      .cycles_i     (cycles),
      .busy_cycles_i(busy_cycles),
      .error_code_i (error_code)
  );

  // ---- Run controller ------------------------------------------------------------------------

  logic bus_busy_q, bus_error_q, clear_error, write_abort, credit_set;
  logic [2:0] read_command_valid, read_command_ready, read_valid, read_busy, read_error, read_abort;
  logic [2:0][63:0] read_command_addr, read_data;
  logic [2:0][31:0] read_command_beats;
  logic ring_clear, ring_hold, ring_rewind, ring_in_b, ring_limit, ring_pop, ring_read;
  logic ring_all, ring_none, ring_none_q, ring_pop_room, ring_pop_more;
  logic ring_gives_q, ring_stored;  // room with a pop; a word has taken room that it gives back, as it stays
  logic [RingBits:0] ring_words, ring_available, ring_pop_count;
  logic [RingBits-1:0] ring_index, ring_base, ring_base_q;
  logic [Pe*Simd-1:0] ring_data;
  header_t header;
  logic first_start, first_load, first_wrong, first_row, first_done, first_consumed, first_give;
  logic rows_wait;
  logic [AddrBits:0] rows;
  logic [63:0] first_images, first_data, section_addr;
  logic [31:0] first_count, section_beats;
  logic [9:0] first_index;
  logic layer_start, layer_done, multiply;
  layer_t layer;
  logic [63:0] layer_scores, scores_next;
  logic write_busy, write_error;

  // Masters of the read port, by priority; the second port has a reader of weights alone.
  localparam int unsigned Image = 0, Program = 1, Weight = 2;

  logic second_ready, second_busy, second_error;
  logic [Ports-1:0] weight_valid;
  logic [Ports*64-1:0] weight_data;

  always_ff @(posedge clk) begin
    bus_busy_q  <= (|read_busy) | write_busy | second_busy;
    bus_error_q <= (|read_error) | write_error | second_error;
  end

  bnn_run #(
      .Pe         (Pe),
      .Simd       (Simd),
      .Lanes      (Lanes),
      .WeightDepth(WeightDepth),
      .ActDepth   (ActDepth),
      .FirstPe    (FirstPe),
      .ImagePixels(ImagePixels),
      .MaxLayers  (MaxLayers),
      .Vector     (Vector)
  ) u_run (
      .clk_i               (clk),
      .rst_i               (run_rst),
      .start_i             (start),
      .program_i           (program_addr),
      .images_i            (images_addr),
      .scores_i            (scores_addr),
      .count_i             (count.image_count),
      .keep_i              (count.keep),
      .done_o              (done),
      .cycles_o            (cycles),
      .busy_o              (busy_cycles),
      .error_o             (error_code),
      .bus_busy_i          (bus_busy_q),
      .bus_error_i         (bus_error_q),
      .clear_error_o       (clear_error),
      .read_abort_o        (read_abort),
      .write_abort_o       (write_abort),
      .flush_o             (flush),
      .section_addr_o      (section_addr),
      .section_beats_o     (section_beats),
      .program_valid_o     (read_command_valid[Program]),
      .program_ready_i     (read_command_ready[Program]),
      .weight_valid_o      (read_command_valid[Weight]),
      .weight_ready_i      (read_command_ready[Weight] & second_ready),
      .credit_set_o        (credit_set),
      .beat_valid_i        (read_valid[Program]),
      .beat_i              (read_data[Program]),
      .ring_clear_o        (ring_clear),
      .ring_hold_o         (ring_hold),
      .ring_words_o        (ring_words),
      .ring_rewind_o       (ring_rewind),
      .ring_in_b_o         (ring_in_b),
      .ring_limit_o        (ring_limit),
      .header_o            (header),
      .first_start_o       (first_start),
      .first_images_o      (first_images),
      .first_count_o       (first_count),
      .first_load_o        (first_load),
      .first_index_o       (first_index),
      .first_data_o        (first_data),
      .first_wrong_i       (first_wrong),
      .first_row_i         (first_row),
      .first_done_i        (first_done),
      .first_consumed_o    (first_consumed),
      .layer_start_o       (layer_start),
      .layer_o             (layer),
      .layer_scores_o      (layer_scores),
      .rows_wait_o         (rows_wait),
      .rows_o              (rows),
      .scores_next_i       (scores_next),
      .layer_done_i        (layer_done),
      .multiply_i          (multiply)
  );

  // ---- Reads ---------------------------------------------------------------------------------

  logic first_hungry, first_give_q, weight_yield_q;
  logic [2:0] ar_valid, ar_ready, r_valid, read_want;
  logic [2:0][63:0] ar_addr;
  logic [2:0][7:0] ar_len;
  logic [63:0] r_data;
  logic [1:0] r_resp;
  logic r_last;

  // The image queue of the first layer has 128 beats; the ring gives its room back word by word, of which a port
  // brings PartBeats, in as many a burst. Where words stay in front of it, it begins with less: they need none.
  // Weights yield to images: the array can run ahead of its weights, not of its images. The program is waited for.
  localparam int unsigned Credit[3] = '{128, 128, WeightDepth << PartShift};
  localparam int unsigned WeightBits = RingBits + PartShift + 1;  // of that credit
  localparam int unsigned CreditBits[3] = '{10, 10, WeightBits < 10 ? 10 : WeightBits};

  localparam int unsigned MaxBurst[3] = '{BurstBeats, BurstBeats, Ports == 1 ? BurstBeats : PartBeats};
  localparam int unsigned Outstanding[3] = '{4, 4, 4 * Ports};

  // In words, modulo the credit's range; a copy for each port. The header has been there for long when ring_limit comes.
  localparam int unsigned GiveBits = CreditBits[Weight] - PartShift;
  logic [GiveBits-1:0] room, ring_less_q;
  logic [Ports-1:0][GiveBits-1:0] weight_give;

  assign ring_base = header.kept.ring_base[RingBits-1:0];
  assign room = ({GiveBits{ring_limit}} & ring_less_q)
      | ({GiveBits{ring_pop_room & ring_gives_q}} & GiveBits'(ring_pop_count)) | GiveBits'(ring_stored);

  always_ff @(posedge clk) begin
    ring_base_q    <= ring_base;
    ring_less_q    <= GiveBits'(add(~32'(ring_base_q), 32'd1));
    ring_none_q    <= ring_none;
    ring_gives_q   <= ~ring_hold & (ring_none_q | ring_in_b);
    first_give_q   <= first_give;
    weight_yield_q <= read_want[Image] & first_hungry;
  end

  bnn_equal #(
      .Bits(RingBits)
  ) u_ring_none (
      .a_i    (ring_base_q),
      .b_i    ('0),
      .equal_o(ring_none)
  );

  for (genvar i = 0; i < Ports; i++) begin : gen_give
    bnn_register #(
        .Bits(GiveBits)
    ) u_give (
        .clk_i (clk),
        .data_i(room),
        .data_o(weight_give[i])
    );
  end

  assign read_command_addr[Program]  = section_addr;
  assign read_command_addr[Weight]   = section_addr;
  assign read_command_beats[Program] = section_beats;
  assign read_command_beats[Weight]  = section_beats >> (Ports - 1);

  for (genvar m = 0; m < 3; m++) begin : gen_reader
    logic reader_rst;
    logic [CreditBits[m]-1:0] give;

    if (m == Weight) begin : gen_weight
      assign give = CreditBits[m]'(weight_give[0]) << PartShift;
    end else if (m == Image) begin : gen_image
      assign give = CreditBits[m]'(first_give_q);
    end else begin : gen_program
      assign give = '0;
    end

    bnn_register u_rst (
        .clk_i (clk),
        .data_i(rst),
        .data_o(reader_rst)
    );
    bnn_axi_read #(
        .MaxBurst      (MaxBurst[m]),
        .MaxOutstanding(Outstanding[m]),
        .Stripes       (m == Weight ? Ports : 1),
        .CreditBits    (CreditBits[m]),
        .Credit        (Credit[m]),
        .Limited       (m != Program)
    ) u_read (
        .clk_i          (clk),
        .rst_i          (reader_rst),
        .command_valid_i(read_command_valid[m] & (m == Weight ? second_ready : 1'b1)),
        .command_ready_o(read_command_ready[m]),
        .addr_i         (read_command_addr[m]),
        .beats_i        (read_command_beats[m]),
        .valid_o        (read_valid[m]),
        .data_o         (read_data[m]),
        .credit_set_i   (credit_set),
        .credit_give_i  (give),
        .yield_i        (m == Weight ? weight_yield_q : 1'b0),
        .want_o         (read_want[m]),
        .abort_i        (read_abort[m]),
        .busy_o         (read_busy[m]),
        .clear_error_i  (clear_error),
        .error_o        (read_error[m]),
        .arvalid_o      (ar_valid[m]),
        .arready_i      (ar_ready[m]),
        .araddr_o       (ar_addr[m]),
        .arlen_o        (ar_len[m]),
        .rvalid_i       (r_valid[m]),
        .rdata_i        (r_data),
        .rresp_i        (r_resp),
        .rlast_i        (r_last)
    );
  end

  assign weight_valid[0]   = read_valid[Weight];
  assign weight_data[63:0] = read_data[Weight];

  // A command goes to both readers of weights in the same cycle.
  if (Ports == 1) begin : gen_one_port
    assign second_ready = 1'b1;
    assign second_busy  = 1'b0;
    assign second_error = 1'b0;
    assign m_axi_gmem1_ARVALID = 1'b0;
    assign m_axi_gmem1_ARADDR  = '0;
    assign m_axi_gmem1_ARLEN   = '0;
    assign m_axi_gmem1_RREADY  = 1'b0;

    logic unused_second;
    assign unused_second = ^{m_axi_gmem1_ARREADY, m_axi_gmem1_RVALID, m_axi_gmem1_RDATA, m_axi_gmem1_RLAST,
                             m_axi_gmem1_RRESP};
  end else begin : gen_two_ports
    logic second_want;

    bnn_axi_read #(
        .MaxBurst      (MaxBurst[Weight]),
        .MaxOutstanding(Outstanding[Weight]),
        .Stripes       (Ports),
        .Stripe        (1),
        .CreditBits    (CreditBits[Weight]),
        .Credit        (Credit[Weight])
    ) u_read (
        .clk_i          (clk),
        .rst_i          (rst),
        .command_valid_i(read_command_valid[Weight] & read_command_ready[Weight]),
        .command_ready_o(second_ready),
        .addr_i         (read_command_addr[Weight]),
        .beats_i        (read_command_beats[Weight]),
        .valid_o        (weight_valid[1]),
        .data_o         (weight_data[127:64]),
        .credit_set_i   (credit_set),
        .credit_give_i  (CreditBits[Weight]'(weight_give[1]) << PartShift),
        .yield_i        (1'b0),
        .want_o         (second_want),
        .abort_i        (read_abort[Weight]),
        .busy_o         (second_busy),
        .clear_error_i  (clear_error),
        .error_o        (second_error),
        .arvalid_o      (m_axi_gmem1_ARVALID),
        .arready_i      (m_axi_gmem1_ARREADY),
        .araddr_o       (m_axi_gmem1_ARADDR),
        .arlen_o        (m_axi_gmem1_ARLEN),
        .rvalid_i       (m_axi_gmem1_RVALID),
        .rdata_i        (m_axi_gmem1_RDATA),
        .rresp_i        (m_axi_gmem1_RRESP),
        .rlast_i        (m_axi_gmem1_RLAST)
    );

    assign m_axi_gmem1_RREADY = 1'b1;

    logic unused_second;
    assign unused_second = second_want;
  end

  assign m_axi_gmem1_ARID     = '0;
  assign m_axi_gmem1_ARSIZE   = 3'd3;
  assign m_axi_gmem1_ARBURST  = 2'd1;
  assign m_axi_gmem1_ARLOCK   = '0;
  assign m_axi_gmem1_ARCACHE  = 4'd3;
  assign m_axi_gmem1_ARPROT   = '0;
  assign m_axi_gmem1_ARQOS    = '0;
  assign m_axi_gmem1_ARREGION = '0;

  bnn_read_arbiter #(
      .Masters       (3),
      .MaxOutstanding(16)
  ) u_arbiter (
      .clk_i     (clk),
      .rst_i     (rst),
      .ar_valid_i(ar_valid),
      .ar_ready_o(ar_ready),
      .ar_addr_i (ar_addr),
      .ar_len_i  (ar_len),
      .r_valid_o (r_valid),
      .r_data_o  (r_data),
      .r_resp_o  (r_resp),
      .r_last_o  (r_last),
      .arvalid_o (m_axi_gmem_ARVALID),
      .arready_i (m_axi_gmem_ARREADY),
      .araddr_o  (m_axi_gmem_ARADDR),
      .arlen_o   (m_axi_gmem_ARLEN),
      .rvalid_i  (m_axi_gmem_RVALID),
      .rready_o  (m_axi_gmem_RREADY),
      .rdata_i   (m_axi_gmem_RDATA),
      .rresp_i   (m_axi_gmem_RRESP),
      .rlast_i   (m_axi_gmem_RLAST)
  );

  assign m_axi_gmem_ARID     = '0;
  assign m_axi_gmem_ARSIZE   = 3'd3;
  assign m_axi_gmem_ARBURST  = 2'd1;
  assign m_axi_gmem_ARLOCK   = '0;
  assign m_axi_gmem_ARCACHE  = 4'd3;
  assign m_axi_gmem_ARPROT   = '0;
  assign m_axi_gmem_ARQOS    = '0;
  assign m_axi_gmem_ARREGION = '0;

  // ---- Weight ring ---------------------------------------------------------------------------

  bnn_weight_ring #(
      .WordBits(Pe * Simd),
      .Depth   (WeightDepth),
      .Ports   (Ports)
  ) u_ring (
      .clk_i        (clk),
      .rst_i        (ring_rst),
      .clear_i      (ring_clear),
      .hold_i       (ring_hold),
      .words_i      (ring_words),
      .ring_i       (ring_base),
      .kept_i       (header.words_a[RingBits:0]),
      .in_b_i       (ring_in_b),
      .stored_o     (ring_stored),
      .beat_valid_i (weight_valid),
      .beat_i       (weight_data),
      .available_o  (ring_available),
      .all_o        (ring_all),
      .pop_i        ({ring_pop_more, ring_pop}),
      .pop_count_i  (ring_pop_count),
      .rewind_i     (ring_rewind),
      .read_i       (ring_read),
      .index_i      (ring_index),
      .data_o       (ring_data)
  );

  // ---- First layer ---------------------------------------------------------------------------

  logic first_valid, first_wait, write_next;  // write_next: the array's, or a read at that port
  logic [Lanes-1:0] first_lane;
  logic [AddrBits-1:0] first_addr;
  logic [2*Simd-1:0] first_write_data;

  bnn_first_layer #(
      .Simd       (Simd),
      .Lanes      (Lanes),
      .ActDepth   (ActDepth),
      .FirstPe    (FirstPe),
      .ImagePixels(ImagePixels),
      .FirstWired (FirstWired),
      .Vector     (Vector != 0)
  ) u_first (
      .clk_i          (clk),
      .rst_i          (first_rst),
      .load_valid_i   (first_load),
      .load_index_i   (first_index),
      .load_data_i    (first_data),
      .wrong_o        (first_wrong),
      .header_i       (header),
      .start_i        (first_start),
      .count_i        (first_count),
      .images_i       (first_images),
      .consumed_i     (first_consumed),
      .row_o          (first_row),
      .done_o         (first_done),
      .command_valid_o(read_command_valid[Image]),
      .command_ready_i(read_command_ready[Image]),
      .command_addr_o (read_command_addr[Image]),
      .command_beats_o(read_command_beats[Image]),
      .beat_valid_i   (read_valid[Image]),
      .beat_i         (read_data[Image]),
      .beat_give_o    (first_give),
      .hungry_o       (first_hungry),
      .write_valid_o  (first_valid),
      .write_wait_i   (first_wait),
      .write_next_i   (write_next),
      .write_lane_o   (first_lane),
      .write_addr_o   (first_addr),
      .write_data_o   (first_write_data)
  );

  // ---- Array ---------------------------------------------------------------------------------

  logic act_read, write_read, score_valid, score_ready;
  logic [Lanes*AddrBits-1:0] act_addr;
  logic [Lanes*Simd-1:0] act_data, second_data, write_data;
  logic [Lanes-1:0] write_lane;
  logic [Groups-1:0] write_group;
  logic [AddrBits-1:0] write_addr;
  logic [63:0] score_addr;
  logic [1:0] score_half;
  logic [63:0] score;

  bnn_engine #(
      .Pe         (Pe),
      .Simd       (Simd),
      .Lanes      (Lanes),
      .WeightDepth(WeightDepth),
      .ActDepth   (ActDepth),
      .Vector     (Vector),
      .DspLanes   (DspLanes)
  ) u_engine (
      .clk_i           (clk),
      .rst_i           (rst | flush),
      .start_i         (layer_start),
      .layer_i         (layer),
      .scores_i        (layer_scores),
      .rows_wait_i     (rows_wait),
      .rows_i          (rows),
      .scores_next_o   (scores_next),
      .done_o          (layer_done),
      .multiply_o      (multiply),
      .ring_available_i(ring_available),
      .ring_all_i      (ring_all),
      .ring_read_o     (ring_read),
      .ring_index_o    (ring_index),
      .ring_data_i     (ring_data),
      .ring_pop_o      (ring_pop),
      .ring_pop_again_o(ring_pop_room),
      .ring_pop_more_o (ring_pop_more),
      .ring_pop_count_o(ring_pop_count),
      .act_read_o      (act_read),
      .act_addr_o      (act_addr),
      .act_data_i      (act_data),
      .write_next_o    (write_next),
      .write_read_o    (write_read),
      .write_lane_o    (write_lane),
      .write_group_o   (write_group),
      .write_addr_o    (write_addr),
      .write_data_o    (write_data),
      .second_data_i   (second_data),
      .score_valid_o   (score_valid),
      .score_ready_i   (score_ready),
      .score_addr_o    (score_addr),
      .score_half_o    (score_half),
      .score_o         (score)
  );

  // ---- Activation memory -----------------------------------------------------------------------

  logic [Lanes-1:0] act_write_lane;
  logic [Lanes*Groups-1:0] act_write_group;
  logic [Lanes*AddrBits-1:0] act_write_addr;
  logic [Lanes*Simd-1:0] act_write_data;
  logic [Lanes-1:0] second_read;

  bnn_act_write #(
      .Simd     (Simd),
      .Lanes    (Lanes),
      .AddrBits (AddrBits),
      .GroupBits(Pe)
  ) u_act_write (
      .clk_i        (clk),
      .array_next_i (write_next),
      .array_read_i (write_read),
      .array_lane_i (write_lane),
      .array_group_i(write_group),
      .array_addr_i (write_addr),
      .array_data_i (write_data),
      .first_valid_i(first_valid),
      .first_wait_o (first_wait),
      .first_lane_i (first_lane),
      .first_addr_i (first_addr),
      .first_data_i (first_write_data),
      .write_lane_o (act_write_lane),
      .write_group_o(act_write_group),
      .write_addr_o (act_write_addr),
      .write_data_o (act_write_data),
      .read_o       (second_read)
  );

  bnn_act_mem #(
      .Simd     (Simd),
      .Lanes    (Lanes),
      .Depth    (ActDepth),
      .GroupBits(Pe),
      .Second   (Vector != 0)
  ) u_act (
      .clk_i        (clk),
      .read_i       (act_read),
      .read_addr_i  (act_addr),
      .data_o       (act_data),
      .write_lane_i (act_write_lane),
      .write_group_i(act_write_group),
      .write_addr_i (act_write_addr),
      .write_data_i (act_write_data),
      .second_i     (second_read),
      .second_o     (second_data)
  );

  // For simulation: what is written, and when a sub-batch or a layer is done.
  logic [Lanes-1:0] tap_write_lane  /* verilator public_flat_rd */;
  logic [Groups-1:0] tap_write_group  /* verilator public_flat_rd */;
  logic [Lanes*AddrBits-1:0] tap_write_addr  /* verilator public_flat_rd */;
  logic [Lanes*Simd-1:0] tap_write_data  /* verilator public_flat_rd */;
  logic tap_first_done  /* verilator public_flat_rd */;
  logic tap_layer_done  /* verilator public_flat_rd */;

  // A layer is done when the next one can start; its last writes are still on their way.
  logic [7:0] layer_done_q;
  always_ff @(posedge clk) layer_done_q <= rst ? '0 : {layer_done_q[6:0], layer_done};

  assign tap_write_lane  = first_wait ? write_lane : first_lane & {Lanes{first_valid}};
  assign tap_write_group = first_wait ? write_group : '1;
  assign tap_write_addr  = {Lanes{first_wait ? write_addr : first_addr}};
  assign tap_write_data  = first_wait ? write_data : {Lanes / 2{first_write_data}};
  assign tap_first_done  = first_done;
  assign tap_layer_done  = layer_done_q[7];

  // ---- Writes of scores ----------------------------------------------------------------------

  bnn_axi_write u_write (
      .clk_i          (clk),
      .rst_i          (write_rst),
      .command_valid_i(score_valid),
      .command_ready_o(score_ready),
      .addr_i         (score_addr),
      .half_i         (score_half),
      .data_i         (score),
      .hold_i         (write_abort),
      .busy_o         (write_busy),
      .clear_error_i  (clear_error),
      .error_o        (write_error),
      .awvalid_o      (m_axi_gmem_AWVALID),
      .awready_i      (m_axi_gmem_AWREADY),
      .awaddr_o       (m_axi_gmem_AWADDR),
      .awlen_o        (m_axi_gmem_AWLEN),
      .wvalid_o       (m_axi_gmem_WVALID),
      .wready_i       (m_axi_gmem_WREADY),
      .wdata_o        (m_axi_gmem_WDATA),
      .wstrb_o        (m_axi_gmem_WSTRB),
      .wlast_o        (m_axi_gmem_WLAST),
      .bvalid_i       (m_axi_gmem_BVALID),
      .bready_o       (m_axi_gmem_BREADY),
      .bresp_i        (m_axi_gmem_BRESP)
  );

  assign m_axi_gmem_AWID     = '0;
  assign m_axi_gmem_AWSIZE   = 3'd3;
  assign m_axi_gmem_AWBURST  = 2'd1;
  assign m_axi_gmem_AWLOCK   = '0;
  assign m_axi_gmem_AWCACHE  = 4'd3;
  assign m_axi_gmem_AWPROT   = '0;
  assign m_axi_gmem_AWQOS    = '0;
  assign m_axi_gmem_AWREGION = '0;

  logic unused_top;
  assign unused_top = ^{read_want, m_axi_gmem_BID, m_axi_gmem_RID, m_axi_gmem1_RID};
endmodule
