// Queue of Depth words of Width bits in block RAM, read through an output register.
//
// A word is pushed in any cycle with push_i: who pushes sees to it that no more than Depth are in. Without
// valid_o pop_i means nothing.
//
// Latency: a word pushed at edge t is at data_o after edge t + 3 at the earliest.
module bnn_fifo_block
  import bnn_add_pkg::add;
#(
    parameter int unsigned Width = 64,
    parameter int unsigned Depth = 128,
    parameter int unsigned Pops = 1
) (
    input  logic             clk_i,
    input  logic             rst_i,
    input  logic             push_i,
    input  logic [Width-1:0] data_i,
    output logic             valid_o,
    input  logic [Pops-1:0]  pop_i,  // any of them
    output logic [Width-1:0] data_o
);
  localparam int unsigned AddrBits = $clog2(Depth);

  if (Depth < 2 || (Depth & (Depth - 1)) != 0) begin : gen_check
    $error("bnn_fifo_block: Depth = %0d, must be a power of two, at least 2", Depth);
  end

  (* ram_style = "block" *) logic [Width-1:0] mem[Depth];
  logic [Width-1:0] data_q;
  logic [AddrBits-1:0] write_q, read_q, read_next_q;
  logic some_q, one, read_valid_q, valid_q, full_q;  // full_q: read_valid_q and valid_q
  logic fetch, count, some, read_valid, valid, full;  // count: fetch again, for the places

  assign one = read_next_q == write_q;  // word in the memory

  bnn_fifo_block_step #(
      .Pops(Pops)
  ) u_step (
      .rst_i,
      .push_i,
      .pop_i,
      .some_i      (some_q),
      .one_i       (one),
      .read_valid_i(read_valid_q),
      .valid_i     (valid_q),
      .full_i      (full_q),
      .fetch_o     ({count, fetch}),
      .some_o      (some),
      .read_valid_o(read_valid),
      .valid_o     (valid),
      .full_o      (full)
  );

  always_ff @(posedge clk_i) begin
    if (push_i) mem[write_q] <= data_i;
    if (fetch) data_q <= mem[read_q];
    some_q       <= some;
    read_valid_q <= read_valid;
    valid_q      <= valid;
    full_q       <= full;
    if (rst_i) begin
      write_q     <= '0;
      read_q      <= '0;
      read_next_q <= AddrBits'(1);
    end else begin
      if (push_i) write_q <= AddrBits'(add(32'(write_q), 32'd1));
      if (count) begin
        read_q      <= read_next_q;
        read_next_q <= AddrBits'(add(32'(read_next_q), 32'd1));
      end
    end
  end

  // Quarters, so that no enable has many loads
  for (genvar h = 0; h < 4; h++) begin : gen_part
    localparam int unsigned From = h * (Width / 4), To = h == 3 ? Width : From + Width / 4;
    logic part_valid, take;
    logic [To-1:From] out_q;

    bnn_register u_valid (
        .clk_i,
        .data_i(valid),
        .data_o(part_valid)
    );

    bnn_fifo_block_take #(
        .Pops(Pops)
    ) u_take (
        .valid_i(part_valid),
        .pop_i,
        .take_o (take)
    );

    always_ff @(posedge clk_i) begin
      if (take) out_q <= data_q[To-1:From];
    end

    assign data_o[To-1:From] = out_q;
  end

  assign valid_o = valid_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  logic [AddrBits:0] level_q;  // in the memory

  always_ff @(posedge clk_i) begin
    level_q <= rst_i ? '0 : level_q + (AddrBits + 1)'(push_i) - (AddrBits + 1)'(fetch);
  end

  push_with_room: assert property (push_i |-> 32'(level_q) + 32'(read_valid_q) + 32'(valid_q) < Depth)
      else $error("push_i with Depth = %0d words in", Depth);
`endif
endmodule
