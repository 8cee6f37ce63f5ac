// Queue of Depth words of Width bits in LUT RAM, first word visible at once.
//
// push_i is ignored without room_o; pop_i is used with valid_o only.
//
// Latency: a word pushed at edge t is at data_o after edge t.
module bnn_fifo #(
    parameter int unsigned Width = 8,
    parameter int unsigned Depth = 16,
    parameter int unsigned Copies = 1  // of valid_o, where it has many loads
) (
    input  logic             clk_i,
    input  logic             rst_i,
    input  logic             push_i,
    input  logic [Width-1:0] data_i,
    output logic             room_o,
    output logic [Copies-1:0] valid_o,
    input  logic             pop_i,
    output logic [Width-1:0] data_o
);
  localparam int unsigned AddrBits = $clog2(Depth);

  if (Depth < 2 || (Depth & (Depth - 1)) != 0) begin : gen_check
    $error("bnn_fifo: Depth = %0d, must be a power of two, at least 2", Depth);
  end

  (* ram_style = "distributed" *) logic [Width-1:0] mem[Depth];
  logic [AddrBits-1:0] write_q, write_next_q, read_q, read_next_q;
  logic [AddrBits-1:0] write_more, read_more;  // one more than the next, in LUTs
  logic valid_q, full_q, one, push;
  logic [Copies-1:0] full;  // the same each
  logic unused_full;

  assign push = push_i & room_o;
  assign one = read_next_q == write_q;
  assign room_o = ~full_q;
  assign valid_q = valid_o[0];
  assign unused_full = ^full;
  assign data_o = mem[read_q];

  // A register for each copy, with a LUT of its own
  for (genvar i = 0; i < Copies; i++) begin : gen_copy
    (* keep = "true" *) logic copy_q;
    logic valid;

    bnn_fifo_step u_step (
        .rst_i,
        .push_i,
        .pop_i,
        .valid_i   (valid_q),
        .full_i    (full_q),
        .one_i     (one),
        .one_left_i(write_next_q == read_q),
        .valid_o   (valid),
        .full_o    (full[i])
    );
    always_ff @(posedge clk_i) copy_q <= valid;
    assign valid_o[i] = copy_q;
  end

  assign write_more[0] = ~write_next_q[0];
  assign read_more[0] = ~read_next_q[0];
  for (genvar b = 1; b < AddrBits; b++) begin : gen_more
    assign write_more[b] = write_next_q[b] ^ (&write_next_q[b-1:0]);
    assign read_more[b] = read_next_q[b] ^ (&read_next_q[b-1:0]);
  end

  always_ff @(posedge clk_i) begin
    if (push) mem[write_q] <= data_i;
    full_q <= full[0];
    if (rst_i) begin
      write_q      <= '0;
      write_next_q <= AddrBits'(1);
      read_q       <= '0;
      read_next_q  <= AddrBits'(1);
    end else begin
      if (push) begin
        write_q      <= write_next_q;
        write_next_q <= write_more;
      end
      if (pop_i) begin
        read_q      <= read_next_q;
        read_next_q <= read_more;
      end
    end
  end

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  pop_with_word: assert property (pop_i |-> valid_q)
      else $error("pop_i without valid_o");
`endif
endmodule
