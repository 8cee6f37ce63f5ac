// AXI4 write master for scattered 32-bit words: one command, one single-beat write of 64 bits.
//
//   memory[addr_i + 4*n +: 4] = data_i[32*n +: 32]  for n = 0, 1 with half_i[n]
//
// addr_i is a multiple of 8. Commands are queued: after command_ready_o has fallen
// Ahead more are taken. Addresses and data have queues of their own and may be taken in any order.
// At most MaxOutstanding + Ahead + 2 writes wait for their response. command_ready_o is low in the cycle
// after one with hold_i.
//
// error_o rises and stays with the first response other than OKAY; clear_error_i or reset
// clears it. busy_o is high until the last response is in.
//
// Latency: a command accepted at edge t raises awvalid and wvalid after edge t + 1 when none waits;
// one write per cycle.
module bnn_axi_write
  import bnn_add_pkg::count;
#(
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
  localparam int unsigned Ahead = 5;  // beyond half of it, of which three more are not seen in time
  localparam int unsigned Most = Depth / 2 - 1;
  localparam int unsigned LevelBits = $clog2(Depth) + 1;
  localparam int unsigned FlightBits = $clog2(MaxOutstanding + Depth);

  if (MaxOutstanding < 2) begin : gen_check
    $error("bnn_axi_write: MaxOutstanding = %0d, must be at least 2", MaxOutstanding);
  end

  localparam int unsigned PartBits = 33;
  localparam int unsigned Data = 0, Addr = 2;  // the first one of two parts that agree

  logic bad_q, done_q, error_q, ready_q, busy_q, command, command_q;  // command_q: as it is counted
  logic [3:0] queued, room, valid, take;
  logic [3:0][PartBits-1:0] pushed, write;
  logic [1:0][LevelBits-1:0] level_q;  // of data and addresses, with what was taken in the last cycle
  logic [1:0] take_q;
  logic [60:0] addr;  // in beats
  logic [1:0] half;
  logic [63:0] data;
  logic [FlightBits-1:0] flight_q;

  assign command = command_valid_i;
  assign {pushed[Addr+1], pushed[Addr]} = (2 * PartBits)'(addr_i[63:3]);
  assign {pushed[Data+1], pushed[Data]} = {half_i[1], data_i[63:32], half_i[0], data_i[31:0]};

  // In parts, so that neither an address of their memories nor an enable has many loads
  for (genvar i = 0; i < 4; i++) begin : gen_part
    logic [PartBits-1:0] popped, write_q;
    logic valid_again, free, ready, rst;  // rst: a cycle late

    // Of the queue there is another register than of the word, whose enable has many loads.
    assign ready = i < Addr ? wready_i : awready_i;
    assign free = ~valid[i] | ready;
    assign take[i] = queued[i] & (~valid_again | ready);
    assign write[i] = write_q;

    always_ff @(posedge clk_i) begin
      if (free) write_q <= popped;
    end

    bnn_register u_rst (
        .clk_i,
        .data_i(rst_i),
        .data_o(rst)
    );
    bnn_register #(
        .Bits(2)
    ) u_valid (
        .clk_i,
        .data_i({2{~rst & (queued[i] | (valid_again & ~ready))}}),
        .data_o({valid_again, valid[i]})
    );
    bnn_fifo #(
        .Width(PartBits),
        .Depth(Depth)
    ) u_queue (
        .clk_i,
        .rst_i  (rst),
        .push_i (command),
        .data_i (pushed[i]),
        .room_o (room[i]),
        .valid_o(queued[i]),
        .pop_i  (take[i]),
        .data_o (popped)
    );
  end

  for (genvar i = 0; i < 2; i++) begin : gen_level
    always_ff @(posedge clk_i) begin
      take_q[i] <= take[i == 0 ? Data : Addr] & ~rst_i;
      if (rst_i) level_q[i] <= '0;
      else level_q[i] <= LevelBits'(count(32'(level_q[i]), command_q, take_q[i]));
    end
  end

  always_ff @(posedge clk_i) begin
    ready_q <= (level_q[0] <= LevelBits'(Most)) & (level_q[1] <= LevelBits'(Most))
        & (flight_q < FlightBits'(MaxOutstanding - 1)) & ~hold_i;
    bad_q   <= bvalid_i & (bresp_i != 2'b00);
    if (rst_i) begin
      command_q <= 1'b0;
      flight_q <= '0;
      busy_q   <= 1'b0;
      done_q   <= 1'b0;
      error_q  <= 1'b0;
    end else begin
      command_q <= command;
      flight_q <= FlightBits'(count(32'(flight_q), command_q, done_q));
      done_q   <= bvalid_i;
      busy_q   <= command | command_q | (flight_q != '0);
      error_q  <= bad_q | (error_q & ~clear_error_i);
    end
  end

  logic unused_addr;
  assign unused_addr = ^{addr_i[2:0], write[Addr+1][PartBits-1:61-PartBits], take, valid};

  assign addr = {write[Addr+1][60-PartBits:0], write[Addr]};
  assign {half[1], data[63:32], half[0], data[31:0]} = {write[Data+1], write[Data]};

  assign command_ready_o = ready_q;
  assign awvalid_o = valid[Addr];
  assign awaddr_o  = {addr, 3'b000};
  assign awlen_o   = 8'd0;
  assign wvalid_o  = valid[Data];
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

  command_in_time: assert property (command && !ready_q |-> 32'(late_q) < Ahead)
      else $error("more than %0d commands after command_ready_o has fallen", Ahead);
  command_has_room: assert property (command |-> &room)
      else $error("command without room in the queue");
  command_fits: assert property (command |-> addr_i[2:0] == '0)
      else $error("addr_i = %h, must be a multiple of 8", addr_i);
  held: assert property (hold_i |=> !command_ready_o)
      else $error("command_ready_o with hold_i");
  flight_limited: assert property (32'(flight_q) <= MaxOutstanding + Ahead + 2)
      else $error("%0d writes wait for their response, MaxOutstanding = %0d", flight_q, MaxOutstanding);
  busy_with_writes: assert property (flight_q != '0 |-> busy_o)
      else $error("%0d writes wait for their response without busy_o", flight_q);
`endif
endmodule
