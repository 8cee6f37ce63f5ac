// Queue of Depth words of Width bits in block RAM, read through an output register.
//
// A word is pushed in any cycle with push_i: who pushes sees to it that no more than Depth are in. Without
// valid_o pop_i means nothing.
//
// Latency: a word pushed at edge t is at data_o after edge t + 3 at the earliest.
module bnn_fifo_block #(
    parameter int unsigned Width = 64,
    parameter int unsigned Depth = 128
) (
    input  logic             clk_i,
    input  logic             rst_i,
    input  logic             push_i,
    input  logic [Width-1:0] data_i,
    output logic             valid_o,
    input  logic             pop_i,
    output logic [Width-1:0] data_o
);
  localparam int unsigned AddrBits = $clog2(Depth);

  if (Depth < 2 || (Depth & (Depth - 1)) != 0) begin : gen_check
    $error("bnn_fifo_block: Depth = %0d, must be a power of two, at least 2", Depth);
  end

  (* ram_style = "block" *) logic [Width-1:0] mem[Depth];
  logic [Width-1:0] data_q;
  logic [AddrBits-1:0] write_q, read_q, read_next_q;
  logic some_q, one, read_valid_q, valid_q, valid_d, full_q, fetch, move;

  assign one = read_next_q == write_q;  // word in the memory
  assign move = ~valid_q | pop_i;  // to the output register
  assign fetch = some_q & (~full_q | pop_i);  // full_q: read_valid_q and valid_q
  assign valid_d = ~rst_i & (move ? read_valid_q : valid_q);

  always_ff @(posedge clk_i) begin
    if (push_i) mem[write_q] <= data_i;
    if (fetch) data_q <= mem[read_q];
    valid_q <= valid_d;
    if (rst_i) begin
      write_q      <= '0;
      read_q       <= '0;
      read_next_q  <= AddrBits'(1);
      full_q       <= 1'b0;
      some_q       <= 1'b0;
      read_valid_q <= 1'b0;
    end else begin
      if (push_i) write_q <= write_q + 1'b1;
      if (fetch) begin
        read_q      <= read_next_q;
        read_next_q <= read_next_q + 1'b1;
      end
      full_q       <= move ? read_valid_q & some_q : read_valid_q | some_q;
      some_q       <= push_i | (some_q & ~(fetch & one));
      read_valid_q <= fetch | (read_valid_q & ~move);
    end
  end

  // Halves, so that neither enable has many loads
  for (genvar h = 0; h < 2; h++) begin : gen_half
    localparam int unsigned From = h * (Width / 2), To = h == 0 ? Width / 2 : Width;
    logic half_valid;
    logic [To-1:From] out_q;

    bnn_register u_valid (
        .clk_i,
        .data_i(valid_d),
        .data_o(half_valid)
    );

    always_ff @(posedge clk_i) begin
      if (~half_valid | pop_i) out_q <= data_q[To-1:From];
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
