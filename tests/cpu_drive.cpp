// Runs the CPU engine on the cases of a folder, for builds that Python cannot load: other processors', sanitizers'.
//
//   cpu_drive ISA FOLDER CASES ROUNDS
//
// Case i is i.model, a packed model, and i.images; its traces go to i.found. Scores of any number of images and threads
// (0: as many as it likes) must be those of the traces. Then ROUNDS damaged copies of every model are refused or run.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "bnn_engine.h"

namespace {

using Bytes = std::vector<uint8_t>;

char error[BNN_ERROR_SIZE];

void require(bool good, const std::string &what) {
  if (good) return;
  std::fprintf(stderr, "%s: %s\n", what.c_str(), error);
  std::exit(1);
}

Bytes read(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  require(bool(in), path);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

struct Engine {
  Engine(const Bytes &model, const char *isa, int threads) {
    // a copy of just the right size, so that a sanitizer sees what is read beyond it
    std::unique_ptr<uint8_t[]> exact(new uint8_t[model.size()]);
    std::memcpy(exact.get(), model.data(), model.size());
    failed = bnn_engine_create(exact.get(), model.size(), isa, threads, &engine, error);
  }
  Engine(const std::string &path, const char *isa, int threads)
      : failed(bnn_engine_open(path.c_str(), isa, threads, &engine, error)) {}
  ~Engine() { bnn_engine_destroy(engine); }

  bnn_engine *engine = nullptr;
  int failed = 1;
};

void run(const std::string &base, const char *isa) {
  const Bytes model = read(base + ".model"), images = read(base + ".images");
  Engine first(model, isa, 1);
  require(!first.failed, base);
  const size_t count = images.size() / bnn_engine_image_bytes(first.engine), classes = bnn_engine_classes(first.engine);
  const size_t each = bnn_engine_trace_bytes(first.engine);
  Bytes traces(count * each);
  require(!bnn_engine_trace(first.engine, images.data(), count, traces.data(), error), base);
  std::ofstream(base + ".found", std::ios::binary)
      .write(reinterpret_cast<char *>(traces.data()), std::streamsize(traces.size()));
  require(Engine(base + ".none", isa, 1).failed && std::strstr(error, ".none: cannot be opened"), base);
  for (int threads = 0; threads <= 3; threads++) {
    Engine other(base + ".model", isa, threads);
    require(!other.failed, base);
    for (size_t n = 0; n <= count; n++) {
      std::vector<int32_t> scores(n * classes);
      require(!bnn_engine_infer(other.engine, images.data(), n, scores.data(), error), base);
      for (size_t i = 0; i < n; i++)
        require(!std::memcmp(&scores[i * classes], &traces[(i + 1) * each - 4 * classes], 4 * classes),
                base + ": scores of image " + std::to_string(i) + " of " + std::to_string(n) + " with " +
                    std::to_string(threads) + " threads");
    }
  }
}

uint32_t state = 1;

uint32_t draw(uint32_t below) {
  state = state * 1664525u + 1013904223u;
  return uint32_t((uint64_t(state) * below) >> 32);
}

// Gives whether the damaged model was refused.
bool damage(const Bytes &whole, const char *isa) {
  static const int32_t SPECIAL[] = {0, 1, -1, 2, 3, 5, 8, 64, 255, 65535, 1 << 24, INT32_MAX, INT32_MIN};
  const uint32_t arrays = 4 * 8 + 256 + 4 * 40 * uint32_t(whole[12]);  // the bytes before them
  Bytes model = whole;
  for (uint32_t change = 0; change <= draw(3); change++) {
    const uint32_t at = 4 * draw((draw(8) ? arrays : uint32_t(model.size())) / 4);
    const int32_t value = draw(2) ? SPECIAL[draw(sizeof SPECIAL / sizeof *SPECIAL)] : int32_t(draw(16));
    std::memcpy(&model[at], &value, 4);
  }
  if (!draw(8)) model.resize(draw(uint32_t(model.size())));
  if (!draw(8)) model.resize(model.size() + draw(64));
  const int32_t size = int32_t(model.size());
  if (draw(4) && size >= 12) std::memcpy(&model[8], &size, 4);
  Engine engine(model, isa, 1 + int(draw(2)));
  if (engine.failed) return true;
  const size_t bytes = bnn_engine_image_bytes(engine.engine), trace = bnn_engine_trace_bytes(engine.engine);
  if (bytes > 1 << 16 || trace > 1 << 20) return false;
  const Bytes image(bytes, uint8_t(draw(256)));
  Bytes found(trace);
  std::vector<int32_t> scores(bnn_engine_classes(engine.engine));
  require(!bnn_engine_trace(engine.engine, image.data(), 1, found.data(), error), "a damaged model");
  require(!bnn_engine_infer(engine.engine, image.data(), 1, scores.data(), error), "a damaged model");
  return false;
}

}  // namespace

int main(int count, char **arguments) {
  require(count == 5, "cpu_drive ISA FOLDER CASES ROUNDS");
  const char *isa = arguments[1];
  const int cases = std::atoi(arguments[3]), rounds = std::atoi(arguments[4]);
  int refused = 0;
  for (int i = 0; i < cases; i++) {
    const std::string base = std::string(arguments[2]) + "/" + std::to_string(i);
    run(base, isa);
    const Bytes model = read(base + ".model");
    for (int round = 0; round < rounds; round++) refused += damage(model, isa);
  }
  std::printf("%d cases, %d of %d damaged models refused\n", cases, refused, cases * rounds);
}
