// What bnn_first_pack does in the next cycle
//
//   beat_o:  a beat's signs go to the word: an image is at work, they are there and the word is not
//   free_o:  the next beat may come: there are no signs, or they go to the word
//
// Apart from the counters, so that each of these is two LUTs. No registers.
(* keep_hierarchy = "yes" *)
module bnn_first_pack_step (
    input  logic       stop_i,
    input  logic       some_i,
    input  logic       beat_valid_i,
    input  logic [1:0] taken_i,  // and its last plane: the word
    input  logic       plane_last_i,
    input  logic       last_i,  // the beat is the image's last, or the word's
    input  logic       word_end_i,
    input  logic       busy_i,
    input  logic       beat_i,
    input  logic       free_i,
    input  logic       signs_i,
    input  logic       word_i,
    output logic       begin_o,
    output logic       busy_o,
    output logic       beat_o,
    output logic       free_o,
    output logic       signs_o,
    output logic       word_o,
    output logic [1:0] next_o  // there is no word, or it is taken: twice
);
  logic on, again, ready;
  logic [1:0] go;
  logic [2:0] next;

  // A beat goes on after one, behind a word or the first beat of it, or at the image's begin; beat_i is busy_i, signs_i
  // and not word_i.
  assign begin_o = ~busy_i & ~word_i & some_i & signs_i;
  assign on      = beat_i & beat_valid_i & ~last_i & ~word_end_i;
  assign again   = busy_i & ~beat_i & (signs_i | beat_valid_i);
  assign ready   = free_i ? beat_valid_i : signs_i;
  assign busy_o  = ~stop_i & (begin_o | (busy_i & ~(beat_i & last_i)));
  assign signs_o = ~stop_i & ready;
  assign word_o  = ~stop_i & ((beat_i & (last_i | word_end_i)) | ~next[0]);

  for (genvar i = 0; i < 3; i++) begin : gen_next
    bnn_first_pack_next u_next (
        .word_i,
        .plane_last_i,
        .taken_i,
        .next_o(next[i])
    );
  end

  assign next_o = next[2:1];

  for (genvar i = 0; i < 2; i++) begin : gen_go
    bnn_first_pack_go u_go (
        .stop_i,
        .begin_i(begin_o),
        .on_i   (on),
        .again_i(again),
        .next_i (next[0]),
        .ready_i(i == 0 | ready),
        .go_o   (go[i])
    );
  end

  assign {free_o, beat_o} = go;
endmodule
