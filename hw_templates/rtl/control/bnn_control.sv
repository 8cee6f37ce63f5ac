// AXI4-Lite registers of the core, with the offsets of docs/ARCHITECTURE.md.
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
module bnn_control #(
    parameter int unsigned Pe = 4,
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned WeightDepth = 1024,
    parameter int unsigned ActDepth = 1024,
    parameter int unsigned FirstPe = 4,
    parameter int unsigned ImagePixels = 1024,
    parameter int unsigned MaxLayers = 16
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
    output logic [31:0] count_o,
    input  logic [31:0] cycles_i,
    input  logic [31:0] busy_cycles_i,
    input  logic [31:0] error_code_i
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

  localparam logic [31:0] Geometry = {16'(Simd), 8'(Lanes), 8'(Pe)};

  logic start_q, done_q, ready_q, run_q, restart_q, global_q, bvalid_q, rvalid_q;
  logic [1:0] enable_q, status_q;
  logic [63:0] program_q, images_q, scores_q;
  logic [31:0] count_q, rdata_q, read_word;
  logic write, read, read_control, start;

  function automatic logic [31:0] merge(input logic [31:0] old, input logic [31:0] data,
                                        input logic [3:0] strobe);
    for (int unsigned i = 0; i < 4; i++) begin
      merge[8*i+:8] = strobe[i] ? data[8*i+:8] : old[8*i+:8];
    end
  endfunction

  assign write = awvalid_i & wvalid_i & (~bvalid_q | bready_i) & ~rst_i;
  assign read = arvalid_i & arready_o;
  assign read_control = read & ({araddr_i[7:2], 2'b00} == 8'h00);
  assign start = start_q & ~run_q;

  always_comb begin
    unique case ({araddr_i[7:2], 2'b00})
      8'h00: read_word = {24'd0, restart_q, 3'd0, ready_q, ~run_q & ~start_q, done_q, start_q};
      8'h04: read_word = {31'd0, global_q};
      8'h08: read_word = {30'd0, enable_q};
      8'h0C: read_word = {30'd0, status_q};
      8'h10: read_word = program_q[31:0];
      8'h14: read_word = program_q[63:32];
      8'h1C: read_word = images_q[31:0];
      8'h20: read_word = images_q[63:32];
      8'h28: read_word = scores_q[31:0];
      8'h2C: read_word = scores_q[63:32];
      8'h34: read_word = count_q;
      8'h40: read_word = 32'h314E_4E42;
      8'h50: read_word = 32'd1;
      8'h60: read_word = Geometry;
      8'h70: read_word = {16'(FirstPe), 16'(WeightDepth)};
      8'h80: read_word = {16'(ImagePixels), 16'(ActDepth)};
      8'h90: read_word = 32'(MaxLayers);
      8'hA0: read_word = cycles_i;
      8'hB0: read_word = busy_cycles_i;
      8'hC0: read_word = error_code_i;
      default: read_word = '0;
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
        unique case ({awaddr_i[7:2], 2'b00})
          8'h00: if (wstrb_i[0]) restart_q <= wdata_i[7];
          8'h04: if (wstrb_i[0]) global_q <= wdata_i[0];
          8'h08: if (wstrb_i[0]) enable_q <= wdata_i[1:0];
          8'h10: program_q[31:0] <= merge(program_q[31:0], wdata_i, wstrb_i);
          8'h14: program_q[63:32] <= merge(program_q[63:32], wdata_i, wstrb_i);
          8'h1C: images_q[31:0] <= merge(images_q[31:0], wdata_i, wstrb_i);
          8'h20: images_q[63:32] <= merge(images_q[63:32], wdata_i, wstrb_i);
          8'h28: scores_q[31:0] <= merge(scores_q[31:0], wdata_i, wstrb_i);
          8'h2C: scores_q[63:32] <= merge(scores_q[63:32], wdata_i, wstrb_i);
          8'h34: count_q <= merge(count_q, wdata_i, wstrb_i);
          default: ;
        endcase
      end

      if (write && {awaddr_i[7:2], 2'b00} == 8'h00 && wstrb_i[0] && wdata_i[0]) start_q <= 1'b1;
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
      if (write && {awaddr_i[7:2], 2'b00} == 8'h0C && wstrb_i[0]) begin
        status_q <= (status_q ^ wdata_i[1:0]) | ({2{done_i}} & enable_q);
      end else begin
        status_q <= status_q | ({2{done_i}} & enable_q);
      end
    end
  end

  logic unused_addr;
  assign unused_addr = ^{awaddr_i[1:0], araddr_i[1:0]};

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
endmodule
