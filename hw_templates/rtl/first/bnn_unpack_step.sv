// What is valid in bnn_unpack in the next cycle
//
//   open_o:  an image may begin or is at work
//   here_o:  there is a beat in here_q: always with next_q full; without it until a pixel in here_q alone is its last
//   next_o:  and in next_q, which is filled while empty;  empty_o: none is, not with rst_i
//   there_o: next_o, or the next pixel does not lie in both
//
// Apart from the counters, so that each of these is two LUTs. No registers.
(* keep_hierarchy = "yes" *)
module bnn_unpack_step (
    input  logic rst_i,
    input  logic open_i,
    input  logic here_i,
    input  logic next_i,
    input  logic there_i,  // next_i, or not both_i
    input  logic empty_i,
    input  logic skip_i,  // the beat that follows, which a last pixel has used up
    input  logic both_i,  // the pixel lies in both
    input  logic wide_i,  // the one behind it does, if it is not the last
    input  logic end_i,  // it has the last byte of the first one
    input  logic last_i,  // it is the image's last
    input  logic beat_valid_i,
    input  logic ready_i,  // the next image may begin
    input  logic over_i,  // an image was ended in the last cycle
    output logic open_o,
    output logic here_o,
    output logic next_o,
    output logic empty_o,
    output logic there_o,
    output logic both_o  // without rst_i
);
  logic left, stays;  // the beat, if the pixel is taken

  bnn_unpack_stays u_stays (
      .here_i,
      .next_i,
      .skip_i,
      .open_i,
      .end_i,
      .last_i,
      .stays_o(stays)
  );

  bnn_unpack_both u_both (
      .here_i,
      .open_i,
      .there_i,
      .last_i,
      .wide_i,
      .both_i,
      .both_o
  );

  assign left = open_i & (end_i | last_i);
  assign open_o = ~rst_i & (open_i ? ~(last_i & here_i & there_i) : ready_i & ~over_i);
  assign here_o = ~rst_i & (next_i | (here_i & ~skip_i & ~(left & ~both_i)));
  assign next_o = ~rst_i & ((empty_i & beat_valid_i) | stays);
  assign empty_o = ~rst_i & ~(empty_i & beat_valid_i) & ~stays;
  assign there_o = next_o | ~both_o;
endmodule
