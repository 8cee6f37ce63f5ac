// Feeds the CPU engine a packed model: it is refused, or scores of an image are those of its trace.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "bnn_engine.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char error[BNN_ERROR_SIZE];
  // a copy of just the right size, so that a sanitizer sees what is read beyond it
  std::unique_ptr<uint8_t[]> exact(new uint8_t[size]);
  if (size) std::memcpy(exact.get(), data, size);
  bnn_engine *made = nullptr;
  if (bnn_engine_create(exact.get(), size, "portable", 1, &made, error)) return 0;
  const std::unique_ptr<bnn_engine, void (*)(bnn_engine *)> engine(made, bnn_engine_destroy);
  const size_t bytes = bnn_engine_image_bytes(made), each = bnn_engine_trace_bytes(made);
  if (bytes > 1 << 12 || each > 1 << 16) return 0;  // large ones are let in, and take their time
  const std::vector<uint8_t> image(bytes, size ? data[size / 2] : 0);
  std::vector<uint8_t> trace(each);
  std::vector<int32_t> scores(bnn_engine_classes(made));
  const bool good = !bnn_engine_trace(made, image.data(), 1, trace.data(), error) &&
                    !bnn_engine_infer(made, image.data(), 1, scores.data(), error) &&
                    !std::memcmp(scores.data(), trace.data() + each - 4 * scores.size(), 4 * scores.size());
  if (!good) {
    std::fprintf(stderr, "an accepted model: %s\n", error);
    std::abort();
  }
  return 0;
}
