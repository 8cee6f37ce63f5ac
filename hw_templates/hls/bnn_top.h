// The accelerator's top function.
#ifndef BNN_TOP_H
#define BNN_TOP_H

#include "bnn_array.h"
#include "bnn_types.h"

// Runs `count` images (docs/ARCHITECTURE.md, "Order of work"). Of a `scores` that ends in the middle
// of a beat the other half is read and written back. `busy`: cycles in which the array multiplied.
// `cycles`: those in which it multiplied, wrote or waited for data. Vitis HLS has no clock to read,
// so the time to fill and empty pipelines is not in it: it is a lower bound of the run's cycles.
void bnn_top(const bnn::Beat* program, const bnn::Beat* images, bnn::Beat* scores, ap_uint<32> count, bnn::Word* id,
             bnn::Word* version, bnn::Word* geometry, bnn::Word* weight_depth, bnn::Word* act_depth,
             bnn::Word* max_layers, bnn::Word* cycles, bnn::Word* busy, bnn::Word* error, bnn::Word* features);

#endif
