// The passes of a folded engine: from the cycle after emit_i on, Passes cycles with pass_o = 0, 1, ...
//
// The vector must stay for as long, so its source is held back with ready_o until the last pass but one is over, or
// has no other vector till then. emit_i comes with ready_o only.
module wired_fold #(
    parameter int unsigned Passes = 4
) (
    input  logic                      clk_i,
    input  logic                      rst_ni,
    input  logic                      emit_i,
    output logic                      ready_o,
    output logic                      valid_o,
    output logic [$clog2(Passes)-1:0] pass_o
);
  localparam int unsigned PassBits = $clog2(Passes);

  if (Passes < 2) begin : gen_check
    $error("wired_fold: Passes = %0d, expected at least 2", Passes);
  end

  assign ready_o = !valid_o || pass_o == PassBits'(Passes - 1);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_o <= 1'b0;
      pass_o <= '0;
    end else begin
      if (ready_o) begin
        valid_o <= emit_i;
        pass_o <= '0;
      end else begin
        pass_o <= pass_o + 1'b1;
      end
    end
  end

`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    if (rst_ni && emit_i && !ready_o) $fatal(1, "wired_fold: a vector too many");
  end
`endif
endmodule
