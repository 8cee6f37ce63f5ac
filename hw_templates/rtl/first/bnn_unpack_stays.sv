// Whether bnn_unpack's second beat stays where it is
//
// A module of its own, so that it stays one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_unpack_stays (
    input  logic here_i,
    input  logic next_i,
    input  logic skip_i,
    input  logic open_i,
    input  logic end_i,
    input  logic last_i,
    output logic stays_o
);
  assign stays_o = next_i & here_i & ~skip_i & ~(open_i & (end_i | last_i));
endmodule
