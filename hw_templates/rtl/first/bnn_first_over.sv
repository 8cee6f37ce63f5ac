// Whether a write ends an image, with the last row of a map or the last word of its planes
//
// A module of its own, so that it stays one LUT of its inputs. No registers.
(* keep_hierarchy = "yes" *)
module bnn_first_over (
    input  logic       room_i,
    input  logic       last_i,  // image, of those that matter
    input  logic       pixel_i,
    input  logic [1:0] ends_i,  // row, map
    input  logic       image_i,
    output logic       over_o
);
  assign over_o = room_i & last_i & ((pixel_i & (&ends_i)) | image_i);
endmodule
