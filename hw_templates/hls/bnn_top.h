// The accelerator's top function.
#ifndef BNN_TOP_H
#define BNN_TOP_H

#include "bnn_types.h"

// Runs `count` images (docs/ARCHITECTURE.md, "Order of work"). `cycles` stays 0: C++ cannot count
// clock cycles. `scores` is a multiple of 8 bytes. `busy` counts those in which the array multiplied.
void bnn_top(const bnn::Beat* program, const bnn::Beat* images, bnn::Beat* scores, ap_uint<32> count, bnn::Word* id,
             bnn::Word* version, bnn::Word* geometry, bnn::Word* weight_depth, bnn::Word* act_depth,
             bnn::Word* max_layers, bnn::Word* cycles, bnn::Word* busy, bnn::Word* error);

#ifndef __SYNTHESIS__
namespace bnn {
// Called after every layer: layer 0 is the first layer, layer j + 1 is array layer j. `base`,
// `words`: the region of every lane's memory that the layer wrote; it starts with image `first`
// counted from the region's origin. `start`, `images`: the images of the run.
typedef void (*TraceHook)(int layer, int start, int images, int first, int base, int words, const ActMemory act);
extern TraceHook trace_hook;
}  // namespace bnn
#endif

#endif
