// Joins the read masters of the core on one AXI4 read port.
//
// Master 0 has priority, then 1, and so on. Bursts keep their order: the port returns data in
// the order of the addresses (one ID), and a queue of master numbers, one entry per burst, says
// whose beats they are. The masters take every beat, so rready_o is always high.
//
// Layout: master m at [m*64 +: 64], [m*8 +: 8] and so on; the beat's data, response and last
// flag are common, r_valid_o[m] names its master.
//
// Latency: an address one cycle, a beat one cycle.
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
  localparam int unsigned MasterBits = (Masters > 1) ? $clog2(Masters) : 1;

  if (Masters < 1) begin : gen_check
    $error("bnn_read_arbiter: Masters = %0d, must be at least 1", Masters);
  end

  logic arvalid_q, rvalid_q, rlast_q, take, any, room, owner_valid;
  logic [63:0] araddr_q, rdata_q;
  logic [7:0] arlen_q;
  logic [1:0] rresp_q;
  logic [MasterBits-1:0] winner, owner;

  always_comb begin
    winner = '0;
    any = 1'b0;
    for (int m = Masters - 1; m >= 0; m--) begin
      if (ar_valid_i[m]) begin
        winner = MasterBits'(m);
        any = 1'b1;
      end
    end
  end

  assign take = any & room & (~arvalid_q | arready_i);

  bnn_fifo #(
      .Width(MasterBits),
      .Depth(MaxOutstanding)
  ) u_owners (
      .clk_i,
      .rst_i,
      .push_i (take),
      .data_i (winner),
      .room_o (room),
      .valid_o(owner_valid),
      .pop_i  (rvalid_q & rlast_q),
      .data_o (owner)
  );

  always_ff @(posedge clk_i) begin
    if (take) begin
      araddr_q <= ar_addr_i[winner*64+:64];
      arlen_q  <= ar_len_i[winner*8+:8];
    end
    rdata_q <= rdata_i;
    rresp_q <= rresp_i;
    rlast_q <= rlast_i;
    if (rst_i) begin
      arvalid_q <= 1'b0;
      rvalid_q  <= 1'b0;
    end else begin
      if (take) arvalid_q <= 1'b1;
      else if (arready_i) arvalid_q <= 1'b0;
      rvalid_q <= rvalid_i;
    end
  end

  for (genvar m = 0; m < Masters; m++) begin : gen_master
    assign ar_ready_o[m] = take & (winner == MasterBits'(m));
    assign r_valid_o[m]  = rvalid_q & owner_valid & (owner == MasterBits'(m));
  end

  assign arvalid_o = arvalid_q;
  assign araddr_o  = araddr_q;
  assign arlen_o   = arlen_q;
  assign rready_o  = 1'b1;
  assign r_data_o  = rdata_q;
  assign r_resp_o  = rresp_q;
  assign r_last_o  = rlast_q;
endmodule
