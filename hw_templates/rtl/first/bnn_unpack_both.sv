// Whether the next pixel of bnn_unpack lies in both beats
//
// A module of its own, so that it stays one LUT of its inputs. No registers.
(* keep_hierarchy = "yes" *)
module bnn_unpack_both (
    input  logic here_i,
    input  logic open_i,
    input  logic there_i,
    input  logic last_i,
    input  logic wide_i,
    input  logic both_i,
    output logic both_o
);
  assign both_o = (here_i & open_i & there_i) ? ~last_i & wide_i : both_i;
endmodule
