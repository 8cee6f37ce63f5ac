// Queue of Depth words of Width bits in LUT RAM, first word visible at once: bnn_fifo of the core, without its copies.
//
// push_i is ignored without room_o; pop_i is used with valid_o only.
//
// Latency: a word pushed at edge t is at data_o after edge t.
module wired_fifo #(
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
    $error("wired_fifo: Depth = %0d, must be a power of two, at least 2", Depth);
  end

  (* ram_style = "distributed" *) logic [Width-1:0] mem[Depth];
  logic [AddrBits-1:0] write_q, write_next_q, read_q, read_next_q;
  logic valid_q, full_q, one, push;

  assign push = push_i & room_o;
  assign one = read_next_q == write_q;
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
        write_next_q <= write_next_q + 1'b1;
      end
      if (pop_i) begin
        read_q      <= read_next_q;
        read_next_q <= read_next_q + 1'b1;
      end
      valid_q <= push | (valid_q & ~(pop_i & one));
      full_q  <= ~pop_i & (full_q | (push & write_next_q == read_q));
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
