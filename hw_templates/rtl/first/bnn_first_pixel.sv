// Whether bits or the last word of a pixel's values end a pixel
//
// A module of its own, so that it stays one LUT of its inputs. No registers.
(* keep_hierarchy = "yes" *)
module bnn_first_pixel (
    input  logic open_i,
    input  logic bits_i,
    input  logic last_i,  // group
    input  logic value_last_i,
    output logic pixel_o
);
  assign pixel_o = open_i & last_i & (bits_i | value_last_i);
endmodule
