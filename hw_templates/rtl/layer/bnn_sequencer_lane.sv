// One lane of bnn_sequencer: its column against the edges of the image, and its read address.
//
//   addr_o = here_i + word_i + (next_i in the block after, previous_i in the one before, else column_i)
//
// Latency: shift_i 3 cycles, word_i and column_i 2, the others 1.
(* keep_hierarchy = "yes" *)
module bnn_sequencer_lane
  import bnn_add_pkg::add;
#(
    parameter int unsigned Lane = 0,
    parameter int unsigned Lanes = 4,
    parameter int unsigned AddrBits = 10,
    localparam int unsigned LaneBits = $clog2(Lanes)
) (
    input  logic                       clk_i,
    input  logic                       images_i,  // lanes are images
    input  logic signed [3:0]          shift_i,  // 0 with images_i
    input  logic                       out_i,  // of the image, all lanes
    input  logic                       block_first_i,
    input  logic signed [LaneBits+2:0] gap_i,  // columns from the block's first one on, at most 2*Lanes, less the shift
    input  logic [AddrBits-1:0]        here_i,
    input  logic [AddrBits-1:0]        word_i,
    input  logic [AddrBits-1:0]        column_i,
    input  logic [AddrBits-1:0]        next_i,
    input  logic [AddrBits-1:0]        previous_i,
    output logic                       pad_o,
    output logic [AddrBits-1:0]        addr_o
);
  logic next_q, previous_q, before_q, before_d_q, pad_q;
  logic [AddrBits-1:0] place, offset_q, addr_q;
  logic unused_low;

  assign place = next_q ? next_i : previous_q ? previous_i : column_i;

  always_ff @(posedge clk_i) begin
    next_q     <= shift_i > signed'(4'(Lane)) && Lane < 4;
    previous_q <= shift_i[3] && (Lane == Lanes - 1 || (Lane == Lanes - 2 && !shift_i[0]));  // -1; -2
    before_q   <= shift_i[3] && (Lane == 0 || (Lane == 1 && !shift_i[0]));
    before_d_q <= before_q;
    // As bnn_add_pkg, but for the first place of the chain: what is picked has a LUT of its own there.
    offset_q[0] <= word_i[0] ^ place[0];
    {offset_q[AddrBits-1:1], unused_low} <= {word_i[AddrBits-1:1], 1'b1} + {place[AddrBits-1:1], word_i[0] & place[0]};
    addr_q     <= AddrBits'(add(32'(here_i), 32'(offset_q)));
    pad_q      <= out_i | (~images_i & (before_d_q ? block_first_i : gap_i <= signed'((LaneBits + 3)'(Lane))));
  end

  assign pad_o  = pad_q;
  assign addr_o = addr_q;
endmodule
