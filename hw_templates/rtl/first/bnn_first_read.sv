// Images of the first layer: commands to their reader, and the queue of the beats that come.
//
// begin_i, a pulse, begins a run of count_i images of image_bytes_i bytes, one after the other from images_i
// on; all are constant from two cycles before it to the end of the run. clear_i, before a run, empties the queue.
// Commands follow each other as they are taken: the reader holds them back.
//
// The reader may send Depth beats more than beat_give_o has given back; hungry_o tells that half of them
// or more are free. valid_o and pop_i, of which either pops: bnn_fifo_block.
//
// Latency: a command 5 cycles after begin_i or the last one taken; the queue's 3 cycles.
module bnn_first_read
  import bnn_add_pkg::add, bnn_add_pkg::count;
#(
    parameter int unsigned Depth = 128
) (
    input  logic        clk_i,
    input  logic        rst_i,
    input  logic        clear_i,
    // Run
    input  logic        begin_i,
    input  logic [31:0] count_i,
    input  logic [63:0] images_i,
    input  logic [31:0] image_bytes_i,
    // Reader
    output logic        command_valid_o,
    input  logic        command_ready_i,
    output logic [63:0] command_addr_o,
    output logic [31:0] command_beats_o,
    input  logic        beat_valid_i,
    input  logic [63:0] beat_i,
    output logic        beat_give_o,
    output logic        hungry_o,
    // Beats
    output logic        valid_o,
    input  logic [1:0]  pop_i,
    output logic [63:0] data_o
);
  localparam int unsigned LevelBits = $clog2(Depth) + 1;

  // ---- Commands ------------------------------------------------------------------------------

  // The next address is known ahead: of its lower half the thirds one after the other, and of its upper half one more.
  logic [15:0] asked_low_q, asked_high_q;  // commands given
  logic [63:0] addr_q;
  logic [31:0] bytes_q, next_q, upper_q;
  logic [2:0] carry_q;  // out of a third of next_q
  logic upper_carry_q;  // into the upper half of upper_q
  logic upper_carry, wrap;
  logic wrap_q;  // out of asked_low_q
  logic [3:0] same_q;  // quarters of asked_high_q and asked_low_q, and of the count
  logic [3:0] settle_q;
  logic more_q, command_valid_q, given;
  logic [2:0] clear_late, given_late;  // for the count and the halves of addr_q, which are looked at two cycles later

  assign given = command_valid_q & command_ready_i;

  for (genvar i = 0; i < 3; i++) begin : gen_late
    bnn_register #(
        .Bits(2)
    ) u_late (
        .clk_i,
        .data_i({clear_i, given}),
        .data_o({clear_late[i], given_late[i]})
    );
  end

  // Apart from the sums, of whose carry chains synthesis makes them otherwise
  bnn_first_all #(
      .Bits(16)
  ) u_upper (
      .bits_i(addr_q[47:32]),
      .all_o (upper_carry)
  );
  bnn_first_all #(
      .Bits(16)
  ) u_wrap (
      .bits_i(asked_low_q),
      .all_o (wrap)
  );

  always_ff @(posedge clk_i) begin
    bytes_q <= image_bytes_i;
    {carry_q[0], next_q[11:0]} <= 13'(add(32'(addr_q[11:0]), 32'(bytes_q[11:0])));
    {carry_q[1], next_q[23:12]} <= 13'(14'({1'b0, addr_q[23:12], 1'b1} + {1'b0, bytes_q[23:12], carry_q[0]}) >> 1);
    {carry_q[2], next_q[31:24]} <= 9'(10'({1'b0, addr_q[31:24], 1'b1} + {1'b0, bytes_q[31:24], carry_q[1]}) >> 1);
    upper_carry_q <= upper_carry;
    upper_q <= {16'(add(32'(addr_q[63:48]), 32'(upper_carry_q))), 16'(add(32'(addr_q[47:32]), 32'd1))};
    if (clear_late[0]) addr_q[31:0] <= images_i[31:0];
    else if (given_late[0]) addr_q[31:0] <= next_q;
    if (clear_late[1]) addr_q[63:32] <= images_i[63:32];
    else if (given_late[1] && carry_q[2]) addr_q[63:32] <= upper_q;
    for (int unsigned i = 0; i < 4; i++) same_q[i] <= 8'({asked_high_q, asked_low_q} >> 8 * i) == count_i[8*i+:8];
    more_q <= ~(&same_q);
    wrap_q <= wrap;  // long before the next command
    if (clear_late[2]) begin
      asked_low_q  <= '0;
      asked_high_q <= '0;
    end else if (given_late[2]) begin
      asked_low_q  <= 16'(add(32'(asked_low_q), 32'd1));
      asked_high_q <= 16'(add(32'(asked_high_q), 32'(wrap_q)));
    end
    if (rst_i) begin
      settle_q        <= '0;
      command_valid_q <= 1'b0;
    end else begin
      settle_q        <= {settle_q[2:0], begin_i | given};
      command_valid_q <= (settle_q[3] & more_q) | (command_valid_q & ~command_ready_i);
    end
  end

  assign command_valid_o = command_valid_q;
  assign command_addr_o  = addr_q;
  assign command_beats_o = image_bytes_i >> 3;

  // ---- Queue ---------------------------------------------------------------------------------

  logic [LevelBits-1:0] level_q;  // beats that are in the queue or were just given back
  logic hungry_q, come_q, give_q;  // come_q: a beat has come that level_q does not have yet

  always_ff @(posedge clk_i) begin
    if (clear_i) level_q <= '0;
    else level_q <= LevelBits'(count(32'(level_q), come_q, give_q));
    come_q   <= beat_valid_i & ~clear_i;
    give_q   <= valid_o & (|pop_i) & ~clear_i;
    hungry_q <= level_q <= LevelBits'(Depth / 2);
  end

  bnn_fifo_block #(
      .Width(64),
      .Depth(Depth),
      .Pops (2)
  ) u_beats (
      .clk_i,
      .rst_i  (clear_i),
      .push_i (beat_valid_i),
      .data_i (beat_i),
      .valid_o,
      .pop_i,
      .data_o
  );

  assign beat_give_o = give_q;
  assign hungry_o    = hungry_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i || clear_i);

  beat_has_room: assert property (beat_valid_i |-> 32'(level_q) + 32'(come_q) < Depth)
      else $error("beat beyond the Depth = %0d that are free", Depth);
`endif
endmodule
