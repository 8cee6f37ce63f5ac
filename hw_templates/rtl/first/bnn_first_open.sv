// Whether the first layer's writes take bits or words of values: within a sub-batch, without pack_i
//
// The last ones of a row are followed by a pause of one cycle with room. Copies are each made from what they hang on, as
// that comes late and they have many loads. Latency: 1 cycle.
(* keep_hierarchy = "yes" *)
module bnn_first_open (
    input  logic       clk_i,
    input  logic       clear_i,
    input  logic       pack_i,
    input  logic       begin_i,
    input  logic       active_i,
    input  logic       room_i,
    input  logic       pause_i,
    input  logic       bits_i,  // there are bits, a pixel's last word of values
    input  logic       value_last_i,
    input  logic [1:0] last_i,  // it is the last of the pixel, and that of the row
    output logic       open_o
);
  (* keep = "true" *) logic open_q;
  logic go;

  assign go = room_i ? ~(open_q & (bits_i | value_last_i) & (&last_i)) : ~pause_i;

  always_ff @(posedge clk_i) open_q <= ~clear_i & ~pack_i & (begin_i | active_i) & go;

  assign open_o = open_q;
endmodule
