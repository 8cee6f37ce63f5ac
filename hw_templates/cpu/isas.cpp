// The instruction sets there are for this processor and compiler, fastest first.
#include "step.h"

namespace bnn {

const Isa *const isas[] = {
#ifdef BNN_AVX512
    &isa_avx512,
#endif
#ifdef BNN_AVX2
    &isa_avx2,
#endif
#ifdef BNN_NEON
    &isa_neon,
#endif
    &isa_portable};
const int isa_count = sizeof isas / sizeof isas[0];

}  // namespace bnn
