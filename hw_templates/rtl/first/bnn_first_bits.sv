// Channels of the first layer, what they make of a window, and the queue of the bits.
//
//   data_o[p] = bit of channel group*FirstPe + p:  bnn_first_array, or bnn_first_wired
//   with values_i the queue stays empty: sums_o has those of a group, with their bits, from the third cycle after
//   sums_soon_o on
//   with planes_i: bit planes_i - 1 - group of t + 2^(planes_i - 1), t the entry of channel p in the window's middle
//
// load_valid_i: the beat of channel load_index_i, load_data_i a cycle later. Windows come with group_i:
// bnn_first_windows, which sees to it that no more than Results sets of bits are in the queue or on their way. With
// FirstWired wrong_o tells that the channels loaded are not those wired in. valid_o and pop_i: bnn_fifo.
//
// Latency: bits are there 14 cycles after the last window of their sum; more with FirstWired.
module bnn_first_bits
  import bnn_pkg::*;
#(
    parameter int unsigned FirstPe = 4,
    parameter int unsigned GroupBits = 5,
    parameter int unsigned Results = 16,
    parameter bit FirstWired = 1'b0,
    parameter bit Values = 1'b0,
    localparam int unsigned IndexBits = GroupBits + $clog2(FirstPe),
    localparam int unsigned WindowBits = FirstTaps * MaxChannels * 8
) (
    input  logic                      clk_i,
    input  logic                      clear_i,
    // Channels of the program
    input  logic                      load_valid_i,
    input  logic [IndexBits-1:0]      load_index_i,
    input  logic [63:0]               load_data_i,
    input  logic [15:0]               channels_out_i,
    input  logic [2:0]                channels_in_i,
    input  logic [3:0]                planes_i,  // constant from the first window on
    input  logic                      values_i,  // constant from the first window on
    output logic                      wrong_o,
    // Windows
    input  logic                      valid_i,
    input  logic                      first_i,
    input  logic                      last_i,
    input  logic [WindowBits-1:0]     window_i,
    input  logic [1:0][GroupBits-1:0] group_i,
    // Bits
    output logic [2:0]                valid_o,  // three times
    input  logic                      pop_i,
    output logic [FirstPe-1:0]        data_o,
    // Sums: bnn_first_array's most_o
    output logic                      sums_soon_o,
    output logic [FirstPe*15-1:0]     sums_o
);
  localparam int unsigned PeBits = $clog2(FirstPe);

  logic sum_valid, room;
  logic [FirstPe-1:0] bits;

  if (FirstWired) begin : gen_wired
    logic unused_group;
    assign unused_group = ^group_i[1];
    assign sums_o = '0;
    bnn_first_wired #(
        .FirstPe  (FirstPe),
        .GroupBits(GroupBits)
    ) u_array (
        .clk_i,
        .rst_i       (clear_i),
        .load_i      (load_valid_i),
        .load_index_i,
        .load_data_i,
        .channels_out_i,
        .channels_in_i,
        .wrong_o,
        .valid_i,
        .first_i,
        .last_i,
        .group_i     (group_i[0]),
        .window_i,
        .valid_o     (sum_valid),
        .bit_o       (bits)
    );
  end else begin : gen_array
    logic [FirstPe*64-1:0] channel;
    logic unused_channels;
    assign wrong_o = 1'b0;
    assign unused_channels = ^channels_out_i;

    // Weights come a cycle after their window, thresholds and flips ten.
    logic [6:0][GroupBits-1:0] group_q;
    logic [1:0][GroupBits-1:0] late;

    always_ff @(posedge clk_i) group_q <= {group_q[5:0], group_i[0]};

    for (genvar h = 0; h < 2; h++) begin : gen_late
      bnn_register #(
          .Bits(GroupBits)
      ) u_late (
          .clk_i,
          .data_i(group_q[6]),
          .data_o(late[h])
      );
    end

    for (genvar p = 0; p < FirstPe; p++) begin : gen_channel
      first_beat_t beat;

      assign {beat.unused1, beat.unused} = '0;
      assign channel[p*64+:64] = beat;

      bnn_first_channel #(
          .Depth(1 << GroupBits)
      ) u_channel (
          .clk_i,
          .write_i     (load_valid_i && load_index_i[PeBits-1:0] == PeBits'(p)),
          .write_addr_i(load_index_i[PeBits+:GroupBits]),
          .write_data_i(load_data_i),
          .address_i   (group_i[p%2]),
          .late_i      (late[p%2]),
          .weights_o   (beat.weights),
          .threshold_o (beat.threshold),
          .flip_o      (beat.flip)
      );
    end

    bnn_first_array #(
        .FirstPe(FirstPe),
        .Values (Values)
    ) u_array (
        .clk_i,
        .rst_i    (clear_i),
        .valid_i,
        .first_i,
        .last_i,
        .window_i,
        .channel_i(channel),
        .valid_o  (sum_valid),
        .bit_o    (bits),
        .most_o   (sums_o)
    );
  end

  // ---- Planes of pixels ----------------------------------------------------------------------------

  localparam int unsigned Middle = FirstTaps / 2 * MaxChannels * 8;

  logic [1:0] plane_valid_q;
  logic plane_first_q, planes_q, planes_push;  // planes_push: planes_q again
  logic [2:0] plane_bit_q, plane_top_q;
  logic [3:0] plane_there_q;
  logic [MaxChannels*8-1:0] pixel_q;
  logic [FirstPe-1:0] plane_q;

  always_ff @(posedge clk_i) begin
    planes_q      <= planes_i != '0;
    plane_first_q <= group_i[0] == '0;
    // planes_i less one, and that less the group, in LUTs
    plane_top_q    <= {planes_i[2] ^ ~(|planes_i[1:0]), planes_i[1] ^ ~planes_i[0], ~planes_i[0]};
    plane_bit_q[0] <= plane_top_q[0] ^ group_i[0][0];
    plane_bit_q[1] <= plane_top_q[1] ^ group_i[0][1] ^ (~plane_top_q[0] & group_i[0][0]);
    plane_bit_q[2] <= plane_top_q[2] ^ group_i[0][2]
        ^ ((~plane_top_q[1] & group_i[0][1]) | (~(plane_top_q[1] ^ group_i[0][1]) & ~plane_top_q[0] & group_i[0][0]));
    pixel_q       <= window_i[Middle+:MaxChannels*8];
    plane_q       <= '0;
    for (int unsigned c = 0; c < MaxChannels; c++) begin
      plane_there_q[c] <= c < 32'(channels_in_i);
      plane_q[c]       <= plane_there_q[c] & (pixel_q[c*8+32'(plane_bit_q)] ^ plane_first_q);
    end
    plane_valid_q <= clear_i ? '0 : {plane_valid_q[0], valid_i & planes_q};
  end

  logic push_q, sums_q;
  logic [FirstPe-1:0] data_q;

  bnn_register u_planes (
      .clk_i,
      .data_i(planes_i != '0),
      .data_o(planes_push)
  );

  always_ff @(posedge clk_i) begin
    sums_q <= values_i;
    push_q <= ~clear_i & (planes_push ? plane_valid_q[1] : sum_valid & ~sums_q);
    data_q <= planes_q ? plane_q : bits;
  end

  assign sums_soon_o = sum_valid & sums_q;

  bnn_fifo #(
      .Width(FirstPe),
      .Depth(Results),
      .Copies(3)
  ) u_bits (
      .clk_i,
      .rst_i  (clear_i),
      .push_i (push_q),
      .data_i (data_q),
      .room_o (room),
      .valid_o,
      .pop_i,
      .data_o
  );

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (clear_i);

  bits_have_room: assert property (push_q |-> room)
      else $error("more than Results = %0d sets of bits in the queue", Results);
`endif
endmodule
