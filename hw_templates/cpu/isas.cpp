// The instruction sets there are for this processor and compiler, fastest first.
#include "step.h"

namespace bnn {

extern const Isa isa_avx512, isa_avx2, isa_neon, isa_portable;

const Isa *const isas[] = {
#if defined(__x86_64__) && defined(__GNUC__) && (!defined(__clang__) || defined(__AVX512VPOPCNTDQ__))
    &isa_avx512,
#endif
#if defined(__x86_64__) && defined(__GNUC__) && (!defined(__clang__) || defined(__AVX2__))
    &isa_avx2,
#endif
#if defined(__aarch64__) || (defined(__arm__) && defined(__GNUC__) && (!defined(__clang__) || defined(__ARM_NEON)))
    &isa_neon,
#endif
    &isa_portable};
const int isa_count = sizeof isas / sizeof isas[0];

}  // namespace bnn
