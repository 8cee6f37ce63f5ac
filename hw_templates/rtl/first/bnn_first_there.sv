// Whether there is a word of values, or of the bits beside them
//
// A module of its own, so that it stays one LUT of its inputs. No registers.
(* keep_hierarchy = "yes" *)
module bnn_first_there (
    input  logic value_i,
    input  logic ready_i,
    input  logic plane_i,
    output logic there_o
);
  assign there_o = (value_i & ready_i) | plane_i;
endmodule
