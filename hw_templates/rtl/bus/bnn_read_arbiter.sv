// Joins the read masters of the core on one AXI4 read port.
//
// Master 0 has priority, then 1, and so on. Bursts keep their order: the port returns data in
// the order of the addresses (one ID), and a queue of masters, one entry per burst, says whose
// beats they are: at most MaxOutstanding bursts are on their way. The masters take every beat, so rready_o is always
// high.
//
// Layout: master m at [m*64 +: 64], [m*8 +: 8] and so on; the beat's data, response and last
// flag are common, r_valid_o[m] names its master.
//
// Latency: an address is taken one cycle after it was chosen and on the port one cycle later, one
// every two cycles at best; a beat one cycle.
module bnn_read_arbiter #(
    parameter int unsigned Masters = 3,
    parameter int unsigned MaxOutstanding = 16
) (
    input  logic                  clk_i,
    input  logic                  rst_i,
    // Masters
    input  logic [Masters-1:0]    ar_valid_i,
    output logic [Masters-1:0]    ar_ready_o,
    input  logic [Masters*64-1:0] ar_addr_i,
    input  logic [Masters*8-1:0]  ar_len_i,
    output logic [Masters-1:0]    r_valid_o,
    output logic [63:0]           r_data_o,
    output logic [1:0]            r_resp_o,
    output logic                  r_last_o,
    // AXI4
    output logic                  arvalid_o,
    input  logic                  arready_i,
    output logic [63:0]           araddr_o,
    output logic [7:0]            arlen_o,
    input  logic                  rvalid_i,
    output logic                  rready_o,
    input  logic [63:0]           rdata_i,
    input  logic [1:0]            rresp_i,
    input  logic                  rlast_i
);
  localparam int unsigned PartBits = 18;
  localparam int unsigned Parts = 72 / PartBits;

  if (Masters < 1) begin : gen_check
    $error("bnn_read_arbiter: Masters = %0d, must be at least 1", Masters);
  end

  logic arvalid_q, rvalid_q, rlast_q, choose, room, take_q, owned;
  logic [63:0] rdata_q;
  logic [1:0] rresp_q;
  logic [Masters-1:0] first, winner, winner_q, owner;  // one-hot

  // The lowest bit that is set, without a carry chain
  always_comb begin
    first[0] = ar_valid_i[0];
    for (int m = 1; m < Masters; m++) first[m] = ar_valid_i[m] & ~|(ar_valid_i & Masters'((1 << m) - 1));
  end
  assign choose = room & ~take_q & (~arvalid_q | arready_i);
  assign winner = choose ? first : '0;

  // The address and the length, in parts that know the winner by registers of their own.
  logic [Masters-1:0][71:0] ask;
  logic [71:0] asked_q;

  for (genvar m = 0; m < Masters; m++) begin : gen_ask
    assign ask[m] = {ar_len_i[m*8+:8], ar_addr_i[m*64+:64]};
  end

  for (genvar p = 0; p < Parts; p++) begin : gen_part
    logic part_take;
    logic [Masters-1:0] part_winner_q;
    logic [PartBits-1:0] part;

    bnn_register #(
        .Bits(Masters + 1)
    ) u_winner (
        .clk_i,
        .data_i({|winner, winner}),
        .data_o({part_take, part_winner_q})
    );

    always_comb begin
      part = '0;
      for (int m = 0; m < Masters; m++) begin
        part |= ask[m][p*PartBits+:PartBits] & {PartBits{part_winner_q[m]}};
      end
    end

    always_ff @(posedge clk_i) if (part_take) asked_q[p*PartBits+:PartBits] <= part;
  end

  bnn_fifo #(
      .Width(Masters),
      .Depth(MaxOutstanding)
  ) u_owners (
      .clk_i,
      .rst_i,
      .push_i (take_q),
      .data_i (winner_q),
      .room_o (room),
      .valid_o(owned),
      .pop_i  (rvalid_q & rlast_q),
      .data_o (owner)
  );

  always_ff @(posedge clk_i) begin
    rdata_q <= rdata_i;
    rresp_q <= rresp_i;
    rlast_q <= rlast_i;
    if (rst_i) begin
      winner_q  <= '0;
      take_q    <= 1'b0;
      arvalid_q <= 1'b0;
      rvalid_q  <= 1'b0;
    end else begin
      winner_q  <= winner;
      take_q    <= |winner;
      arvalid_q <= take_q | (arvalid_q & ~arready_i);
      rvalid_q  <= rvalid_i;
    end
  end

  assign ar_ready_o = winner_q;
  assign r_valid_o  = owner & {Masters{rvalid_q}};
  assign arvalid_o  = arvalid_q;
  assign araddr_o   = asked_q[63:0];
  assign arlen_o    = asked_q[71:64];
  assign rready_o   = 1'b1;
  assign r_data_o   = rdata_q;
  assign r_resp_o   = rresp_q;
  assign r_last_o   = rlast_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  beat_has_owner: assert property (rvalid_q |-> owned)
      else $error("beat without a burst");
  flight_limited: assert property (take_q |-> room)
      else $error("more than MaxOutstanding = %0d bursts on their way", MaxOutstanding);
`endif
endmodule
