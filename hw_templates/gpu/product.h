// The product of packed bits, with what follows it fused: thresholds, pool and flip, or scores.
//
// Rows are the places of the maps (N, height, width, words) at which a convolution is computed, columns its outputs; a
// dense layer is a convolution of kernel 1 over maps of one pixel, and so is any product of matrices. Element e of a
// row is bit e % 32 of word e / 32. Bits beyond the channels are 0 in maps and weights alike, so that they count in
// neither of the two ways to multiply:
//
//     Popcount      value = -popc(a ^ w)                    anywhere
//     TensorCores   value = 2 popc(a & w) - popc(a)         where mma of bits is an instruction
//
// With F inputs the matches are F + value, or F - popc(w) + value. The caller has taken that constant of the column
// into `limits` or `offset`:
//
//     bit = value >= limit, OR over the 2x2 pool, XOR flip        score = scale * value + offset, modulo 2^32
#pragma once

#include "device.h"

// Pointers are to the GPU's memory. Its layout is that of gpu/device.py.
struct Product {
    const uint32_t* maps;     // (images, height, width, words)
    const uint32_t* weights;  // (outputs, depth): kernel * kernel * words, then zeros
    const int32_t* ones;      // TensorCores: (rows,) popc(a); Popcount: none
    const int32_t* limits;    // (32 * out_words,), behind the outputs INT32_MAX; none: scores
    const uint32_t* flip;     // (out_words,)
    const int32_t* scale;     // (outputs,)
    const int32_t* offset;    // (outputs,)
    uint32_t* bits;           // (images, places, out_words), places after the pool
    int32_t* scores;          // (rows, outputs)
    int32_t images, height, width, words, kernel, pad;
    uint32_t pad_word, pad_last;  // what stands in the padding in a place's words and in its last
    int32_t computed_rows, computed_columns, pool;  // even where there is a pool
    int32_t outputs, out_words, depth;

    __device__ int places() const { return computed_rows * computed_columns; }
    __device__ int rows() const { return images * places(); }
};

constexpr int STAGE_WORDS = 16;  // of a row or column in a stage of the tile: 512 bits
constexpr int QUARTERS = STAGE_WORDS / 4;
constexpr int STAGES = 4;

// Where the kernel lies on the map for a row; the rows of a pool's window are neighbours.
struct Window {
    int y, x;        // of its first tap, which may be in the padding
    int64_t offset;  // of that tap's pixel in the maps, in words
};

__device__ inline Window window_of(const Product& p, int row) {
    int inside = 0;
    int columns = p.computed_columns, places = p.places();
    if (p.pool) {
        inside = row & 3;
        row >>= 2;
        columns >>= 1;
        places >>= 2;
    }
    const int image = row / places, place = row - image * places;
    int y = place / columns, x = place - y * columns;
    if (p.pool) {
        y = 2 * y + (inside >> 1);
        x = 2 * x + (inside & 1);
    }
    y -= p.pad;
    x -= p.pad;
    return {y, x, ((static_cast<int64_t>(image) * p.height + y) * p.width + x) * p.words};
}

// A word of a row: the tap of the kernel, and the word of its pixel.
struct Place {
    int y = 0, x = 0, word = 0;

    __device__ void advance(const Product& p, int words) {
        for (word += words; word >= p.words; word -= p.words)
            if (++x == p.kernel) {
                x = 0;
                ++y;
            }
    }
    __device__ bool in_row(const Product& p) const { return y < p.kernel; }
    __device__ bool in_map(const Product& p, const Window& window) const {
        return static_cast<unsigned>(window.y + y) < static_cast<unsigned>(p.height) &&
               static_cast<unsigned>(window.x + x) < static_cast<unsigned>(p.width);
    }
    __device__ int offset(const Product& p) const { return (y * p.width + x) * p.words + word; }
};

__device__ inline uint32_t padding(const Product& p, int word) { return word == p.words - 1 ? p.pad_last : p.pad_word; }

// ones[row] = popc of the row; a warp for each.
__global__ void count_ones(Product p, int32_t* ones) {
    const int row = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / 32), lane = threadIdx.x % 32;
    if (row >= p.rows()) return;  // the whole warp
    const Window window = window_of(p, row);
    uint32_t count = 0;
    Place place;
    for (place.advance(p, lane); place.in_row(p); place.advance(p, 32))
        count += __popc(place.in_map(p, window) ? p.maps[window.offset + place.offset(p)] : padding(p, place.word));
    for (int mask = 16; mask; mask >>= 1) count += device::shuffle_xor(count, mask);
    if (!lane) ones[row] = static_cast<int32_t>(count);
}

// Where a quarter of a row lies in a stage. Eight neighbouring rows have a quarter in different banks each, and
// so have the four of every second row.
__device__ inline int vector_of(int row, int quarter) { return row * QUARTERS + (quarter ^ (row / 2 % QUARTERS)); }

// The ways to multiply a warp's part of a stage. `a` and `b` are the warp's first row and column in it, both multiples
// of eight; `sums` are laid out as the accumulators of multiply_bits, 16 rows by 8 columns each.
struct TensorCores {
    template <int RowTiles, int ColumnTiles>
    __device__ static void step(int (&sums)[RowTiles][ColumnTiles][4], const uint4* a, const uint4* b, int lane) {
        const int set = lane / 8, vector = lane % 8;
        uint32_t rows[RowTiles][2][4];  // of both halves of the stage
#pragma unroll
        for (int i = 0; i < RowTiles; ++i)
#pragma unroll
            for (int half = 0; half < 2; ++half)
                device::load_sets(rows[i][half], a + vector_of(16 * i + 8 * (set % 2) + vector, 2 * half + set / 2));
#pragma unroll
        for (int j = 0; j < ColumnTiles; ++j) {
            uint32_t column[4];
            device::load_sets(column, b + vector_of(8 * j + vector, set));
#pragma unroll
            for (int half = 0; half < 2; ++half)
#pragma unroll
                for (int i = 0; i < RowTiles; ++i)
                    device::multiply_bits(sums[i][j], rows[i][half], column[2 * half], column[2 * half + 1]);
        }
    }
    __device__ static int value(int sum, int ones) { return 2 * sum - ones; }
};

struct Popcount {
    template <int RowTiles, int ColumnTiles>
    __device__ static void step(int (&sums)[RowTiles][ColumnTiles][4], const uint4* a, const uint4* b, int lane) {
        const int group = lane / 4, pair = lane % 4;
#pragma unroll 1
        for (int quarter = 0; quarter < QUARTERS; ++quarter) {
            uint4 rows[RowTiles][2];
#pragma unroll
            for (int i = 0; i < RowTiles; ++i)
#pragma unroll
                for (int half = 0; half < 2; ++half) rows[i][half] = a[vector_of(16 * i + 8 * half + group, quarter)];
#pragma unroll
            for (int j = 0; j < ColumnTiles; ++j)
#pragma unroll
                for (int side = 0; side < 2; ++side) {
                    const uint4 column = b[vector_of(8 * j + 2 * pair + side, quarter)];
#pragma unroll
                    for (int i = 0; i < RowTiles; ++i)
#pragma unroll
                        for (int half = 0; half < 2; ++half) {
                            const uint4 row = rows[i][half];
                            sums[i][j][2 * half + side] += __popc(row.x ^ column.x) + __popc(row.y ^ column.y) +
                                                           __popc(row.z ^ column.z) + __popc(row.w ^ column.w);
                        }
                }
        }
    }
    __device__ static int value(int sum, int) { return -sum; }
};

// A block's tile: warps by rows and columns, and each warp's own tiles of 16 rows and 8 columns.
template <int WarpRows_, int WarpColumns_, int RowTiles_, int ColumnTiles_>
struct Tile {
    static constexpr int WarpRows = WarpRows_, WarpColumns = WarpColumns_;
    static constexpr int RowTiles = RowTiles_, ColumnTiles = ColumnTiles_;
    static constexpr int Rows = WarpRows * RowTiles * 16, Columns = WarpColumns * ColumnTiles * 8;
    static constexpr int Threads = 32 * WarpRows * WarpColumns;
    static constexpr int StageVectors = (Rows + Columns) * QUARTERS;
    static constexpr size_t SharedBytes = sizeof(uint4) * STAGES * StageVectors;
    static_assert(ColumnTiles % 4 == 0, "a warp gives whole words of 32 outputs");
    static_assert(Rows * QUARTERS % Threads == 0 && Columns * QUARTERS % Threads == 0, "every thread copies as much");
};

using LargeTile = Tile<2, 4, 4, 8>;  // 128 rows, 256 columns, 96 KiB
using SmallTile = Tile<2, 2, 2, 4>;  // 64 rows, 64 columns, 32 KiB

// Copies a stage's words of the rows and of the weights, one stage after the other. Chunk words of a row at a time lie
// in one pixel.
template <class Tile, int Chunk>
struct Loader {
    static constexpr int RowVectors = Tile::Rows * QUARTERS / Tile::Threads;
    static constexpr int ColumnVectors = Tile::Columns * QUARTERS / Tile::Threads;

    const Product& p;
    int first_column, line, quarter;  // the thread's, of every vector in turn
    Place next;
    int next_word;
    Window windows[RowVectors];
    bool there[RowVectors];

    __device__ Loader(const Product& p, int first_row, int first_column, int thread)
        : p(p),
          first_column(first_column),
          line(thread / QUARTERS),
          quarter(thread % QUARTERS),
          next_word(4 * quarter) {
        next.advance(p, next_word);
#pragma unroll
        for (int i = 0; i < RowVectors; ++i) {
            const int row = first_row + line + i * Tile::Threads / QUARTERS;
            there[i] = row < p.rows();
            windows[i] = window_of(p, there[i] ? row : 0);
        }
    }

    __device__ void load(uint4* stage) {
        Place place = next;
#pragma unroll
        for (int part = 0; part < 4; part += Chunk) {
            if (part) place.advance(p, Chunk);
            const bool in_row = place.in_row(p);
            const int offset = place.offset(p);
#pragma unroll
            for (int i = 0; i < RowVectors; ++i) {
                const int row = line + i * Tile::Threads / QUARTERS;
                uint32_t* to = reinterpret_cast<uint32_t*>(stage + vector_of(row, quarter)) + part;
                const bool some = there[i] && in_row;
                if (some && place.in_map(p, windows[i]))
                    device::copy_async<4 * Chunk>(to, p.maps + (windows[i].offset + offset));
                else
#pragma unroll
                    for (int k = 0; k < Chunk; ++k) to[k] = some ? padding(p, place.word + k) : 0;
            }
        }
        stage += Tile::Rows * QUARTERS;
#pragma unroll
        for (int i = 0; i < ColumnVectors; ++i) {
            const int column = line + i * Tile::Threads / QUARTERS;
            uint4* to = stage + vector_of(column, quarter);
            const auto output = static_cast<size_t>(first_column + column);
            if (output < static_cast<size_t>(p.outputs))
                device::copy_async<16>(to, p.weights + output * p.depth + next_word);
            else
                *to = uint4{0, 0, 0, 0};
        }
        next.advance(p, STAGE_WORDS);
        next_word += STAGE_WORDS;
    }
};

// Block (x, y) computes tile x of the rows and tile y of the columns. STAGES - 1 stages are on their way while one is
// multiplied; the barrier before it also says that the stage to be filled next has been read by all.
template <class Path, class Tile, int Chunk>
__global__ __launch_bounds__(Tile::Threads) void multiply(Product p) {
    const int thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
    const int first_row = blockIdx.x * Tile::Rows, first_column = blockIdx.y * Tile::Columns;
    const int row_of_warp = warp / Tile::WarpColumns * Tile::RowTiles * 16;
    const int column_of_warp = warp % Tile::WarpColumns * Tile::ColumnTiles * 8;
    uint4* const memory = device::shared<uint4>();
    Loader<Tile, Chunk> loader(p, first_row, first_column, thread);
    const int steps = p.depth / STAGE_WORDS;

    int sums[Tile::RowTiles][Tile::ColumnTiles][4] = {};
#pragma unroll
    for (int step = 0; step < STAGES - 1; ++step) {
        if (step < steps) loader.load(memory + step * Tile::StageVectors);
        device::commit_copies();
    }
    for (int step = 0; step < steps; ++step) {
        device::wait_copies<STAGES - 2>();
        __syncthreads();
        const int next = step + STAGES - 1;
        if (next < steps) loader.load(memory + next % STAGES * Tile::StageVectors);
        device::commit_copies();
        const uint4* stage = memory + step % STAGES * Tile::StageVectors;
        Path::step(sums, stage + row_of_warp * QUARTERS, stage + (Tile::Rows + column_of_warp) * QUARTERS, lane);
    }

    const int rows = p.rows(), group = lane / 4, quarter = lane % 4;
    int ones[Tile::RowTiles][2];
#pragma unroll
    for (int i = 0; i < Tile::RowTiles; ++i)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int row = first_row + row_of_warp + 16 * i + 8 * half + group;
            ones[i][half] = p.ones && row < rows ? p.ones[row] : 0;
        }
#pragma unroll
    for (int word = 0; word < Tile::ColumnTiles / 4; ++word) {  // of 32 outputs
        const int first = first_column + column_of_warp + 32 * word;
        if (first >= p.outputs) break;  // the whole warp
        int limits[8], scale[8], offset[8];
#pragma unroll
        for (int k = 0; k < 8; ++k) {
            const int column = first + 8 * (k / 2) + 2 * quarter + k % 2;
            if (p.limits) {
                limits[k] = p.limits[column];
            } else if (column < p.outputs) {
                scale[k] = p.scale[column];
                offset[k] = p.offset[column];
            }
        }
#pragma unroll
        for (int i = 0; i < Tile::RowTiles; ++i)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const int row = first_row + row_of_warp + 16 * i + 8 * half + group;
                uint32_t bits = 0;
#pragma unroll
                for (int k = 0; k < 8; ++k) {
                    const int place = 8 * (k / 2) + 2 * quarter + k % 2;
                    const int value = Path::value(sums[i][4 * word + k / 2][2 * half + k % 2], ones[i][half]);
                    if (p.limits)
                        bits |= static_cast<uint32_t>(value >= limits[k]) << place;
                    else if (row < rows && first + place < p.outputs)
                        p.scores[static_cast<size_t>(row) * p.outputs + first + place] =
                            static_cast<int32_t>(scale[k] * static_cast<uint32_t>(value) + offset[k]);
                }
                if (!p.limits) continue;
                bits |= device::shuffle_xor(bits, 1);  // the four lanes of a row
                bits |= device::shuffle_xor(bits, 2);
                if (p.pool) {  // four rows
                    bits |= device::shuffle_xor(bits, 4);
                    bits |= device::shuffle_xor(bits, 8);
                }
                if (quarter || row >= rows || (p.pool && row % 4)) continue;
                const size_t place = p.pool ? row / 4 : row;
                p.bits[place * p.out_words + first / 32] = bits ^ p.flip[first / 32];
            }
    }
}
