// The kernels beside the product of bits: what reads images, the 8-bit first layer, and the floating-point baseline.
#pragma once

#include "device.h"

// The 3x3 convolution of 8-bit pixels, with thresholds, pool and flip. Its layout is that of gpu/device.py.
struct FirstLayer {
    const uint32_t* pixels;   // (images, height, width): four signed bytes, those of absent channels 0
    const uint32_t* weights;  // (32 * out_words, 9): four signed bytes, +1 and -1
    const int32_t* limits;    // (32 * out_words,), behind the outputs INT32_MAX
    const uint32_t* flip;     // (out_words,)
    uint32_t* bits;           // (images, places, out_words), places after the pool
    int32_t images, height, width, pad;
    int32_t out_rows, out_columns, pool, out_words;
};

__device__ inline int smaller(int a, int b) { return a < b ? a : b; }

constexpr int KERNEL = 3, TAPS = KERNEL * KERNEL;
constexpr int WARPS = 4;           // of a block of these kernels
constexpr int WARP_PLACES = 16;    // places that a warp of the first layer computes

// words[pixel] = the table's values of its channels, as signed bytes.
__global__ void read_pixels(const uint8_t* images, const int8_t* table, uint32_t* words, int pixels, int channels) {
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= pixels) return;
    uint32_t word = 0;
    for (int c = 0; c < channels; ++c)
        word |= static_cast<uint8_t>(table[images[static_cast<size_t>(pixel) * channels + c]]) << 8 * c;
    words[pixel] = word;
}

// A warp computes 32 outputs of WARP_PLACES places; block (x, y) word y of the outputs.
__global__ void first_layer(FirstLayer p) {
    const int lane = threadIdx.x % 32, word = blockIdx.y;
    const int first = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / 32) * WARP_PLACES;
    int weights[TAPS];
#pragma unroll
    for (int tap = 0; tap < TAPS; ++tap) weights[tap] = static_cast<int>(p.weights[(32 * word + lane) * TAPS + tap]);
    const int limit = p.limits[32 * word + lane], places = p.out_rows * p.out_columns;
    const int end = smaller(first + WARP_PLACES, p.images * places), edge = p.pool ? 2 : 1;
    for (int at = first; at < end; ++at) {
        const int image = at / places, place = at - image * places;
        const int out_y = place / p.out_columns, out_x = place - out_y * p.out_columns;
        const uint32_t* pixels = p.pixels + static_cast<size_t>(image) * p.height * p.width;
        bool bit = false;
        for (int inside = 0; inside < edge * edge; ++inside) {
            const int y = edge * out_y + inside / edge - p.pad, x = edge * out_x + inside % edge - p.pad;
            int sum = 0;
#pragma unroll
            for (int tap = 0; tap < TAPS; ++tap) {
                const int row = y + tap / KERNEL, column = x + tap % KERNEL;
                if (row >= 0 && row < p.height && column >= 0 && column < p.width)
                    sum = __dp4a(static_cast<int>(pixels[row * p.width + column]), weights[tap], sum);
            }
            bit |= sum >= limit;
        }
        const uint32_t bits = device::ballot(bit);
        if (!lane) p.bits[static_cast<size_t>(at) * p.out_words + word] = bits ^ p.flip[word];
    }
}

__device__ inline bool bit_of(uint8_t pixel, const int8_t* table) { return table[pixel] > 0; }
__device__ inline bool bit_of(float value, const int8_t*) { return value >= 0; }

// Rows of `size` elements become rows of `words` words, the bits behind the elements 0; a warp packs a word.
template <class T>
__global__ void pack(const T* values, const int8_t* table, uint32_t* packed, int rows, int size, int words) {
    const size_t at = (static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
    if (at >= static_cast<size_t>(rows) * words) return;  // the whole warp
    const int lane = threadIdx.x % 32;
    const size_t row = at / words, element = (at - row * words) * 32 + lane;
    const bool bit = element < static_cast<size_t>(size) && bit_of(values[row * size + element], table);
    const uint32_t word = device::ballot(bit);
    if (!lane) packed[at] = word;
}

// The baseline: c (m, n) = a (m, k) times b (k, n), tiles of 16 x 16 in shared memory and a thread for each element, as
// the CUDA programming guide teaches it. With limits an element becomes +1 if it is at least its column's, else -1,
// times the column's sign.
constexpr int EDGE = 16;

__global__ void multiply_floats(const float* a, const float* b, float* c, const float* limits, const float* signs,
                                       int m, int k, int n) {
    auto* rows = device::shared<float>();
    float* columns = rows + EDGE * EDGE;
    const int y = threadIdx.x / EDGE, x = threadIdx.x % EDGE;
    const int row = blockIdx.y * EDGE + y, column = blockIdx.x * EDGE + x;
    float sum = 0;
    for (int first = 0; first < k; first += EDGE) {
        rows[threadIdx.x] = row < m && first + x < k ? a[static_cast<size_t>(row) * k + first + x] : 0;
        columns[threadIdx.x] = column < n && first + y < k ? b[static_cast<size_t>(first + y) * n + column] : 0;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < EDGE; ++i) sum += rows[EDGE * y + i] * columns[EDGE * i + x];
        __syncthreads();
    }
    if (row >= m || column >= n) return;
    if (limits) sum = sum >= limits[column] ? signs[column] : -signs[column];
    c[static_cast<size_t>(row) * n + column] = sum;
}
