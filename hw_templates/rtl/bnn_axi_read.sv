// AXI4 read master: one command becomes INCR bursts, their data a stream of 64-bit beats.
//
//   stream = the beats_i 64-bit words at addr_i, addr_i + 8, ...
//
// addr_i is a multiple of 8, beats_i at least 1. A burst has at most MaxBurst beats and does
// not cross a 4 KiB boundary. The next command is taken once the bursts of the last are issued;
// at most MaxOutstanding bursts are in flight, all with the ID 0, so the data return in order. The stream has no buffer: rready is
// ready_i, and a stalled consumer stalls the bus.
//
// error_o rises and stays with the first response other than OKAY; clear_error_i or reset
// clears it. busy_o is high while a command or a burst is in flight. Reset must not come while
// busy_o is high unless the bus is reset too.
//
// Latency: a command accepted at edge t raises arvalid after edge t + 1, one burst every two
// cycles.
module bnn_axi_read #(
    parameter int unsigned MaxBurst = 64,
    parameter int unsigned MaxOutstanding = 8,
    parameter int unsigned BeatsBits = 32
) (
    input  logic                 clk_i,
    input  logic                 rst_i,
    // Command
    input  logic                 command_valid_i,
    output logic                 command_ready_o,
    input  logic [63:0]          addr_i,
    input  logic [BeatsBits-1:0] beats_i,
    // Stream
    output logic                 valid_o,
    input  logic                 ready_i,
    output logic [63:0]          data_o,
    // State
    output logic                 busy_o,
    input  logic                 clear_error_i,
    output logic                 error_o,
    // AXI4
    output logic                 arvalid_o,
    input  logic                 arready_i,
    output logic [63:0]          araddr_o,
    output logic [7:0]           arlen_o,
    input  logic                 rvalid_i,
    output logic                 rready_o,
    input  logic [63:0]          rdata_i,
    input  logic [1:0]           rresp_i,
    input  logic                 rlast_i
);
  localparam int unsigned FlightBits = $clog2(MaxOutstanding + 1);

  if (MaxBurst < 1 || MaxBurst > 256) begin : gen_check_burst
    $error("bnn_axi_read: MaxBurst = %0d, must be 1 to 256", MaxBurst);
  end
  if (MaxOutstanding < 1) begin : gen_check_flight
    $error("bnn_axi_read: MaxOutstanding = %0d, must be at least 1", MaxOutstanding);
  end
  if (BeatsBits < 10) begin : gen_check_beats
    $error("bnn_axi_read: BeatsBits = %0d, must be at least 10", BeatsBits);
  end

  logic [60:0] addr_q;  // in beats
  logic [BeatsBits-1:0] left_q;
  logic arvalid_q, error_q;
  logic [60:0] araddr_q;
  logic [7:0] arlen_q;
  logic [FlightBits-1:0] flight_q;

  logic [9:0] burst, to_boundary;
  logic issue, done, command;

  always_comb begin
    to_boundary = 10'd512 - {1'b0, addr_q[8:0]};
    burst = 10'(MaxBurst);
    if (to_boundary < burst) burst = to_boundary;
    if (left_q < BeatsBits'(burst)) burst = left_q[9:0];
  end

  assign issue = (left_q != '0) & ~arvalid_q & (flight_q != FlightBits'(MaxOutstanding));
  assign done = rvalid_i & rready_o & rlast_i;
  assign command = command_valid_i & command_ready_o;
  assign command_ready_o = left_q == '0;

  always_ff @(posedge clk_i) begin
    if (command) addr_q <= addr_i[63:3];
    else if (issue) addr_q <= addr_q + 61'(burst);
    if (issue) begin
      araddr_q <= addr_q;
      arlen_q  <= 8'(burst - 10'd1);
    end
    if (rst_i) begin
      left_q    <= '0;
      arvalid_q <= 1'b0;
      flight_q  <= '0;
      error_q   <= 1'b0;
    end else begin
      if (command) left_q <= beats_i;
      else if (issue) left_q <= left_q - BeatsBits'(burst);
      if (issue) arvalid_q <= 1'b1;
      else if (arready_i) arvalid_q <= 1'b0;
      flight_q <= flight_q + FlightBits'(issue) - FlightBits'(done);
      if (rvalid_i && rready_o && rresp_i != 2'b00) error_q <= 1'b1;
      else if (clear_error_i) error_q <= 1'b0;
    end
  end

  logic unused_addr;
  assign unused_addr = ^addr_i[2:0];

  assign arvalid_o = arvalid_q;
  assign araddr_o  = {araddr_q, 3'b000};
  assign arlen_o   = arlen_q;
  assign rready_o  = ready_i;
  assign valid_o   = rvalid_i;
  assign data_o    = rdata_i;
  assign busy_o    = (left_q != '0) | (flight_q != '0);
  assign error_o   = error_q;
endmodule
