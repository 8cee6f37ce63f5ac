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
    input  logic                images_i,  // lanes are images
    input  logic signed [3:0]   shift_i,
    input  logic                out_i,  // of the image, all lanes
    input  logic                block_first_i,
    input  logic [LaneBits+1:0] left_i,  // columns from the block's first one on, at most 2*Lanes
    input  logic [AddrBits-1:0] here_i,
    input  logic [AddrBits-1:0] column_i,  // with images_i, else 0
    input  logic [AddrBits-1:0] record_i,
    output logic                pad_o,
    output logic [AddrBits-1:0] addr_o
);
  localparam int unsigned ColumnBits = (LaneBits < 2) ? 5 : LaneBits + 3;

  logic signed [3:0] shift_q;
  logic signed [ColumnBits-1:0] column_q;  // relative to the block
  logic next_q, previous_q, pad_q;
  logic [AddrBits-1:0] addr_q;

  always_ff @(posedge clk_i) begin
    shift_q    <= shift_i;
    column_q   <= ColumnBits'(signed'({1'b0, (LaneBits + 1)'(Lane)})) + ColumnBits'(shift_q);
    next_q     <= shift_q > signed'(4'(Lane)) && Lane < 4;
    previous_q <= shift_q[3] && (Lane == Lanes - 1 || (Lane == Lanes - 2 && !shift_q[0]));  // -1; -2
    pad_q      <= out_i | (~images_i & (column_q < 0 ? block_first_i : column_q >= signed'(ColumnBits'(left_i))));
    addr_q     <= here_i + (next_q ? record_i : previous_q ? '0 - record_i : column_i);
  end

  assign pad_o  = pad_q;
  assign addr_o = addr_q;
endmodule
