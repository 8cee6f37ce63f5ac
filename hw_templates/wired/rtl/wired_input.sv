// Admission of images: AXI4-Stream beats in, beats without back-pressure out.
//
// The layers behind run freely and take a beat in any cycle, so an image may only start when a place for its
// result is certain: at most Images images are between here and the queue of results. done_i frees a place.
// Inside an image s_axis_tready stays high.
module wired_input #(
    parameter int unsigned Bits = 8,
    parameter int unsigned Beats = 64,
    parameter int unsigned Images = 4
) (
    input  logic            clk_i,
    input  logic            rst_ni,
    input  logic            s_axis_tvalid,
    output logic            s_axis_tready,
    input  logic [Bits-1:0] s_axis_tdata,
    input  logic            done_i,
    output logic            valid_o,
    output logic [Bits-1:0] beat_o
);
  localparam int unsigned CountBits = $clog2(Beats + 1);
  localparam int unsigned PlaceBits = $clog2(Images + 1);
  logic [CountBits-1:0] count_q;
  logic [PlaceBits-1:0] inside_q;
  logic take, starts;

  assign s_axis_tready = rst_ni && (count_q != '0 || inside_q != PlaceBits'(Images));
  assign take = s_axis_tvalid && s_axis_tready;
  assign starts = take && count_q == '0;

  always_ff @(posedge clk_i) begin
    beat_o <= s_axis_tdata;
    if (!rst_ni) begin
      valid_o <= 1'b0;
      count_q <= '0;
      inside_q <= '0;
    end else begin
      valid_o <= take;
      if (take) count_q <= count_q == CountBits'(Beats - 1) ? '0 : count_q + 1'b1;
      inside_q <= inside_q + PlaceBits'(starts) - PlaceBits'(done_i);
    end
  end
endmodule
