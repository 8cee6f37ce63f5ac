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
// Latency: a write is accepted when address and data are both present, with the response one
// cycle later; a read gives its data one cycle after the address. One transaction each at a
// time. start_o follows the write by one cycle.
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

  logic start_q, done_q, ready_q, run_q, restart_q, global_q, bvalid_q, rvalid_q;
  logic [1:0] enable_q, status_q;
  reg_control_t control, written;
  logic [63:0] program_q, images_q, scores_q;
  logic [31:0] count_q, rdata_q, read_word;
  logic [7:0] read_addr, write_addr;
  logic write, read, read_control, start;

  function automatic logic [31:0] merge(input logic [31:0] old, input logic [31:0] data,
                                        input logic [3:0] strobe);
    for (int unsigned i = 0; i < 4; i++) begin
      merge[8*i+:8] = strobe[i] ? data[8*i+:8] : old[8*i+:8];
    end
  endfunction

  assign read_addr = {araddr_i[7:2], 2'b00};
  assign write_addr = {awaddr_i[7:2], 2'b00};
  assign control = '{restart: restart_q, ready: ready_q, idle: ~run_q & ~start_q, done: done_q, start: start_q,
                     default: '0};
  assign written = wdata_i;
  assign write = awvalid_i & wvalid_i & (~bvalid_q | bready_i) & ~rst_i;
  assign read = arvalid_i & arready_o;
  assign read_control = read & (read_addr == RegControl);
  assign start = start_q & ~run_q;

  always_comb begin
    unique case (read_addr)
      RegControl:      read_word = control;
      RegGlobalEnable: read_word = {31'd0, global_q};
      RegEnable:       read_word = {30'd0, enable_q};
      RegStatus:       read_word = {30'd0, status_q};
      RegProgram:      read_word = program_q[31:0];
      RegProgramHigh:  read_word = program_q[63:32];
      RegImages:       read_word = images_q[31:0];
      RegImagesHigh:   read_word = images_q[63:32];
      RegScores:       read_word = scores_q[31:0];
      RegScoresHigh:   read_word = scores_q[63:32];
      RegCount:        read_word = count_q;
      RegId:           read_word = CoreId;
      RegVersion:      read_word = 32'(InterfaceVersion);
      RegGeometry:     read_word = Geometry;
      RegWeights:      read_word = Weights;
      RegActivations:  read_word = Activations;
      RegMaxLayers:    read_word = 32'(MaxLayers);
      RegCycles:       read_word = cycles_i;
      RegBusy:         read_word = busy_cycles_i;
      RegError:        read_word = 32'(error_code_i);
      RegFeatures:     read_word = 32'(Vector != 0);
      default:         read_word = '0;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (read) rdata_q <= read_word;
    if (rst_i) begin
      start_q   <= 1'b0;
      done_q    <= 1'b0;
      ready_q   <= 1'b0;
      run_q     <= 1'b0;
      restart_q <= 1'b0;
      global_q  <= 1'b0;
      enable_q  <= '0;
      status_q  <= '0;
      program_q <= '0;
      images_q  <= '0;
      scores_q  <= '0;
      count_q   <= '0;
      bvalid_q  <= 1'b0;
      rvalid_q  <= 1'b0;
    end else begin
      bvalid_q <= write | (bvalid_q & ~bready_i);
      rvalid_q <= read | (rvalid_q & ~rready_i);

      if (write) begin
        unique case (write_addr)
          RegControl:      if (wstrb_i[0]) restart_q <= written.restart;
          RegGlobalEnable: if (wstrb_i[0]) global_q <= wdata_i[0];
          RegEnable:       if (wstrb_i[0]) enable_q <= wdata_i[1:0];
          RegProgram:      program_q[31:0] <= merge(program_q[31:0], wdata_i, wstrb_i);
          RegProgramHigh:  program_q[63:32] <= merge(program_q[63:32], wdata_i, wstrb_i);
          RegImages:       images_q[31:0] <= merge(images_q[31:0], wdata_i, wstrb_i);
          RegImagesHigh:   images_q[63:32] <= merge(images_q[63:32], wdata_i, wstrb_i);
          RegScores:       scores_q[31:0] <= merge(scores_q[31:0], wdata_i, wstrb_i);
          RegScoresHigh:   scores_q[63:32] <= merge(scores_q[63:32], wdata_i, wstrb_i);
          RegCount:        count_q <= merge(count_q, wdata_i, wstrb_i);
          default: ;
        endcase
      end

      if (write && write_addr == RegControl && wstrb_i[0] && written.start) start_q <= 1'b1;
      else if (done_i && restart_q) start_q <= 1'b1;
      else if (start) start_q <= 1'b0;

      if (start) run_q <= 1'b1;
      else if (done_i) run_q <= 1'b0;

      if (done_i) begin
        done_q  <= 1'b1;
        ready_q <= 1'b1;
      end else if (read_control) begin
        done_q  <= 1'b0;
        ready_q <= 1'b0;
      end

      // A toggle and an event in the same cycle leave the bit set.
      if (write && write_addr == RegStatus && wstrb_i[0]) begin
        status_q <= (status_q ^ wdata_i[1:0]) | ({2{done_i}} & enable_q);
      end else begin
        status_q <= status_q | ({2{done_i}} & enable_q);
      end
    end
  end

  logic unused_addr;
  assign unused_addr = ^{awaddr_i[1:0], araddr_i[1:0], written};

  assign awready_o   = write;
  assign wready_o    = write;
  assign bvalid_o    = bvalid_q;
  assign bresp_o     = 2'b00;
  assign arready_o   = (~rvalid_q | rready_i) & ~rst_i;
  assign rvalid_o    = rvalid_q;
  assign rdata_o     = rdata_q;
  assign rresp_o     = 2'b00;
  assign interrupt_o = global_q & (|status_q);
  assign start_o     = start;
  assign program_o   = program_q;
  assign images_o    = images_q;
  assign scores_o    = scores_q;
  assign count_o     = count_q;

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
