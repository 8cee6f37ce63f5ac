// Activation memory: Lanes dual-port memories of Depth words of Simd bits.
//
//   read:  data_o[l*Simd +: Simd] = mem[l][read_addr_i[l]]
//   write: mem[l][write_addr_i[l]][g*GroupBits +: GroupBits] = write_data_i, for lanes with
//          write_lane_i[l] and groups with write_group_i[l*Groups + g]
//   with Second, where nothing is written and second_i: second_o[l*Simd +: Simd] = mem[l][write_addr_i[l]]
//
// Layout: addresses at [l*AddrBits +: AddrBits], data at [l*Simd +: Simd]. Memories have no reset.
//
// Latency: a read sampled at edge t with read_i is in data_o after edge t + 1 (2 cycles: memory
// and output register). A write at edge t is seen by reads sampled at t + 1 or later; reading
// the word written in the same cycle gives either content.
module bnn_act_mem #(
    parameter int unsigned Simd = 64,
    parameter int unsigned Lanes = 4,
    parameter int unsigned Depth = 1024,
    parameter int unsigned GroupBits = 4,
    parameter bit Second = 1'b0,
    localparam int unsigned AddrBits = $clog2(Depth),
    localparam int unsigned Groups = Simd / GroupBits
) (
    input  logic                      clk_i,
    input  logic                      read_i,
    input  logic [Lanes*AddrBits-1:0] read_addr_i,
    output logic [Lanes*Simd-1:0]     data_o,
    input  logic [Lanes-1:0]          write_lane_i,
    input  logic [Lanes*Groups-1:0]   write_group_i,
    input  logic [Lanes*AddrBits-1:0] write_addr_i,
    input  logic [Lanes*Simd-1:0]     write_data_i,
    input  logic [Lanes-1:0]          second_i,
    output logic [Lanes*Simd-1:0]     second_o
);
  if (Depth < 2 || (Depth & (Depth - 1)) != 0) begin : gen_check_depth
    $error("bnn_act_mem: Depth = %0d, must be a power of two, at least 2", Depth);
  end
  if (Groups * GroupBits != Simd) begin : gen_check_group
    $error("bnn_act_mem: GroupBits = %0d does not divide Simd = %0d", GroupBits, Simd);
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    (* ram_style = "block" *) logic [Simd-1:0] mem[Depth];
    logic [Simd-1:0] read_q, out_q;

    if (Second) begin : gen_second
      logic [Simd-1:0] second_q, second_out_q;

      always_ff @(posedge clk_i) begin
        if (second_i[l] && !write_lane_i[l]) second_q <= mem[write_addr_i[l*AddrBits+:AddrBits]];
        second_out_q <= second_q;
      end

      assign second_o[l*Simd+:Simd] = second_out_q;
    end else begin : gen_single
      assign second_o[l*Simd+:Simd] = '0;
    end

    always_ff @(posedge clk_i) begin
      for (int unsigned g = 0; g < Groups; g++) begin
        if (write_lane_i[l] && write_group_i[l*Groups+g]) begin
          mem[write_addr_i[l*AddrBits+:AddrBits]][g*GroupBits+:GroupBits] <=
              write_data_i[l*Simd+g*GroupBits+:GroupBits];
        end
      end
    end

    always_ff @(posedge clk_i) begin
      if (read_i) read_q <= mem[read_addr_i[l*AddrBits+:AddrBits]];
      out_q <= read_q;
    end

    assign data_o[l*Simd+:Simd] = out_q;
  end

  logic unused_second;
  assign unused_second = ^second_i;
endmodule
