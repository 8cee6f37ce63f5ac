// The HLS core in place of the RTL core: its C++ behind the ports and registers of both.
//
// A run reads the program and the images through the memory port, calls the C++ (bnn_dpi.cpp) in one
// cycle and writes the scores. So buses, registers, interrupt and results are those of the core, its
// timing is not. The registers and the AXI masters are those of the RTL core.
module bnn_top #(
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
    input  logic [1:0]  m_axi_gmem_RRESP
);
  // Regions of memory, as bnn_dpi.cpp counts them.
  localparam int Program = 0, Images = 1;

  import "DPI-C" function void bnn_dpi_begin();
  import "DPI-C" function void bnn_dpi_beat(input int region, input longint data);
  import "DPI-C" function int bnn_dpi_header();           // error code
  import "DPI-C" function int bnn_dpi_beats(input int region);  // program; one image
  import "DPI-C" function int bnn_dpi_run(input int count);     // error code
  import "DPI-C" function int bnn_dpi_cycles();
  import "DPI-C" function int bnn_dpi_busy();
  import "DPI-C" function int bnn_dpi_scores();           // number of scores
  import "DPI-C" function int bnn_dpi_score(input int index);

  logic rst, start, done;
  logic [63:0] program_addr, images_addr, scores_addr;
  logic [31:0] count, cycles_q, busy_q, error_q;
  bnn_pkg::reg_count_t count_keep;
  assign count = {1'b0, count_keep.image_count};  // the HLS core makes no use of "keep"
  always_ff @(posedge ap_clk) rst <= ~ap_rst_n;

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
      .clk_i        (ap_clk),
      .rst_i        (rst),
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
      .count_o      (count_keep),
      .cycles_i     (cycles_q),
      .busy_cycles_i(busy_q),
      .error_code_i (bnn_pkg::error_e'(error_q[2:0]))
  );

  // ---- Memory port -----------------------------------------------------------------------------

  logic read_valid_q, read_ready, beat_valid, read_busy, read_error, clear_error, abort;
  logic [63:0] read_addr_q, beat;
  logic [31:0] read_beats_q;
  logic write_valid_q, write_ready, write_busy, write_error;
  logic [63:0] write_addr_q;
  logic [31:0] write_data_q;

  bnn_axi_read #(
      .CreditBits(33),
      .Credit    (32'hFFFFFFFF)
  ) u_read (
      .clk_i          (ap_clk),
      .rst_i          (rst),
      .command_valid_i(read_valid_q),
      .command_ready_o(read_ready),
      .addr_i         (read_addr_q),
      .beats_i        (read_beats_q),
      .valid_o        (beat_valid),
      .data_o         (beat),
      .credit_set_i   (start),
      .credit_give_i  ('0),
      .abort_i        (abort),
      .busy_o         (read_busy),
      .clear_error_i  (clear_error),
      .error_o        (read_error),
      .arvalid_o      (m_axi_gmem_ARVALID),
      .arready_i      (m_axi_gmem_ARREADY),
      .araddr_o       (m_axi_gmem_ARADDR),
      .arlen_o        (m_axi_gmem_ARLEN),
      .rvalid_i       (m_axi_gmem_RVALID),
      .rdata_i        (m_axi_gmem_RDATA),
      .rresp_i        (m_axi_gmem_RRESP),
      .rlast_i        (m_axi_gmem_RLAST)
  );
  assign m_axi_gmem_RREADY = 1'b1;

  bnn_axi_write u_write (
      .clk_i          (ap_clk),
      .rst_i          (rst),
      .command_valid_i(write_valid_q & write_ready),
      .command_ready_o(write_ready),
      .addr_i         ({write_addr_q[63:3], 3'b000}),
      .half_i         (write_addr_q[2] ? 2'b10 : 2'b01),
      .data_i         ({2{write_data_q}}),
      .hold_i         (1'b0),
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
  assign m_axi_gmem_ARID     = '0;
  assign m_axi_gmem_ARSIZE   = 3'd3;
  assign m_axi_gmem_ARBURST  = 2'd1;
  assign m_axi_gmem_ARLOCK   = '0;
  assign m_axi_gmem_ARCACHE  = 4'd3;
  assign m_axi_gmem_ARPROT   = '0;
  assign m_axi_gmem_ARQOS    = '0;
  assign m_axi_gmem_ARREGION = '0;

  // ---- A run -------------------------------------------------------------------------------------

  typedef enum logic [2:0] {
    Idle,
    Header,
    Body,
    Pixels,
    Run,
    Write,
    Drain
  } state_e;
  state_e state_q;
  logic [31:0] left_q;   // beats to come
  logic [31:0] score_q;  // next score to write

  assign clear_error = state_q == Idle;
  assign abort       = state_q == Drain;
  assign done        = state_q == Drain && !read_valid_q && !write_valid_q && !read_busy && !write_busy;

  always_ff @(posedge ap_clk) begin
    if (rst) begin
      state_q       <= Idle;
      read_valid_q  <= 1'b0;
      write_valid_q <= 1'b0;
      cycles_q      <= '0;
      busy_q        <= '0;
      error_q       <= '0;
    end else begin
      if (read_ready) read_valid_q <= 1'b0;
      if (write_ready) write_valid_q <= 1'b0;
      if (beat_valid && state_q != Drain) begin
        bnn_dpi_beat(state_q == Pixels ? Images : Program, beat);
        left_q <= left_q - 32'd1;
      end

      case (state_q)
        Idle:
        if (start) begin
          cycles_q <= '0;
          busy_q   <= '0;
          error_q  <= '0;
          bnn_dpi_begin();
          if (count == '0) begin
            state_q <= Drain;
          end else begin
            read_valid_q <= 1'b1;
            read_addr_q  <= program_addr;
            read_beats_q <= 32'd16;
            left_q       <= 32'd16;
            state_q      <= Header;
          end
        end
        Header:
        if (left_q == '0) begin
          error_q <= bnn_dpi_header();
          if (bnn_dpi_header() != 0) begin
            state_q <= Drain;
          end else begin
            read_valid_q <= 1'b1;
            read_addr_q  <= program_addr + 64'd128;
            read_beats_q <= bnn_dpi_beats(Program) - 32'd16;
            left_q       <= bnn_dpi_beats(Program) - 32'd16;
            state_q      <= Body;
          end
        end
        Body:
        if (left_q == '0) begin
          read_valid_q <= 1'b1;
          read_addr_q  <= images_addr;
          read_beats_q <= count * bnn_dpi_beats(Images);
          left_q       <= count * bnn_dpi_beats(Images);
          state_q      <= Pixels;
        end
        Pixels: if (left_q == '0) state_q <= Run;
        Run: begin
          error_q  <= bnn_dpi_run(count);
          score_q  <= '0;
          state_q  <= Write;
        end
        Write: begin
          if (score_q == '0) begin
            cycles_q <= bnn_dpi_cycles();
            busy_q   <= bnn_dpi_busy();
          end
          if (error_q != '0 || score_q == bnn_dpi_scores()) begin
            if (!write_valid_q && !write_busy) state_q <= Drain;
          end else if (!write_valid_q || write_ready) begin
            write_valid_q <= 1'b1;
            write_addr_q  <= scores_addr + 64'(score_q) * 64'd4;
            write_data_q  <= bnn_dpi_score(score_q);
            score_q       <= score_q + 32'd1;
          end
        end
        default: if (done) state_q <= Idle;
      endcase
      if ((read_error || write_error) && state_q != Idle) begin
        error_q <= 32'd4;
        state_q <= done ? Idle : Drain;
      end
    end
  end

  logic unused;
  assign unused = ^{m_axi_gmem_BID, m_axi_gmem_RID};
endmodule
