// AXI4 write master for scattered 32-bit words: one command, one single-beat write.
//
//   memory[addr_i +: 4] = data_i
//
// addr_i is a multiple of 4; the word goes to the half of the 64-bit beat that addr_i[2]
// selects, with the strobes of that half. Address and data are offered together and may be
// taken in either order. At most MaxOutstanding writes wait for their response. While hold_i is
// high no command is taken, from the second cycle on.
//
// error_o rises and stays with the first response other than OKAY; clear_error_i or reset
// clears it. busy_o is high from a command until the last response is in.
//
// Latency: a command accepted at edge t raises awvalid and wvalid after edge t; one write every
// two cycles at best.
module bnn_axi_write #(
    parameter int unsigned MaxOutstanding = 16
) (
    input  logic        clk_i,
    input  logic        rst_i,
    // Command
    input  logic        command_valid_i,
    output logic        command_ready_o,
    input  logic [63:0] addr_i,
    input  logic [31:0] data_i,
    // State
    input  logic        hold_i,
    output logic        busy_o,
    input  logic        clear_error_i,
    output logic        error_o,
    // AXI4
    output logic        awvalid_o,
    input  logic        awready_i,
    output logic [63:0] awaddr_o,
    output logic [7:0]  awlen_o,
    output logic        wvalid_o,
    input  logic        wready_i,
    output logic [63:0] wdata_o,
    output logic [7:0]  wstrb_o,
    output logic        wlast_o,
    input  logic        bvalid_i,
    output logic        bready_o,
    input  logic [1:0]  bresp_i
);
  localparam int unsigned FlightBits = $clog2(MaxOutstanding + 1);

  if (MaxOutstanding < 2) begin : gen_check
    $error("bnn_axi_write: MaxOutstanding = %0d, must be at least 2", MaxOutstanding);
  end

  logic awvalid_q, wvalid_q, awvalid, wvalid, ready_q, room_q, busy_q, bad_q, done_q, error_q;
  logic command;
  logic [61:0] addr_q;  // in 32-bit words
  logic [31:0] data_q;
  logic [FlightBits-1:0] flight_q;

  assign command = command_valid_i & ready_q;
  assign awvalid = command | (awvalid_q & ~awready_i);
  assign wvalid = command | (wvalid_q & ~wready_i);

  always_ff @(posedge clk_i) begin
    if (command) begin
      addr_q <= addr_i[63:2];
      data_q <= data_i;
    end
    bad_q  <= bvalid_i & (bresp_i != 2'b00);
    room_q <= flight_q < FlightBits'(MaxOutstanding - 1);  // one command may follow
    if (rst_i) begin
      ready_q   <= 1'b0;
      awvalid_q <= 1'b0;
      wvalid_q  <= 1'b0;
      done_q    <= 1'b0;
      flight_q  <= '0;
      busy_q    <= 1'b0;
      error_q   <= 1'b0;
    end else begin
      ready_q   <= ~awvalid & ~wvalid & room_q & ~hold_i;
      awvalid_q <= awvalid;
      wvalid_q  <= wvalid;
      done_q    <= bvalid_i;
      flight_q  <= flight_q + FlightBits'(command) - FlightBits'(done_q);
      busy_q    <= command | (flight_q != '0);
      error_q   <= bad_q | (error_q & ~clear_error_i);
    end
  end

  logic unused_addr;
  assign unused_addr = ^addr_i[1:0];

  assign command_ready_o = ready_q;
  assign awvalid_o = awvalid_q;
  assign awaddr_o  = {addr_q[61:1], 3'b000};
  assign awlen_o   = 8'd0;
  assign wvalid_o  = wvalid_q;
  assign wdata_o   = {data_q, data_q};
  assign wstrb_o   = addr_q[0] ? 8'hF0 : 8'h0F;
  assign wlast_o   = 1'b1;
  assign bready_o  = 1'b1;
  assign busy_o    = busy_q;
  assign error_o   = error_q;
endmodule
