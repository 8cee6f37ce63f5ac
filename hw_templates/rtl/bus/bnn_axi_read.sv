// AXI4 read master: one command becomes INCR bursts, their data a stream of 64-bit beats.
//
//   stream = the beats_i 64-bit words at addr_i, addr_i + 8, ...
//
// addr_i is a multiple of 8, beats_i at least 1. A burst has at most MaxBurst beats, a power of two, and does
// not cross a 4 KiB boundary. The next command is taken once the bursts of the last are issued;
// at most MaxOutstanding bursts are in flight, all with the ID 0, so the data return in order.
//
// With Stripes > 1 as many readers share what lies at addr_i, in pieces of MaxBurst beats: that of Stripe takes every
// Stripes-th of them, from piece Stripe on. beats_i are its own then, a multiple of MaxBurst, and
//
//   beat n of its stream = the word at addr_i + 8 * ((n / MaxBurst * Stripes + Stripe) * MaxBurst + n % MaxBurst)
//
// The stream cannot be stalled. A burst is issued only if there is credit for all its beats:
// reset and credit_set_i set the credit to Credit, credit_give_i adds to it, a burst takes its
// beats. So a full consumer never holds up the bus, on which other masters' data wait. Credit never exceeds Credit; what
// is given counts modulo 2^CreditBits. With Limited = 0 a burst needs none.
//
// want_o is high while there are bursts to issue; with yield_i none is issued.
//
// abort_i drops the rest of the command, and from the second cycle on the beats still to come.
// error_o rises and stays with the first response other than OKAY; clear_error_i or reset clears it.
// busy_o is high while a command, a burst or a beat is in flight. Reset must not come while busy_o
// is high unless the bus is reset too.
//
// Latency: a command accepted at edge t raises arvalid after edge t + 5, and so does a burst
// taken at edge t for the next one; a beat comes out one cycle after it came in.
module bnn_axi_read
  import bnn_add_pkg::add, bnn_add_pkg::count;
#(
    parameter int unsigned MaxBurst = 64,
    parameter int unsigned MaxOutstanding = 8,
    parameter int unsigned BeatsBits = 32,
    parameter int unsigned Stripes = 1,
    parameter int unsigned Stripe = 0,
    parameter int unsigned CreditBits = 20,
    parameter int unsigned Credit = (1 << CreditBits) - 1,
    parameter bit Limited = 1'b1
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
  localparam int unsigned PageBeats = 4096 / 8;  // no burst crosses 4 KiB
  localparam int unsigned PieceBits = $clog2(MaxBurst);
  localparam int unsigned BurstBits = PieceBits + 1;

  if (MaxBurst < 2 || MaxBurst > 256 || (MaxBurst & (MaxBurst - 1)) != 0) begin : gen_check_burst
    $error("bnn_axi_read: MaxBurst = %0d, must be a power of two from 2 to 256", MaxBurst);
  end
  if (MaxOutstanding < 1) begin : gen_check_flight
    $error("bnn_axi_read: MaxOutstanding = %0d, must be at least 1", MaxOutstanding);
  end
  if (BeatsBits < 10 || CreditBits < 10) begin : gen_check_beats
    $error("bnn_axi_read: BeatsBits = %0d, CreditBits = %0d, must be at least 10", BeatsBits,
           CreditBits);
  end
  if (Stripes < 1 || (Stripes & (Stripes - 1)) != 0 || Stripe >= Stripes) begin : gen_check_stripe
    $error("bnn_axi_read: Stripe = %0d of Stripes = %0d, must be one of a power of two", Stripe,
           Stripes);
  end

  // ---- Command -------------------------------------------------------------------------------

  // One-hot: a burst passes through all of them, the last one while its address waits.
  localparam int unsigned Idle = 0, Place = 1, Limit = 2, Size = 3, Afford = 4, Ask = 5, Wait = 6;

  logic [Wait:0] step_q;
  logic [60:0] base_q, addr_q;  // in beats: of the command, of the burst
  logic [BeatsBits-1:0] beats_q, offset_q, left_q;  // of the command, issued, not issued
  logic [BurstBits-1:0] limit_q, burst_q, spent_q, most;  // most: in a piece; spent_q: a burst just issued, else 0
  logic [PieceBits-1:0] low, to_page;  // of the address; what is left of the page then, if it is less than a piece
  logic near;
  logic many_q;  // more is left than any burst has
  logic [1:0] few;  // less is left than limit_q; no more
  logic [7:0] arlen_q;
  logic [CreditBits-1:0] credit_q, credit_more_q;
  logic credit_set_q;
  logic ready_q, last_q, afford_q, issued_q, arvalid_q, want_q, command, issue;
  logic next_idle, next_place;
  logic [1:0] idle, place;  // step_q[Idle] and step_q[Place] again
  logic [60:0] offset;
  logic [1:0] carry_q;  // of the parts of the burst's address
  logic unused_carry_q;

  // Where the next beat lies behind addr_i, and how many there may be in a burst from it on. A piece that the page's end
  // cuts is cut once: its rest begins a page.
  if (Stripes == 1) begin : gen_whole
    assign offset = 61'(offset_q);
    assign most = BurstBits'(MaxBurst);
  end else begin : gen_stripe
    localparam int unsigned StripeBits = $clog2(Stripes);
    logic [BurstBits-1:0] most_q;

    assign offset = 61'({offset_q[BeatsBits-1:PieceBits], StripeBits'(Stripe), offset_q[PieceBits-1:0]});
    assign most = most_q;

    always_ff @(posedge clk_i) most_q <= BurstBits'(MaxBurst) - BurstBits'(offset_q[PieceBits-1:0]);
  end

  assign low = addr_q[PieceBits-1:0];
  assign near = (&addr_q[8:PieceBits]) & (low != '0);

  // Bit by bit: a carry chain takes longer than a few LUTs.
  for (genvar i = 0; i < PieceBits; i++) begin : gen_page
    assign to_page[i] = (i == 0) ? low[0] : low[i] ^ (|(low & PieceBits'((1 << i) - 1)));
  end

  always_comb begin
    few = 2'b10;
    for (int unsigned i = 0; i < BurstBits; i++) begin
      if (left_q[i] != limit_q[i]) few = {2{limit_q[i]}};
    end
    if (many_q) few = '0;
  end

  logic room_q, drop_q;  // for a burst in flight; until what an abort left has come

  assign command = command_valid_i & ready_q;
  assign issue = step_q[Ask] & afford_q & room_q & ~yield_i & ~abort_i;

  assign next_idle = rst_i | abort_i | (step_q[Idle] & ~command) | (step_q[Wait] & arready_i & last_q);
  assign next_place = ~rst_i & ~abort_i & (command | (step_q[Wait] & arready_i & ~last_q));

  for (genvar i = 0; i < 2; i++) begin : gen_step
    bnn_register #(
        .Bits(2)
    ) u_step (
        .clk_i,
        .data_i({next_place, next_idle}),
        .data_o({place[i], idle[i]})
    );
  end

  always_ff @(posedge clk_i) begin
    // A command comes while idle only, so that what was there before it is worth nothing.
    if (idle[0]) base_q <= addr_i[63:3];
    if (idle[1]) beats_q <= beats_i;
    if (idle[1]) offset_q <= '0;
    else offset_q <= BeatsBits'(add(32'(offset_q), 32'(spent_q)));
    // The address in three parts, one after the other
    if (place[0]) {carry_q[0], addr_q[20:0]} <= 22'(add(32'(base_q[20:0]), 32'(offset[20:0])));
    if (place[1]) left_q <= beats_q - offset_q;
    if (step_q[Limit]) begin
      {carry_q[1], addr_q[40:21], unused_carry_q} <=
          {1'b0, base_q[40:21], carry_q[0]} + {1'b0, offset[40:21], carry_q[0]};
    end
    if (step_q[Size]) addr_q[60:41] <= 20'(add(32'(base_q[60:41]), 32'(carry_q[1])));
    limit_q <= near ? {1'b0, to_page} : most;
    many_q  <= |left_q[BeatsBits-1:BurstBits];
    if (step_q[Size]) begin
      burst_q <= few[0] ? left_q[BurstBits-1:0] : limit_q;
      last_q  <= few[1];
    end
    afford_q <= credit_q >= CreditBits'(burst_q) || !Limited;
    arlen_q  <= 8'(burst_q - 1'b1);
    issued_q <= issue;
    spent_q  <= issue ? burst_q : '0;
    // What is spent is taken off two cycles later, before the next burst asks for its beats.
    credit_more_q <= credit_give_i - CreditBits'(spent_q);
    if (rst_i || credit_set_q) credit_q <= CreditBits'(Credit);
    else credit_q <= CreditBits'(add(32'(credit_q), 32'(credit_more_q)));
    credit_set_q <= rst_i | credit_set_i;
    if (rst_i || abort_i) begin
      step_q <= (Wait + 1)'(1);
    end else begin
      step_q[Idle]   <= (step_q[Idle] & ~command) | (step_q[Wait] & arready_i & last_q);
      step_q[Place]  <= command | (step_q[Wait] & arready_i & ~last_q);
      step_q[Limit]  <= step_q[Place];
      step_q[Size]   <= step_q[Limit];
      step_q[Afford] <= step_q[Size];
      step_q[Ask]    <= step_q[Afford] | (step_q[Ask] & ~issue);
      step_q[Wait]   <= issue | (step_q[Wait] & ~arready_i);
    end
    if (rst_i) begin
      ready_q   <= 1'b0;
      want_q    <= 1'b0;
      arvalid_q <= 1'b0;
    end else begin
      ready_q   <= step_q[Idle] & ~command & ~drop_q & ~abort_i;
      want_q    <= ~step_q[Idle] | command_valid_i;
      arvalid_q <= issue | (arvalid_q & ~arready_i);
    end
  end

  // ---- Data ----------------------------------------------------------------------------------

  logic [FlightBits-1:0] flight_q;
  logic [63:0] data_q;
  logic valid_q, done_q, bad_q, error_q;

  always_ff @(posedge clk_i) begin
    data_q <= rdata_i;
    bad_q  <= rvalid_i & (rresp_i != 2'b00);
    room_q <= flight_q != FlightBits'(MaxOutstanding);
    if (rst_i) begin
      valid_q  <= 1'b0;
      done_q   <= 1'b0;
      flight_q <= '0;
      drop_q   <= 1'b0;
      error_q  <= 1'b0;
    end else begin
      flight_q <= FlightBits'(count(32'(flight_q), issued_q, done_q));
      valid_q  <= rvalid_i & ~drop_q;
      done_q   <= rvalid_i & rlast_i;
      drop_q   <= abort_i | (drop_q & busy_o);
      error_q  <= bad_q | (error_q & ~clear_error_i);
    end
  end

  logic unused_addr;
  assign unused_addr = ^{addr_i[2:0], offset[60:41], unused_carry_q};

  assign command_ready_o = ready_q;
  assign arvalid_o = arvalid_q;
  assign araddr_o  = {addr_q, 3'b000};
  assign arlen_o   = arlen_q;
  assign valid_o   = valid_q;
  assign data_o    = data_q;
  assign want_o    = want_q;
  assign busy_o    = ~step_q[Idle] | issued_q | (flight_q != '0);
  assign error_o   = error_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  command_fits: assert property (command |-> addr_i[2:0] == '0 && beats_i != '0)
      else $error("command for %0d beats at %h: addr_i must be a multiple of 8, beats_i at least 1", beats_i, addr_i);
  burst_fits: assert property (arvalid_o |-> 32'(arlen_o) < MaxBurst && 32'(araddr_o[11:3]) + 32'(arlen_o) < PageBeats)
      else $error("burst of %0d beats at %h: more than MaxBurst = %0d, or across 4 KiB", arlen_o + 1, araddr_o,
                  MaxBurst);
  burst_has_credit: assert property (issue && Limited |-> credit_q >= CreditBits'(burst_q))
      else $error("burst of %0d beats with credit for %0d", burst_q, credit_q);
  yields: assert property (yield_i |=> !$rose(arvalid_o))
      else $error("burst issued with yield_i");
  flight_limited: assert property (32'(flight_q) <= MaxOutstanding)
      else $error("%0d bursts in flight, at most MaxOutstanding = %0d", flight_q, MaxOutstanding);
  abort_drops: assert property ($past(abort_i, 2) |-> !valid_o)
      else $error("beat two cycles after abort_i");
`endif
endmodule
