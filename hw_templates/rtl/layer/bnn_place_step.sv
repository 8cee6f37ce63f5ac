// What the end of a block does to a position in the nest of blocks, rows and images of a group
//
// A part of an address each, cleared or stepped; cleared where both are high. lane_last_i: the next image is not in the
// same place of the next lane.
// Apart from the adders, so that each of these is one LUT. No registers.
(* keep_hierarchy = "yes" *)
module bnn_place_step (
    input  logic start_i,
    input  logic go_i,  // a block ends
    input  logic lane_last_i,
    input  logic [2:0] last_i,  // of the row's blocks, the image's rows, the images
    output logic block_clear_o,
    output logic row_step_o,
    output logic row_clear_o,
    output logic row_end_o,  // of the image's last row
    output logic image_step_o,
    output logic image_clear_o,
    output logic group_end_o
);
  assign block_clear_o = start_i | (go_i & last_i[0]);
  assign row_step_o    = go_i & last_i[0];
  assign row_clear_o   = start_i | (go_i & last_i[0] & last_i[1]);
  assign row_end_o     = go_i & last_i[0] & last_i[1];
  assign image_step_o  = go_i & last_i[0] & last_i[1] & lane_last_i;
  assign image_clear_o = start_i | (go_i & last_i[0] & last_i[1] & last_i[2]);
  assign group_end_o   = go_i & last_i[0] & last_i[1] & last_i[2];
endmodule
