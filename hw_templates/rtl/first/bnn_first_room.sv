// Whether the first layer's write port has room for another write
//
// Copies are each made from what it hangs on, as that comes late and they are many. Latency: 1 cycle.
(* keep_hierarchy = "yes" *)
module bnn_first_room (
    input  logic clk_i,
    input  logic clear_i,
    input  logic given_i,  // there is a write if there was room, if there was none
    input  logic valid_i,
    input  logic wait_i,  // it waits
    output logic room_o
);
  (* keep = "true" *) logic room_q;

  always_ff @(posedge clk_i) room_q <= clear_i | ~(room_q ? given_i : valid_i) | ~wait_i;

  assign room_o = room_q;
endmodule
