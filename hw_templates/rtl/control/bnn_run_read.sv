// Reads of a program's parts: the command for one, and the count of its beats.
//
// With ask_i, at least one cycle, the command for beats_i beats is offered once settled_i says that they are right;
// taken_o ends it, and ask_i with it. After that every beat counts: index_o is that of the one at beat_valid_i, last_o
// marks the last. A part has at least two beats.
//
// Latency: valid_o 1 cycle after ask_i and settled_i.
module bnn_run_read
  import bnn_add_pkg::add;
(
    input  logic        clk_i,
    input  logic        rst_i,
    input  logic        ask_i,
    input  logic        settled_i,
    input  logic [12:0] beats_i,
    output logic        valid_o,
    input  logic        ready_i,
    output logic        taken_o,
    input  logic        beat_valid_i,
    output logic [12:0] index_o,
    output logic        last_o
);
  logic valid_q, last_q;
  logic [12:0] before_last_q, index_q;  // the index of the last beat but one

  assign taken_o = valid_q & ready_i;

  always_ff @(posedge clk_i) begin
    valid_q <= ~rst_i & ask_i & settled_i & ~taken_o;
    if (ask_i) begin
      index_q       <= '0;
      before_last_q <= beats_i - 13'd2;
      last_q        <= 1'b0;
    end else if (beat_valid_i) begin
      index_q <= 13'(add(32'(index_q), 32'd1));
      last_q  <= index_q == before_last_q;
    end
  end

  assign valid_o = valid_q;
  assign index_o = index_q;
  assign last_o  = last_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  beats_enough: assert property (taken_o |-> beats_i >= 13'd2)
      else $error("beats_i = %0d, must be at least 2", beats_i);
`endif
endmodule
