// Weight memory: a ring of Depth words of WordBits bits, filled from a stream of 64-bit beats.
//
//   data_o = word (base + index_i), base = words popped so far
//
// Fill: WordBits/64 beats make a word, least significant first; a register of its own shifts each 64 bits of it, a
// cycle after the beat. With Ports > 1 each of as many streams brings a part of every word, the first the least
// significant bits; one may be ahead of the others, and a word is there with its last part. Beats are not refused:
// their senders know the room. available_o is the number of words from base on; a reader reads only indices
// below it, two cycles after it has seen it at the earliest. pop_i drops pop_count_i words, at
// most available_o; with hold_i it may go back, by no more than base, with a count of 2*Depth less the words. pop_count_i
// is constant from two cycles before it, and so is base.
//
// hold_i (resident program): popped words stay. words_i, 1 .. Depth, is the number of words of
// the program; the stream brings exactly these, once, and base returns to word 0 when it
// reaches words_i. rewind_i (with hold_i) returns base to word 0, used with pop_i low; for one
// cycle after base has returned, available_o is 0.
//
// ring_i, not 0, and without hold_i: the first kept_i words stay, the others go through a ring of 2^n words, those of
// the memory from ring_i on; ring_i is kept_i or more. With in_b_i the reader is in the ring, where base goes on from
// where it was; without, among the words that stay, and base is 0 after in_b_i falls and after rewind_i. Then all_o
// tells that these are all there, and available_o of no word among them. in_b_i changes three cycles before either is
// looked at, or more.
// stored_o tells of each word that stays.
//
// hold_i, words_i, ring_i and kept_i are constant between two clear_i.
//
// clear_i empties the ring and drops a partly filled word; reset does the same. With Ports > 1 beats of the cycle after
// it are dropped too.
//
// The memory is cut into banks with address registers of their own. Latency: a read with read_i
// in cycle t is in data_o in cycle t + 3 (address, memory, output register).
module bnn_weight_ring
  import bnn_add_pkg::add;
#(
    parameter int unsigned WordBits = 256,
    parameter int unsigned Depth = 1024,
    parameter int unsigned Ports = 1,
    localparam int unsigned AddrBits = $clog2(Depth)
) (
    input  logic                clk_i,
    input  logic                rst_i,
    input  logic                clear_i,
    input  logic                hold_i,
    input  logic [AddrBits:0]   words_i,
    input  logic [AddrBits-1:0] ring_i,
    input  logic [AddrBits:0]   kept_i,
    input  logic                in_b_i,
    output logic                stored_o,
    input  logic [Ports-1:0]    beat_valid_i,
    input  logic [Ports*64-1:0] beat_i,
    output logic [AddrBits:0]   available_o,
    output logic                all_o,
    input  logic [1:0]          pop_i,  // twice
    input  logic [AddrBits:0]   pop_count_i,
    input  logic                rewind_i,
    input  logic                read_i,
    input  logic [AddrBits-1:0] index_i,
    output logic [WordBits-1:0] data_o
);
  localparam int unsigned PartBits = WordBits / Ports;
  localparam int unsigned Beats = PartBits / 64;
  localparam int unsigned BeatBits = $clog2(Beats);
  localparam int unsigned BankBits = (PartBits < 256) ? PartBits : 256;
  localparam int unsigned Adders = WordBits / BankBits;  // of base and index, one for each bank

  if (Depth < 4 || (Depth & (Depth - 1)) != 0) begin : gen_check_depth
    $error("bnn_weight_ring: Depth = %0d, must be a power of two, at least 4", Depth);
  end
  if (Ports < 1 || (Ports & (Ports - 1)) != 0) begin : gen_check_ports
    $error("bnn_weight_ring: Ports = %0d, must be a power of two", Ports);
  end
  if (PartBits < 128 || (WordBits & (WordBits - 1)) != 0) begin : gen_check_word
    $error("bnn_weight_ring: WordBits = %0d, must be a power of two, at least 128 for each port", WordBits);
  end

  logic [Ports-1:0] part, drop;  // a part of a word is complete; those of the port go
  logic [Ports-1:0][AddrBits:0] placed;  // parts since clear_i
  logic [AddrBits-1:0] base_q, base_d;
  logic [Adders-1:0][AddrBits-1:0] read_addr;
  logic [AddrBits:0] loaded_q, available_q;  // words since clear_i; from base on
  logic [AddrBits:0] base_next_q, minus_q, change;
  logic [AddrBits-1:0] base_to_q;  // where a pop leads to
  logic [1:0] to_end;  // twice, for halves of base_to_q
  logic end_q, word, rewind, rewind_q, available_clear;
  logic drop_q;  // base is cleared a cycle later than what is counted; or it leaves the ring
  logic [Ports-1:0] behind_q;  // the port has brought all words that stay
  logic there, brings;  // they are there; a word comes that is not one of them
  logic ring_q, in_b_q, front_q, front_there_q;  // base is among them; and they are there
  logic enter_q, leave_q, entered_q;  // base goes to the ring, or from it; it has been there since clear_i
  logic [AddrBits-1:0] base_b_q;  // where it was then
  logic [AddrBits-1:0] read_ones_q;  // of all addresses of the ring, while base is in it

  for (genvar p = 0; p < Ports; p++) begin : gen_port
    logic [PartBits+63:0] word_q;  // the next beat, above what it is shifted into
    logic [BeatBits-1:0] beat_q;
    logic last_q, part_bank;  // last_q: a beat that comes is a part's last; part_bank: part again

    for (genvar b = 0; b < Beats; b++) begin : gen_beat
      logic shift;

      bnn_register u_shift (
          .clk_i,
          .data_i(beat_valid_i[p]),
          .data_o(shift)
      );
      always_ff @(posedge clk_i) if (shift) word_q[64*b+:64] <= word_q[64*b+64+:64];
    end

    always_ff @(posedge clk_i) begin
      word_q[PartBits+:64] <= beat_i[64*p+:64];
      if (drop[p]) begin
        last_q <= 1'b0;
        beat_q <= '0;
      end else if (beat_valid_i[p]) begin
        last_q <= beat_q == BeatBits'(Beats - 2);
        beat_q <= beat_q + 1'b1;  // Beats is a power of two
      end
    end

    bnn_register #(
        .Bits(2)
    ) u_part (
        .clk_i,
        .data_i({2{beat_valid_i[p] & last_q & ~drop[p]}}),
        .data_o({part_bank, part[p]})
    );

    // Words come two cycles after each other, or more.
    always_ff @(posedge clk_i) behind_q[p] <= ~drop[p] & (behind_q[p] | (ring_q & (placed[p] == kept_i)));

    for (genvar b = 0; b < PartBits; b += BankBits) begin : gen_bank
      bnn_weight_bank #(
          .Bits (BankBits),
          .Depth(Depth)
      ) u_bank (
          .clk_i,
          .write_i     (part_bank),
          .write_addr_i(placed[p][AddrBits-1:0] | ({AddrBits{behind_q[p]}} & ring_i)),
          .data_i      (word_q[b+:BankBits]),
          .read_i,
          .read_addr_i (read_addr[(p*PartBits+b)/BankBits]),
          .read_ones_i (read_ones_q),
          .data_o      (data_o[p*PartBits+b+:BankBits])
      );
    end
  end

  if (Ports == 1) begin : gen_one
    assign word = part[0];
    assign there = behind_q[0];
    assign drop[0] = rst_i | clear_i;
    assign placed[0] = loaded_q;
  end else begin : gen_more
    logic [Ports-1:0] ahead;
    logic word_q, there_q;

    for (genvar p = 0; p < Ports; p++) begin : gen_ahead
      logic [AddrBits:0] placed_q;

      bnn_register u_drop (
          .clk_i,
          .data_i(rst_i | clear_i),
          .data_o(drop[p])
      );

      always_ff @(posedge clk_i) begin
        if (drop[p]) placed_q <= '0;
        else placed_q <= (AddrBits + 1)'(add(32'(placed_q), 32'(part[p])));
      end

      assign placed[p] = placed_q;
      assign ahead[p]  = placed_q != loaded_q;
    end

    // A word every second cycle at most, as loaded_q follows; its parts take Beats cycles, two or more.
    always_ff @(posedge clk_i) word_q <= ~rst_i & ~clear_i & ~(|drop) & ~word_q & (&ahead);

    always_ff @(posedge clk_i) there_q <= ~(|drop) & (there_q | (ring_q & (loaded_q == kept_i)));

    assign word  = word_q;
    assign there = there_q;
  end

  // A copy of base each, which drives nothing else
  for (genvar a = 0; a < Adders; a++) begin : gen_adder
    logic [AddrBits-1:0] base;

    bnn_register #(
        .Bits(AddrBits)
    ) u_base (
        .clk_i,
        .data_i(base_d),
        .data_o(base)
    );
    assign read_addr[a] = AddrBits'(add(32'(base), 32'(index_i)));
  end

  for (genvar i = 0; i < 2; i++) begin : gen_end
    logic equal;

    bnn_equal #(
        .Bits(AddrBits + 1)
    ) u_end (
        .a_i    (base_next_q),
        .b_i    (words_i),
        .equal_o(equal)
    );
    assign to_end[i] = hold_i & equal;
  end
  bnn_weight_ring_step u_step (
      .rst_i,
      .clear_i,
      .hold_i,
      .rewind_i,
      .pop_i            (pop_i[0]),
      .end_i            (end_q),
      .rewind_o         (rewind),
      .available_clear_o(available_clear)
  );

  assign base_d = (drop_q | rewind_i) ? '0 : enter_q ? base_b_q : pop_i[0] ? base_to_q : base_q;
  assign change = (minus_q & {(AddrBits + 1){pop_i[1]}}) | (loaded_q & {(AddrBits + 1){rewind_q}});
  assign brings = word & (~ring_q | there);
  assign stored_o = word & ring_q & ~there;

  always_ff @(posedge clk_i) begin
    // What a pop leads to, ready before it.
    base_next_q <= (AddrBits + 1)'(add(32'(base_q), 32'(pop_count_i)));
    end_q       <= to_end[0];
    base_to_q[AddrBits/2-1:0] <= to_end[0] ? '0 : base_next_q[AddrBits/2-1:0];
    base_to_q[AddrBits-1:AddrBits/2] <= to_end[1] ? '0 : base_next_q[AddrBits-1:AddrBits/2];
    minus_q     <= front_q ? '0 : '0 - pop_count_i;
    rewind_q    <= rewind;
    drop_q      <= rst_i | clear_i | (ring_q & ~in_b_i & in_b_q);
    base_q      <= base_d;
    ring_q      <= ring_i != '0;
    in_b_q      <= in_b_i;
    front_q     <= ring_q & ~in_b_i;
    read_ones_q <= ring_i & {AddrBits{in_b_i}};
    enter_q     <= in_b_i & ~in_b_q & entered_q;
    if (leave_q) base_b_q <= base_q;
    if (rst_i || clear_i) begin
      loaded_q      <= '0;
      leave_q       <= 1'b0;
      entered_q     <= 1'b0;
      front_there_q <= 1'b0;
    end else begin
      loaded_q      <= (AddrBits + 1)'(add(32'(loaded_q), 32'(word)));
      leave_q       <= ring_q & ~in_b_i & in_b_q;
      entered_q     <= entered_q | (ring_q & in_b_q);
      front_there_q <= ring_q & ~in_b_i & there;
    end
    // With hold_i all words from 0 on are available again in the cycle after a rewind.
    if (available_clear) available_q <= '0;
    else available_q <= available_q + change + (AddrBits + 1)'(brings);
  end

  assign available_o = available_q;
  assign all_o       = front_there_q;

`ifndef SYNTHESIS
  // ---- Rules, checked in simulation --------------------------------------------------------------

  default clocking @(posedge clk_i); endclocking
  default disable iff (rst_i);

  // Words brought since clear_i, as they were up to two cycles before, and the place of base among them.
  // And the number of the word that a port completes its part of.
  int unsigned brought, brought_q, brought_before_q, base, base_b, number;
  logic hold_at_q, back;
  logic [AddrBits:0] words_at_q, kept_at_q;
  logic [AddrBits-1:0] ring_at_q;
  logic [1:0] moved_q;  // ones: cycles since base moved

  assign back = 32'(pop_count_i) > Depth;

  always_ff @(posedge clk_i) begin
    brought_q        <= brought;
    brought_before_q <= brought_q;
    moved_q          <= {moved_q[0], pop_i[0] | rewind_i};
    if (rst_i || clear_i) begin
      {brought, brought_q, brought_before_q, base} <= '0;
      {hold_at_q, words_at_q, ring_at_q, kept_at_q} <= {hold_i, words_i, ring_i, kept_i};
      base_b <= 32'(kept_i);
    end else begin
      brought <= brought + 32'(word);
      if (leave_q) base_b <= base;
      if (rewind || rewind_i || leave_q) base <= '0;
      else if (enter_q) base <= base_b;
      else if (pop_i[0]) base <= base + 32'(pop_count_i) - (back ? 2 * Depth : 0);
    end
  end

  always_comb begin
    number = brought;
    for (int p = 0; p < Ports; p++) begin
      if (part[p] && brought + 32'(placed[p] - loaded_q) > number) number = brought + 32'(placed[p] - loaded_q);
    end
  end

  read_there: assert property (read_i |-> base + 32'(index_i) < brought_before_q)
      else $error("word %0d read, %0d are there for two cycles", base + 32'(index_i), brought_before_q);
  pop_there: assert property (pop_i[0] |-> (back ? 2 * Depth - 32'(pop_count_i) <= base
      : all_o || pop_count_i <= available_o))
      else $error("%0d words popped of %0d, %0d are before them", pop_count_i, available_o, base);
  pop_settled: assert property (pop_i[0] |-> moved_q == '0 && $stable(pop_count_i)
      && pop_count_i == $past(pop_count_i, 2))
      else $error("pop_count_i or base not constant from two cycles before pop_i");
  word_has_room: assert property (|part && ring_i == '0 |-> number - (hold_i ? 0 : base)
      < (hold_i ? 32'(words_i) : Depth))
      else $error("word %0d beyond the %0d that there is room for", number, hold_i ? 32'(words_i) : Depth);
  ring_has_room: assert property (|part && ring_i != '0 && number >= 32'(kept_i)
      |-> number - ((in_b_q || leave_q) && base > base_b ? base : base_b) < Depth - 32'(ring_i))
      else $error("word %0d beyond the %0d of the ring", number, Depth - 32'(ring_i));
  ring_fits: assert property (clear_i && ring_i != '0 |-> !hold_i && kept_i <= {1'b0, ring_i}
      && ((Depth - 32'(ring_i)) & (Depth - 32'(ring_i) - 1)) == 0)
      else $error("a ring from word %0d on behind %0d words, with hold_i = %b", ring_i, kept_i, hold_i);
  rewind_held: assert property (rewind_i |-> (hold_i || (ring_i != '0 && !in_b_i)) && !pop_i[0])
      else $error("rewind_i with hold_i = %b, pop_i = %b", hold_i, pop_i[0]);
  use_constant: assert property (|beat_valid_i || pop_i[0] || rewind_i || read_i |-> hold_i == hold_at_q
      && words_i == words_at_q && ring_i == ring_at_q && (ring_i == '0 || kept_i == kept_at_q))
      else $error("hold_i, words_i, ring_i or kept_i are not those of clear_i");
  words_fit: assert property (clear_i && hold_i |-> words_i != '0 && 32'(words_i) <= Depth)
      else $error("words_i = %0d, must be 1 to Depth = %0d", words_i, Depth);
`endif
endmodule
