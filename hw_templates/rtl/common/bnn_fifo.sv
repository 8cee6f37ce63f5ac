// Queue of Depth words of Width bits in LUT RAM, first word visible at once.
//
// push_i is ignored without room_o; pop_i is used with valid_o only.
//
// Latency: a word pushed at edge t is at data_o after edge t.
module bnn_fifo
  import bnn_add_pkg::add;
#(
    parameter int unsigned Width = 8,
    parameter int unsigned Depth = 16
) (
    input  logic             clk_i,
    input  logic             rst_i,
    input  logic             push_i,
    input  logic [Width-1:0] data_i,
    output logic             room_o,
    output logic             valid_o,
    input  logic             pop_i,
    output logic [Width-1:0] data_o
);
  localparam int unsigned AddrBits = $clog2(Depth);

  if (Depth < 2 || (Depth & (Depth - 1)) != 0) begin : gen_check
    $error("bnn_fifo: Depth = %0d, must be a power of two, at least 2", Depth);
  end

  (* ram_style = "distributed" *) logic [Width-1:0] mem[Depth];
  logic [AddrBits-1:0] write_q, write_next_q, read_q, read_next_q;
  logic valid_q, full_q, one, push, valid, full;

  assign push = push_i & room_o;
  assign one = read_next_q == write_q;
  bnn_fifo_step u_step (
      .push_i,
      .pop_i,
      .valid_i   (valid_q),
      .full_i    (full_q),
      .one_i     (one),
      .one_left_i(write_next_q == read_q),
      .valid_o   (valid),
      .full_o    (full)
  );

  assign room_o = ~full_q;
  assign valid_o = valid_q;
  assign data_o = mem[read_q];

  always_ff @(posedge clk_i) begin
    if (push) mem[write_q] <= data_i;
    if (rst_i) begin
      write_q      <= '0;
      write_next_q <= AddrBits'(1);
      read_q       <= '0;
      read_next_q  <= AddrBits'(1);
      full_q       <= 1'b0;
      valid_q      <= 1'b0;
    end else begin
      if (push) begin
        write_q      <= write_next_q;
        write_next_q <= AddrBits'(add(32'(write_next_q), 32'd1));
      end
      if (pop_i) begin
        read_q      <= read_next_q;
        read_next_q <= AddrBits'(add(32'(read_next_q), 32'd1));
      end
      valid_q <= valid;
      full_q  <= full;
    end
  end

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  pop_with_word: assert property (pop_i |-> valid_o)
      else $error("pop_i without valid_o");
`endif
endmodule
