// One lane of bnn_sequencer: its column against the edges of the image, and its read address.
//
// Latency: 1 cycle; shift_i comes two cycles before the others.
(* keep_hierarchy = "yes" *)
module bnn_sequencer_lane #(
    parameter int unsigned Lane = 0,
    parameter int unsigned Lanes = 4,
    parameter int unsigned AddrBits = 10,
    localparam int unsigned LaneBits = $clog2(Lanes)
) (
    input  logic                clk_i,
    input  logic                dense_i,
    input  logic signed [2:0]   shift_i,
    input  logic                row_out_i,
    input  logic                block_first_i,
    input  logic [LaneBits+1:0] left_i,  // columns from the block's first one on, at most 2*Lanes
    input  logic [AddrBits-1:0] here_i,
    input  logic [AddrBits-1:0] cw_i,
    output logic                pad_o,
    output logic [AddrBits-1:0] addr_o
);
  logic signed [2:0] shift_q;
  logic signed [LaneBits+2:0] column_q;  // relative to the block
  logic next_q, previous_q, pad_q;
  logic [AddrBits-1:0] addr_q;

  always_ff @(posedge clk_i) begin
    shift_q    <= shift_i;
    column_q   <= (LaneBits + 3)'(signed'({1'b0, (LaneBits + 1)'(Lane)})) + (LaneBits + 3)'(shift_q);
    next_q     <= shift_q > signed'(3'(Lane)) && Lane < 2;
    previous_q <= shift_q < 0 && Lane == Lanes - 1;
    pad_q      <= ~dense_i
        & (row_out_i | (column_q < 0 ? block_first_i : (LaneBits + 2)'(column_q) >= left_i));
    addr_q     <= here_i + (next_q ? cw_i : previous_q ? '0 - cw_i : '0);
  end

  assign pad_o  = pad_q;
  assign addr_o = addr_q;
endmodule
