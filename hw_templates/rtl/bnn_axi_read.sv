// AXI4 read master: one command becomes INCR bursts, their data a stream of 64-bit beats.
//
//   stream = the beats_i 64-bit words at addr_i, addr_i + 8, ...
//
// addr_i is a multiple of 8, beats_i at least 1. A burst has at most MaxBurst beats and does
// not cross a 4 KiB boundary. The next command is taken once the bursts of the last are issued;
// at most MaxOutstanding bursts are in flight, all with the ID 0, so the data return in order.
//
// The stream cannot be stalled. A burst is issued only if there is credit for all its beats:
// credit_set_i sets the credit to credit_i, credit_give_i adds to it, a burst takes its beats.
// So a full consumer never holds up the bus, on which other masters' data wait.
//
// want_o is high while there are bursts to issue; with yield_i none is issued.
//
// abort_i drops the rest of the command and the beats still to come. error_o rises and stays
// with the first response other than OKAY; clear_error_i or reset clears it. busy_o is high
// while a command or a burst is in flight. Reset must not come while busy_o is high unless the
// bus is reset too.
//
// Latency: a command accepted at edge t raises arvalid after edge t + 2, one burst every three
// cycles; the next command can come two cycles after the last burst.
module bnn_axi_read #(
    parameter int unsigned MaxBurst = 64,
    parameter int unsigned MaxOutstanding = 8,
    parameter int unsigned BeatsBits = 32,
    parameter int unsigned CreditBits = 20
) (
    input  logic                  clk_i,
    input  logic                  rst_i,
    // Command
    input  logic                  command_valid_i,
    output logic                  command_ready_o,
    input  logic [63:0]           addr_i,
    input  logic [BeatsBits-1:0]  beats_i,
    // Stream
    output logic                  valid_o,
    output logic [63:0]           data_o,
    // Credit, in beats
    input  logic                  credit_set_i,
    input  logic [CreditBits-1:0] credit_i,
    input  logic [CreditBits-1:0] credit_give_i,
    // Priority
    input  logic                  yield_i,
    output logic                  want_o,
    // State
    input  logic                  abort_i,
    output logic                  busy_o,
    input  logic                  clear_error_i,
    output logic                  error_o,
    // AXI4
    output logic                  arvalid_o,
    input  logic                  arready_i,
    output logic [63:0]           araddr_o,
    output logic [7:0]            arlen_o,
    input  logic                  rvalid_i,
    input  logic [63:0]           rdata_i,
    input  logic [1:0]            rresp_i,
    input  logic                  rlast_i
);
  localparam int unsigned FlightBits = $clog2(MaxOutstanding + 1);

  if (MaxBurst < 1 || MaxBurst > 256) begin : gen_check_burst
    $error("bnn_axi_read: MaxBurst = %0d, must be 1 to 256", MaxBurst);
  end
  if (MaxOutstanding < 1) begin : gen_check_flight
    $error("bnn_axi_read: MaxOutstanding = %0d, must be at least 1", MaxOutstanding);
  end
  if (BeatsBits < 10 || CreditBits < 10) begin : gen_check_beats
    $error("bnn_axi_read: BeatsBits = %0d, CreditBits = %0d, must be at least 10", BeatsBits,
           CreditBits);
  end

  logic [60:0] addr_q;  // in beats
  logic [BeatsBits-1:0] left_q;
  logic [CreditBits-1:0] credit_q;
  logic [9:0] burst_q;
  logic sized_q, arvalid_q, error_q, drop_q, ready_q, left_zero;
  logic [60:0] araddr_q;
  logic [7:0] arlen_q;
  logic [FlightBits-1:0] flight_q;

  logic [9:0] burst, to_boundary;
  logic issue, done, command, credit;

  always_comb begin
    to_boundary = 10'd512 - {1'b0, addr_q[8:0]};
    burst = 10'(MaxBurst);
    if (to_boundary < burst) burst = to_boundary;
    if (left_q < BeatsBits'(burst)) burst = left_q[9:0];
  end

  assign issue = sized_q & ~arvalid_q & (flight_q != FlightBits'(MaxOutstanding))
      & credit & ~yield_i & ~abort_i;
  assign credit = credit_q >= CreditBits'(burst_q);
  assign left_zero = left_q == '0;
  assign done = rvalid_i & rlast_i;
  assign command = command_valid_i & command_ready_o;
  assign command_ready_o = ready_q;

  always_ff @(posedge clk_i) begin
    if (command) addr_q <= addr_i[63:3];
    else if (issue) addr_q <= addr_q + 61'(burst_q);
    if (!sized_q) burst_q <= burst;
    if (issue) begin
      araddr_q <= addr_q;
      arlen_q  <= 8'(burst_q - 10'd1);
    end
    if (credit_set_i) credit_q <= credit_i;
    else credit_q <= credit_q + credit_give_i - (issue ? CreditBits'(burst_q) : '0);
    if (rst_i) begin
      ready_q   <= 1'b0;
      left_q    <= '0;
      sized_q   <= 1'b0;
      arvalid_q <= 1'b0;
      flight_q  <= '0;
      error_q   <= 1'b0;
      drop_q    <= 1'b0;
    end else begin
      ready_q <= left_zero & ~sized_q & ~drop_q & ~abort_i & ~command;
      if (abort_i) left_q <= '0;
      else if (command) left_q <= beats_i;
      else if (issue) left_q <= left_q - BeatsBits'(burst_q);
      if (abort_i || issue) sized_q <= 1'b0;
      else if (left_q != '0) sized_q <= 1'b1;
      if (issue) arvalid_q <= 1'b1;
      else if (arready_i) arvalid_q <= 1'b0;
      flight_q <= flight_q + FlightBits'(issue) - FlightBits'(done);
      drop_q   <= abort_i | (drop_q & (flight_q != '0));
      if (rvalid_i && rresp_i != 2'b00) error_q <= 1'b1;
      else if (clear_error_i) error_q <= 1'b0;
    end
  end

  logic unused_addr;
  assign unused_addr = ^addr_i[2:0];

  assign arvalid_o = arvalid_q;
  assign araddr_o  = {araddr_q, 3'b000};
  assign arlen_o   = arlen_q;
  assign valid_o   = rvalid_i & ~drop_q & ~abort_i;
  assign data_o    = rdata_i;
  assign want_o    = (left_q != '0) | sized_q | command_valid_i;
  assign busy_o    = (left_q != '0) | (flight_q != '0);
  assign error_o   = error_q;
endmodule
