// A quarter of bnn_unpack: of its beats, here_o and the one behind it, and where the pixel begins for one of its bytes
//
// Latency: 1 cycle. A module of its own, so that each enable and each bit of the place is one LUT of registers.
(* keep_hierarchy = "yes" *)
module bnn_unpack_part (
    input  logic        clk_i,
    input  logic        rst_i,
    input  logic        here_i,
    input  logic        open_i,
    input  logic        there_i,
    input  logic        empty_i,
    input  logic        skip_i,
    input  logic        end_i,  // the pixel has the last byte of the first beat
    input  logic        last_i,
    input  logic [2:0]  begin_i,  // of the next pixel, 0 behind the last
    input  logic [15:0] beat_i,
    output logic [15:0] here_o,
    output logic [15:0] next_o,
    output logic [2:0]  at_o
);
  (* keep = "true" *) logic [2:0] at_q;
  logic [15:0] here_q, next_q;
  logic take, move;

  assign take = here_i & open_i & there_i;
  assign move = (take & (end_i | last_i)) | skip_i | ~here_i;

  always_ff @(posedge clk_i) begin
    if (move) here_q <= next_q;
    if (empty_i) next_q <= beat_i;
    if (rst_i) at_q <= '0;
    else at_q <= (at_q & {3{~take}}) | (begin_i & {3{take & ~last_i}});  // gates, as an enable would be one more net
  end

  assign here_o = here_q;
  assign next_o = next_q;
  assign at_o   = at_q;
endmodule
