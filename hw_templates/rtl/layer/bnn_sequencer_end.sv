// Whether the step at hand of bnn_sequencer ends an output, and whether the one before ends the layer
//
//   output_end_o: it is the last one of all inner loops, with a layer at work
//   over_o:       the one before ended an output, as output_end_i says, and with it all outer loops
//
// Apart from what else is made of the loops' flags, which come late. No registers.
(* keep_hierarchy = "yes" *)
module bnn_sequencer_end #(
    parameter int unsigned Inside = 6,
    parameter int unsigned Outside = 4
) (
    input  logic               busy_i,
    input  logic [Inside-1:0]  last_i,
    input  logic               output_end_i,
    input  logic [Outside-1:0] last_outside_i,
    output logic               output_end_o,
    output logic               over_o
);
  assign over_o = output_end_i & (&last_outside_i);
  assign output_end_o = busy_i & (&last_i) & ~over_o;
endmodule
