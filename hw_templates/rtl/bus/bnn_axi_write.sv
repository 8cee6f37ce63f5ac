// AXI4 write master for scattered 32-bit words: one command, one single-beat write of 64 bits.
//
//   memory[addr_i + 4*n +: 4] = data_i[32*n +: 32]  for n = 0, 1 with half_i[n]
//
// addr_i is a multiple of 8. Commands are queued: after command_ready_o has fallen
// Depth / 4 more are taken. Address and data are offered together and may be taken in either order.
// At most MaxOutstanding + Depth / 4 + 2 writes wait for their response. command_ready_o is low in the cycle
// after one with hold_i.
//
// error_o rises and stays with the first response other than OKAY; clear_error_i or reset
// clears it. busy_o is high until the last response is in.
//
// Latency: a command accepted at edge t raises awvalid and wvalid after edge t + 1 when none waits;
// one write per cycle.
module bnn_axi_write #(
    parameter int unsigned MaxOutstanding = 256
) (
    input  logic        clk_i,
    input  logic        rst_i,
    // Command
    input  logic        command_valid_i,
    output logic        command_ready_o,
    input  logic [63:0] addr_i,
    input  logic [1:0]  half_i,
    input  logic [63:0] data_i,
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
  localparam int unsigned Depth = 16;
  localparam int unsigned LevelBits = $clog2(Depth) + 1;
  localparam int unsigned FlightBits = $clog2(MaxOutstanding + Depth);

  if (MaxOutstanding < 1) begin : gen_check
    $error("bnn_axi_write: MaxOutstanding = %0d, must be at least 1", MaxOutstanding);
  end

  logic awvalid_q, wvalid_q, bad_q, done_q, error_q, ready_q, busy_q, command, take, free;
  logic [3:0] queued, room;
  logic [127:0] pushed, popped;
  logic [60:0] addr_q;  // in beats
  logic [1:0] half_q;
  logic [63:0] data_q;
  logic [LevelBits-1:0] level_q;
  logic [FlightBits-1:0] flight_q;

  assign command = command_valid_i;
  assign free = (~awvalid_q | awready_i) & (~wvalid_q | wready_i);
  assign take = queued[0] & free;
  assign pushed = {addr_i[63:3], 1'b0, half_i, data_i};

  // In parts, so that no address of their memories has many loads
  for (genvar i = 0; i < 4; i++) begin : gen_queue
    bnn_fifo #(
        .Width(32),
        .Depth(Depth)
    ) u_queue (
        .clk_i,
        .rst_i,
        .push_i (command),
        .data_i (pushed[32*i+:32]),
        .room_o (room[i]),
        .valid_o(queued[i]),
        .pop_i  (take),
        .data_o (popped[32*i+:32])
    );
  end

  always_ff @(posedge clk_i) begin
    if (free) begin
      {addr_q, half_q, data_q} <= {popped[127:67], popped[65:0]};
    end
    ready_q <= (level_q <= LevelBits'(Depth / 2)) & (flight_q < FlightBits'(MaxOutstanding)) & ~hold_i;
    bad_q   <= bvalid_i & (bresp_i != 2'b00);
    if (rst_i) begin
      awvalid_q <= 1'b0;
      wvalid_q  <= 1'b0;
      level_q   <= '0;
      flight_q  <= '0;
      busy_q    <= 1'b0;
      done_q    <= 1'b0;
      error_q   <= 1'b0;
    end else begin
      awvalid_q <= take | (awvalid_q & ~awready_i);
      wvalid_q  <= take | (wvalid_q & ~wready_i);
      level_q   <= level_q + LevelBits'(command) - LevelBits'(take);
      flight_q  <= flight_q + FlightBits'(command) - FlightBits'(done_q);
      done_q    <= bvalid_i;
      busy_q    <= command | (flight_q != '0);
      error_q   <= bad_q | (error_q & ~clear_error_i);
    end
  end

  logic unused_addr;
  assign unused_addr = ^{addr_i[2:0], popped[66], queued[3:1]};

  assign command_ready_o = ready_q;
  assign awvalid_o = awvalid_q;
  assign awaddr_o  = {addr_q, 3'b000};
  assign awlen_o   = 8'd0;
  assign wvalid_o  = wvalid_q;
  assign wdata_o   = data_q;
  assign wstrb_o   = {{4{half_q[1]}}, {4{half_q[0]}}};
  assign wlast_o   = 1'b1;
  assign bready_o  = 1'b1;
  assign busy_o    = busy_q;
  assign error_o   = error_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  logic [LevelBits-1:0] late_q;  // commands since command_ready_o has fallen

  always_ff @(posedge clk_i) late_q <= (rst_i || ready_q) ? '0 : late_q + LevelBits'(command);

  command_in_time: assert property (command && !ready_q |-> 32'(late_q) < Depth / 4)
      else $error("more than %0d commands after command_ready_o has fallen", Depth / 4);
  command_has_room: assert property (command |-> &room)
      else $error("command without room in the queue");
  command_fits: assert property (command |-> addr_i[2:0] == '0)
      else $error("addr_i = %h, must be a multiple of 8", addr_i);
  held: assert property (hold_i |=> !command_ready_o)
      else $error("command_ready_o with hold_i");
  flight_limited: assert property (32'(flight_q) <= MaxOutstanding + Depth / 4 + 2)
      else $error("%0d writes wait for their response, MaxOutstanding = %0d", flight_q, MaxOutstanding);
  busy_with_writes: assert property (flight_q != '0 |-> busy_o)
      else $error("%0d writes wait for their response without busy_o", flight_q);
`endif
endmodule
