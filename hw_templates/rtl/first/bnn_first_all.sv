// Whether all of a few bits are high
//
// A module of its own, so that it stays one LUT of its inputs. No registers.
(* keep_hierarchy = "yes" *)
module bnn_first_all #(
    parameter int unsigned Bits = 3
) (
    input  logic [Bits-1:0] bits_i,
    output logic            all_o
);
  assign all_o = &bits_i;
endmodule
