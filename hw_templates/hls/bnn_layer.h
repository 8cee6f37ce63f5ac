// A layer's command as the array uses it, and where it is in its loops.
#ifndef BNN_LAYER_H
#define BNN_LAYER_H

#include "bnn_loop.h"
#include "bnn_types.h"

namespace bnn {

// A layer's command, decoded.
struct Layer {
  bool pool, serial, score, stride2;
  bool pad_ones, pad_first;                   // bits of the padding: in every plane, in the first one
  bool image_lanes, by_image;                 // lanes are images; of a map, pixel by pixel
  bool halved;                                // columns are halved on the way out
  bool planes_outer, hand_outer, hand_inner;  // sums are handed over after each outer pass, after each pass
  int pad;
  Index groups, tap_words, rows, blocks, pass_words, source_words, tap_rows, tap_columns, outer, inner, outputs;
  Index height, width;
  Index source, src_image, src_row;
  Index dst, dst_image, dst_row, dst_words, out_columns, planes, plane_words, value_word;
  Index last_bits;
  Index ring;  // where the ring of its weights begins
  Index images, write_first;
  // Of the vector unit.
  bool vector, average, value, bit_planes;
  Index hands, thresholds;
  int value_bits, shift;
  bool shortcut, shortcut_average, shortcut_same;
  Index added, added_image, added_row, added_words, added_word, added_values;
};

inline Layer decode(const Word d[COMMAND_WORDS]) {
#pragma HLS INLINE  // wires
  Layer f;
  f.vector = VECTOR && get(d, D_VECTOR) != 0;
  f.average = VECTOR && get(d, D_AVERAGE) != 0;
  f.pool = get(d, D_POOL) != 0;
  f.serial = get(d, D_SERIAL) != 0;
  f.score = get(d, D_SCORES) != 0;
  f.stride2 = VECTOR && get(d, D_STRIDE2) != 0;
  f.pad_ones = get(d, D_PAD_ONE) != 0;
  f.pad_first = get(d, D_PAD_FIRST) != 0;
  f.by_image = VECTOR && get(d, D_BY_IMAGE) != 0;
  f.image_lanes = f.by_image || f.average || get(d, D_DENSE) != 0;
  f.halved = !f.image_lanes && (f.pool || f.stride2);
  f.planes_outer = get(d, D_PLANES_OUTER) != 0;
  f.hand_outer = get(d, D_HAND) == 1;
  f.hand_inner = get(d, D_HAND) >= 2;
  f.pad = get(d, D_PAD2) ? 2 : get(d, D_PAD);
  f.groups = index(d[D_GROUPS]);
  f.tap_words = index(d[D_TAP_WORDS]);
  f.rows = index(d[D_ROWS]);
  f.blocks = index(d[D_BLOCKS]);
  const Passes passes = passes_of(d);
  f.outer = Index(passes.outer);
  f.inner = Index(passes.inner);
  f.hands = Index(passes.hands);
  f.pass_words = d[D_PASS_WORDS] == 0 ? index(d[D_GROUP_WORDS]) : index(d[D_PASS_WORDS]);
  f.source_words = d[D_SOURCE_WORDS] == 0 ? f.tap_words : index(d[D_SOURCE_WORDS]);
  const Taps taps = taps_of(d);
  f.tap_rows = Index(taps.rows);
  f.tap_columns = Index(taps.columns);
  f.outputs = index(d[D_OUTPUTS]);
  f.height = Index(get(d, D_HEIGHT));
  f.width = Index(get(d, D_WIDTH));
  f.source = index(d[R_SOURCE]);
  f.src_image = index(d[D_SOURCE_IMAGE_STRIDE]);
  f.src_row = index(d[D_SOURCE_ROW_STRIDE]);
  f.dst = index(d[D_DEST_BASE]);
  f.dst_image = index(d[D_DEST_IMAGE_STRIDE]);
  f.dst_row = index(d[D_DEST_ROW_STRIDE]);
  f.dst_words = index(d[D_DEST_WORDS]);
  f.out_columns = index(d[D_OUT_COLUMNS]);
  f.plane_words = Index(get(d, D_PLANE_WORDS));
  f.value_word = Index(get(d, D_VALUE_WORD));
  f.last_bits = index(d[D_LAST_BITS]);
  f.images = index(d[R_IMAGES]);
  f.ring = index(d[R_RING]);
  f.write_first = index(d[R_WRITE_FIRST]);
  f.value = f.vector && get(d, D_VALUE) != 0;
  f.bit_planes = f.vector && get(d, D_BIT_PLANES) != 0;
  f.thresholds = Index(get(d, D_THRESHOLDS));
  f.value_bits = get(d, D_VALUE_BITS);
  f.planes = !f.vector ? Index(1) : f.bit_planes ? Index(f.value_bits == 0 ? VALUE_BITS : f.value_bits) : f.thresholds;
  f.shift = get(d, D_SHIFT);
  f.shortcut = f.vector && get(d, D_SHORTCUT) != 0;
  f.shortcut_average = f.shortcut && get(d, D_SHORTCUT_AVERAGE) != 0;
  f.shortcut_same = get(d, D_SHORTCUT_SAME) != 0;
  f.added = index(d[R_SHORTCUT]);
  f.added_image = index(d[D_SHORTCUT_IMAGE_STRIDE]);
  f.added_row = index(d[D_SHORTCUT_ROW_STRIDE]);
  f.added_words = Index(get(d, D_SHORTCUT_WORDS));
  f.added_word = Index(get(d, D_SHORTCUT_WORD));
  f.added_values = index(d[D_SHORTCUT_VALUES]);
  return f;
}

// Where a word lies of a ring that begins at `base`, in the weight memory's last 2^n words; of all of them for 0.
inline Index ring_address(int position, Index base) {
#pragma HLS INLINE  // wires
  return Index((position & (WEIGHT_DEPTH - 1)) | base);
}

// A word of a sum: image, row and block of columns (with a pool those of its outputs), part of the pool, outer and
// inner pass, row and column of the kernel, word of the tap.
struct Position {
  Counter image, row, block, part, outer, inner, ky, kx, word;
  Counter words;  // of the pass
  Counter turn;   // cycle of the turn
};

// The limits of a group's counters. A turn is the time of a block, in the vector unit that of a hand-over: the words of
// it, or more where what is handed over before takes longer to leave, and the words of a shortcut.
struct Limits {
  Limit image, row, block, part, outer, inner, ky, kx, word, words;
  Limit turn, short_turn;  // behind sums that are finished, and behind others
  Index reads, short_reads;  // first cycle of a turn in which a shortcut is read
  Limit rounds;            // of the evaluation, one for each threshold
  Limit lanes, rest;       // lanes of a block that leave one after the other, and those of the last one
  Limit pieces;            // scores of a lane, or words of a pixel
};

// The sums that were handed over, while they leave: in the vector unit they are evaluated first, a channel a cycle.
struct Leaving {
  bool on, evaluating;
  bool added, finished;      // there are sums of earlier hand-overs; these are the last
  bool first_part, writes;   // of the pool; what comes out is written
  Index hand;
  Index image, row, block;
  Counter round, channel;    // of the evaluation
  Counter lane, piece;       // of what comes out
  Limit rounds, lanes;
};

}  // namespace bnn

#endif
