// AXI4-Lite registers of the core (Reg* and reg_*_t of bnn_pkg).
//
// Control: writing ap_start = 1 starts a run; ap_start reads 1 until the core takes it.
// start_o is a one-cycle pulse in which program_o, images_o, scores_o and count_o are valid
// (they do not change while the host leaves them alone; the core samples them on start_o).
// done_i is a one-cycle pulse at the end of a run, at least one cycle after start_o; it sets
// ap_done and ap_ready (both cleared by reading 0x00), ap_idle, and the interrupt status bits
// that are enabled. With auto_restart the next run starts by itself. A start written during a
// run is kept and begins after it.
//
//   interrupt_o = global enable & (status != 0);  writing 1 to a status bit toggles it
//
// The statistics inputs are read as they are: the core holds them from done_i on. Reads of
// unlisted offsets give 0, writes to them do nothing; responses are always OKAY.
//
// Latency: a write is accepted a cycle after address and data are both present, with the response one cycle later;
// a read gives its data two cycles after the address. One transaction each at a time. start_o follows the write by
// one cycle.
module bnn_control
  import bnn_pkg::*;
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
    input  logic        rst_i,
    // AXI4-Lite
    input  logic        awvalid_i,
    output logic        awready_o,
    input  logic [7:0]  awaddr_i,
    input  logic        wvalid_i,
    output logic        wready_o,
    input  logic [31:0] wdata_i,
    input  logic [3:0]  wstrb_i,
    output logic        bvalid_o,
    input  logic        bready_i,
    output logic [1:0]  bresp_o,
    input  logic        arvalid_i,
    output logic        arready_o,
    input  logic [7:0]  araddr_i,
    output logic        rvalid_o,
    input  logic        rready_i,
    output logic [31:0] rdata_o,
    output logic [1:0]  rresp_o,
    output logic        interrupt_o,
    // Core
    output logic        start_o,
    input  logic        done_i,
    output logic [63:0] program_o,
    output logic [63:0] images_o,
    output logic [63:0] scores_o,
    output reg_count_t  count_o,
    input  logic [31:0] cycles_i,
    input  logic [31:0] busy_cycles_i,
    input  error_e      error_code_i
);
  if (WeightDepth > 65535 || FirstPe > 65535) begin : gen_check_weight
    $error("bnn_control: WeightDepth = %0d, FirstPe = %0d, must be below 65536", WeightDepth,
           FirstPe);
  end
  if (ActDepth > 65535 || ImagePixels > 65535) begin : gen_check_act
    $error("bnn_control: ActDepth = %0d, ImagePixels = %0d, must be below 65536", ActDepth,
           ImagePixels);
  end
  if (Pe > 255 || Lanes > 255 || Simd > 65535) begin : gen_check_geometry
    $error("bnn_control: Pe = %0d, Lanes = %0d, Simd = %0d do not fit the geometry", Pe, Lanes,
           Simd);
  end

  localparam geometry_t Geometry = '{simd: 16'(Simd), lanes: 8'(Lanes), pe: 8'(Pe)};
  localparam reg_weights_t Weights = '{first_pe: 16'(FirstPe), weight_depth: 16'(WeightDepth)};
  localparam reg_activations_t Activations = '{image_pixels: 16'(ImagePixels), act_depth: 16'(ActDepth)};

  logic start_q, done_q, ready_q, run_q, restart_q, global_q, bvalid_q, rvalid_q, start;
  logic [1:0] enable_q, status_q;
  reg_control_t control, written;
  logic [63:0] program_addr, images, scores;
  logic [31:0] count, rdata_q, read_word;

  assign control = '{restart: restart_q, ready: ready_q, idle: ~run_q & ~start_q, done: done_q, start: start_q,
                     default: '0};
  assign written = wdata_i;
  assign start = start_q & ~run_q;

  // ---- Which register: known in the cycle in which a write is accepted, and that after a read ------

  localparam int unsigned Arguments = 7, Controls = 4, Words = 21;
  localparam int unsigned Status = Arguments + 3, Enable = Arguments + 2, Global = Arguments + 1, Control = Arguments;
  localparam logic [Words-1:0][7:0] Offsets = {
    RegFeatures, RegError, RegBusy, RegCycles, RegMaxLayers, RegActivations, RegWeights, RegGeometry, RegVersion, RegId,
    RegStatus, RegEnable, RegGlobalEnable, RegControl,
    RegCount, RegScoresHigh, RegScores, RegImagesHigh, RegImages, RegProgramHigh, RegProgram
  };

  logic [Words-1:0][31:0] words;
  logic [Words-1:0] read_q;
  logic [Arguments-1:0][3:0] write_bytes_q;
  logic [Arguments+Controls-1:Arguments] write_q;
  logic read, reading_q, read_ready_q, write, written_q;

  assign words = {
    32'(Vector != 0), 32'(error_code_i), busy_cycles_i, cycles_i, 32'(MaxLayers), Activations, Weights, Geometry,
    32'(InterfaceVersion), CoreId,
    {30'd0, status_q}, {30'd0, enable_q}, {31'd0, global_q}, control,
    count, scores, images, program_addr
  };
  assign write = awvalid_i & wvalid_i & ~written_q & ~bvalid_q & ~rst_i;
  assign read = arvalid_i & read_ready_q;

  for (genvar r = 0; r < Words; r++) begin : gen_register
    always_ff @(posedge clk_i) read_q[r] <= read & (araddr_i[7:2] == Offsets[r][7:2]);

    if (r < Arguments) begin : gen_argument
      always_ff @(posedge clk_i) begin
        write_bytes_q[r] <= wstrb_i & {4{write & (awaddr_i[7:2] == Offsets[r][7:2])}};
      end
    end else if (r < Arguments + Controls) begin : gen_control
      always_ff @(posedge clk_i) write_q[r] <= write & wstrb_i[0] & (awaddr_i[7:2] == Offsets[r][7:2]);
    end
  end

  always_comb begin
    read_word = '0;
    for (int unsigned r = 0; r < Words; r++) read_word |= words[r] & {32{read_q[r]}};
  end

  always_ff @(posedge clk_i) begin
    if (reading_q) rdata_q <= read_word;
    if (rst_i) begin
      written_q    <= 1'b0;
      reading_q    <= 1'b0;
      read_ready_q <= 1'b0;
      bvalid_q     <= 1'b0;
      rvalid_q     <= 1'b0;
    end else begin
      written_q    <= write;
      reading_q    <= read;
      read_ready_q <= ~read & ~reading_q & (~rvalid_q | rready_i);
      bvalid_q     <= written_q | (bvalid_q & ~bready_i);
      rvalid_q     <= reading_q | (rvalid_q & ~rready_i);
    end
  end

  // ---- Arguments of a run --------------------------------------------------------------------------

  logic [Arguments-1:0][31:0] argument;

  for (genvar r = 0; r < Arguments; r++) begin : gen_word
    logic rst;
    logic [31:0] word_q;

    bnn_register u_rst (
        .clk_i,
        .data_i(rst_i),
        .data_o(rst)
    );

    always_ff @(posedge clk_i) begin
      for (int unsigned i = 0; i < 4; i++) begin
        if (rst) word_q[8*i+:8] <= '0;
        else if (write_bytes_q[r][i]) word_q[8*i+:8] <= wdata_i[8*i+:8];
      end
    end

    assign argument[r] = word_q;
  end

  assign {count, scores, images, program_addr} = argument;

  // ---- State ---------------------------------------------------------------------------------------

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      start_q   <= 1'b0;
      done_q    <= 1'b0;
      ready_q   <= 1'b0;
      run_q     <= 1'b0;
      restart_q <= 1'b0;
      global_q  <= 1'b0;
      enable_q  <= '0;
      status_q  <= '0;
    end else begin
      if (write_q[Control]) restart_q <= written.restart;
      if (write_q[Global]) global_q <= wdata_i[0];
      if (write_q[Enable]) enable_q <= wdata_i[1:0];

      if (write_q[Control] && written.start) start_q <= 1'b1;
      else if (done_i && restart_q) start_q <= 1'b1;
      else if (start) start_q <= 1'b0;

      if (start) run_q <= 1'b1;
      else if (done_i) run_q <= 1'b0;

      if (done_i) begin
        done_q  <= 1'b1;
        ready_q <= 1'b1;
      end else if (read_q[Control]) begin
        done_q  <= 1'b0;
        ready_q <= 1'b0;
      end

      // A toggle and an event in the same cycle leave the bit set.
      status_q <= (status_q ^ (wdata_i[1:0] & {2{write_q[Status]}})) | ({2{done_i}} & enable_q);
    end
  end

  logic unused_addr;
  assign unused_addr = ^{awaddr_i[1:0], araddr_i[1:0], written};

  assign awready_o   = written_q;
  assign wready_o    = written_q;
  assign bvalid_o    = bvalid_q;
  assign bresp_o     = 2'b00;
  assign arready_o   = read_ready_q;
  assign rvalid_o    = rvalid_q;
  assign rdata_o     = rdata_q;
  assign rresp_o     = 2'b00;
  assign interrupt_o = global_q & (|status_q);
  assign start_o     = start;
  assign program_o   = program_addr;
  assign images_o    = images;
  assign scores_o    = scores;
  assign count_o     = count;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  logic ended_q;  // a run has ended

  always_ff @(posedge clk_i) ended_q <= ~rst_i & (done_i | (ended_q & ~start));

  start_is_pulse: assert property (start_o |=> !start_o)
      else $error("start_o for more than one cycle");
  done_ends_run: assert property (done_i |-> run_q)
      else $error("done_i without a run, or for more than one cycle");
  figures_hold: assert property (ended_q |-> $stable({cycles_i, busy_cycles_i, error_code_i}))
      else $error("figures of the last run change after done_i");
`endif
endmodule
