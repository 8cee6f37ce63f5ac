// Which loops of a nest end with the step at hand: end_o[i] is high if loops 0 to i all have their last value.
//
// Apart from what is made of them, so that each is one gate of the flags, which come late, and none a chain of the
// ones before it. No registers.
(* keep_hierarchy = "yes" *)
module bnn_sequencer_ends #(
    parameter int unsigned Loops = 6
) (
    input  logic [Loops-1:0] last_i,
    output logic [Loops-1:0] end_o
);
  for (genvar i = 0; i < Loops; i++) begin : gen_loop
    assign end_o[i] = &last_i[i:0];
  end
endmodule
