// The library that gpu/device.py loads: memory, kernels and a timer of one GPU, as C functions. Each returns null, or
// one line that says what went wrong; the text stays until the thread's next call. Kernels are only started: a download
// waits for them, and says what went wrong in them.
#include "layers.h"
#include "peak.h"
#include "product.h"

namespace {

const char* answer(const std::string& error) {
    static thread_local std::string kept;
    kept = error;
    return kept.empty() ? nullptr : kept.c_str();
}

size_t blocks(size_t count, size_t each) { return (count + each - 1) / each; }

enum Paths { POPCOUNT, TENSOR_CORES };
enum Tiles { SMALL, LARGE };

template <class Path, class Tile, int Chunk>
std::string start(const Product& p) {
    const auto rows = static_cast<size_t>(p.images) * p.computed_rows * p.computed_columns;
    const dim3 grid(blocks(rows, Tile::Rows), blocks(p.outputs, Tile::Columns));
    return device::launch(multiply<Path, Tile, Chunk>, grid, Tile::Threads, Tile::SharedBytes, p);
}

template <class Path, class Tile>
std::string start(const Product& p) {
    if (p.words % 4 == 0) return start<Path, Tile, 4>(p);
    if (p.words % 2 == 0) return start<Path, Tile, 2>(p);
    return start<Path, Tile, 1>(p);
}

template <class Path>
std::string start(const Product& p, int tile) {
    return tile == LARGE ? start<Path, LargeTile>(p) : start<Path, SmallTile>(p);
}

template <class T>
std::string start_pack(const T* values, const int8_t* table, uint32_t* packed, int rows, int size, int words) {
    const dim3 grid(blocks(static_cast<size_t>(rows) * words, WARPS));
    return device::launch(pack<T>, grid, 32 * WARPS, 0, values, table, packed, rows, size, words);
}

device::Timer timer;

}  // namespace

extern "C" {

const char* bnn_gpu_describe(char* name, size_t size, int* capability, int* multiprocessors) {
    std::string found;
    const std::string error = device::describe(&found, capability, multiprocessors);
    found = found.substr(0, size - 1);
    found.copy(name, found.size());
    name[found.size()] = 0;
    return answer(error);
}

// Zeros.
const char* bnn_gpu_allocate(void** memory, size_t bytes) { return answer(device::allocate(memory, bytes)); }
const char* bnn_gpu_release(void* memory) { return answer(device::release(memory)); }
const char* bnn_gpu_upload(void* to, const void* from, size_t bytes) { return answer(device::upload(to, from, bytes)); }
const char* bnn_gpu_download(void* to, const void* from, size_t bytes) {
    return answer(device::download(to, from, bytes));
}
const char* bnn_gpu_mark(int which) { return answer(timer.mark(which)); }
const char* bnn_gpu_elapsed(float* milliseconds) { return answer(timer.elapsed(milliseconds)); }

// With `ones`, TENSOR_CORES, else POPCOUNT; `ones` is filled first.
const char* bnn_gpu_product(const Product* product, int32_t* ones, int tile) {
    Product p = *product;
    p.ones = ones;
    if (!ones) return answer(start<Popcount>(p, tile));
    const auto rows = static_cast<size_t>(p.images) * p.computed_rows * p.computed_columns;
    const std::string error = device::launch(count_ones, dim3(blocks(rows, WARPS)), 32 * WARPS, 0, p, ones);
    return answer(error.empty() ? start<TensorCores>(p, tile) : error);
}

const char* bnn_gpu_read_pixels(const uint8_t* images, const int8_t* table, uint32_t* words, int pixels, int channels) {
    const dim3 grid(blocks(pixels, 32 * WARPS));
    return answer(device::launch(read_pixels, grid, 32 * WARPS, 0, images, table, words, pixels, channels));
}

const char* bnn_gpu_first_layer(const FirstLayer* layer) {
    const auto places = static_cast<size_t>(layer->images) * layer->out_rows * layer->out_columns;
    const dim3 grid(blocks(places, WARPS * WARP_PLACES), layer->out_words);
    return answer(device::launch(first_layer, grid, 32 * WARPS, 0, *layer));
}

const char* bnn_gpu_pack_pixels(const uint8_t* pixels, const int8_t* table, uint32_t* packed, int rows, int size,
                                int words) {
    return answer(start_pack(pixels, table, packed, rows, size, words));
}

const char* bnn_gpu_pack_signs(const float* values, uint32_t* packed, int rows, int size, int words) {
    return answer(start_pack(values, nullptr, packed, rows, size, words));
}

const char* bnn_gpu_multiply_floats(const float* a, const float* b, float* c, const float* limits, const float* signs,
                                    int m, int k, int n) {
    const dim3 grid(blocks(n, EDGE), blocks(m, EDGE));
    const size_t shared = 2 * EDGE * EDGE * sizeof(float);
    return answer(device::launch(multiply_floats, grid, EDGE * EDGE, shared, a, b, c, limits, signs, m, k, n));
}

// `out` has 256 words per block; *macs becomes the binary multiply-accumulates.
const char* bnn_gpu_peak(int path, int grid, int turns, uint32_t* out, double* macs) {
    const int threads = 256;
    const double each = path == TENSOR_CORES ? 16.0 * 8 * 256 / 32 : 32;  // of a thread, chain and turn
    *macs = each * threads * grid * CHAINS * turns;
    const auto kernel = path == TENSOR_CORES ? tensor_peak : popcount_peak;
    return answer(device::launch(kernel, dim3(grid), threads, 0, turns, out));
}

// The order in which a simulated GPU does what has no order; a real one needs none of it.
void bnn_gpu_schedule(unsigned schedule) {
#ifndef __CUDACC__
    simulator::machine().schedule = schedule;
#else
    (void)schedule;
#endif
}
}
