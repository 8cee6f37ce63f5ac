#include "bnn_engine.h"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <new>

#include "engine.h"

struct bnn_engine {
  bnn::Engine engine;
};

namespace {

constexpr int MAX_THREADS = 256;

// Runs the body; whatever it throws becomes one line and the status 1.
template <class Body>
int guarded(char *error, Body body) {
  const char *text = "the engine failed";
  try {
    body();
    return 0;
  } catch (const bnn::Refused &refused) {
    std::snprintf(error, BNN_ERROR_SIZE, "%s", refused.what());
    return 1;
  } catch (const std::bad_alloc &) {
    text = "the engine does not fit the memory";
  } catch (const std::exception &other) {
    std::snprintf(error, BNN_ERROR_SIZE, "the engine failed: %s", other.what());
    return 1;
  } catch (...) {
  }
  std::snprintf(error, BNN_ERROR_SIZE, "%s", text);
  return 1;
}

}  // namespace

int bnn_engine_create(const void *data, size_t size, const char *isa, int threads, bnn_engine **engine, char *error) {
  *engine = nullptr;
  return guarded(error, [&] {
    if (threads < 0 || threads > MAX_THREADS)
      throw bnn::Refused("threads: " + std::to_string(threads) + " given, expected 0 to " +
                         std::to_string(MAX_THREADS));
    const bnn::Isa &found = bnn::find_isa(isa);
    *engine = new bnn_engine{{bnn::read_network(data, size), found, threads}};
  });
}

int bnn_engine_open(const char *path, const char *isa, int threads, bnn_engine **engine, char *error) {
  *engine = nullptr;
  std::vector<char> content;
  const int failed = guarded(error, [&] {
    std::unique_ptr<FILE, int (*)(FILE *)> file(std::fopen(path, "rb"), std::fclose);
    if (!file) throw bnn::Refused(std::string(path) + ": cannot be opened");
    char part[1 << 16];
    while (const size_t got = std::fread(part, 1, sizeof part, file.get())) {
      content.insert(content.end(), part, part + got);
      if (content.size() > INT32_MAX) throw bnn::Refused(std::string(path) + ": is too large for a packed model");
    }
  });
  return failed ? failed : bnn_engine_create(content.data(), content.size(), isa, threads, engine, error);
}

void bnn_engine_destroy(bnn_engine *engine) { delete engine; }

size_t bnn_engine_image_bytes(const bnn_engine *engine) { return engine->engine.image_bytes(); }

size_t bnn_engine_classes(const bnn_engine *engine) { return engine->engine.classes(); }

int bnn_engine_infer(bnn_engine *engine, const uint8_t *images, size_t count, int32_t *scores, char *error) {
  return guarded(error, [&] { engine->engine.infer(images, count, scores); });
}

int bnn_engine_trace(bnn_engine *engine, const uint8_t *images, size_t count, uint8_t *trace, char *error) {
  return guarded(error, [&] { engine->engine.trace(images, count, trace); });
}

size_t bnn_engine_trace_bytes(const bnn_engine *engine) { return engine->engine.trace_bytes(); }

size_t bnn_engine_memory(const bnn_engine *engine) { return const_cast<bnn_engine *>(engine)->engine.memory(); }

const char *bnn_engine_isa(const bnn_engine *engine) { return engine->engine.isa_name(); }

const char *bnn_engine_isas(void) {
  static const std::string names = bnn::isa_names();
  return names.c_str();
}

double bnn_engine_peak(const char *isa, double seconds) {
  using Clock = std::chrono::steady_clock;
  for (int i = 0; i < bnn::isa_count; i++) {
    if (!bnn::isas[i]->runs_here() || std::strcmp(bnn::isas[i]->name, isa)) continue;
    double best = 0;  // what others do at the same time only slows it
    const Clock::time_point end =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    do {
      const Clock::time_point began = Clock::now();
      const double done = bnn::isas[i]->peak(100000);
      const double rate = done / std::chrono::duration<double>(Clock::now() - began).count();
      if (rate > best) best = rate;
    } while (Clock::now() < end);
    return best;
  }
  return 0;
}
