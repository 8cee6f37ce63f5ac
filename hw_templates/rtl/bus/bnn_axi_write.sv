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

  logic awvalid_d, wvalid_d, bad_q, done_q, error_q, ready_q, busy_q, command;
  logic [3:0] queued, room, awvalid, wvalid, free, take;  // in parts that agree
  logic [127:0] pushed, write;
  logic [60:0] addr;  // in beats
  logic [1:0] half;
  logic [63:0] data;
  logic [LevelBits-1:0] level_q;
  logic [FlightBits-1:0] flight_q;

  assign command = command_valid_i;
  assign awvalid_d = ~rst_i & (take[0] | (awvalid[0] & ~awready_i));
  assign wvalid_d = ~rst_i & (take[0] | (wvalid[0] & ~wready_i));
  assign pushed = {addr_i[63:3], 1'b0, half_i, data_i};

  // In parts, so that neither an address of their memories nor an enable has many loads
  for (genvar i = 0; i < 4; i++) begin : gen_part
    logic [31:0] popped, write_q;

    assign free[i] = (~awvalid[i] | awready_i) & (~wvalid[i] | wready_i);
    assign take[i] = queued[i] & free[i];
    assign write[32*i+:32] = write_q;

    always_ff @(posedge clk_i) begin
      if (free[i]) write_q <= popped;
    end

    bnn_register #(
        .Bits(2)
    ) u_valid (
        .clk_i,
        .data_i({awvalid_d, wvalid_d}),
        .data_o({awvalid[i], wvalid[i]})
    );
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
        .pop_i  (take[i]),
        .data_o (popped)
    );
  end

  always_ff @(posedge clk_i) begin
    ready_q <= (level_q <= LevelBits'(Depth / 2)) & (flight_q < FlightBits'(MaxOutstanding)) & ~hold_i;
    bad_q   <= bvalid_i & (bresp_i != 2'b00);
    if (rst_i) begin
      level_q  <= '0;
      flight_q <= '0;
      busy_q   <= 1'b0;
      done_q   <= 1'b0;
      error_q  <= 1'b0;
    end else begin
      level_q  <= level_q + LevelBits'(command) - LevelBits'(take[0]);
      flight_q <= flight_q + FlightBits'(command) - FlightBits'(done_q);
      done_q   <= bvalid_i;
      busy_q   <= command | (flight_q != '0);
      error_q  <= bad_q | (error_q & ~clear_error_i);
    end
  end

  logic unused_addr;
  assign unused_addr = ^{addr_i[2:0], write[66], take[3:1], awvalid[3:1], wvalid[3:1]};

  assign addr = write[127:67];
  assign {half, data} = write[65:0];

  assign command_ready_o = ready_q;
  assign awvalid_o = awvalid[0];
  assign awaddr_o  = {addr, 3'b000};
  assign awlen_o   = 8'd0;
  assign wvalid_o  = wvalid[0];
  assign wdata_o   = data;
  assign wstrb_o   = {{4{half[1]}}, {4{half[0]}}};
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
