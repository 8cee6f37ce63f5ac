// What the chip does at most, for the share of it that the product reaches: the instruction alone, on registers.
#pragma once

#include "device.h"

constexpr int CHAINS = 8;  // independent of each other, so that latency hides

// Counts of 32 bits: threads * CHAINS * turns.
__global__ void popcount_peak(int turns, uint32_t* out) {
    uint32_t words[CHAINS];
#pragma unroll
    for (int i = 0; i < CHAINS; ++i) words[i] = threadIdx.x * CHAINS + i;
    for (int turn = 0; turn < turns; ++turn)
#pragma unroll
        for (int i = 0; i < CHAINS; ++i) words[i] += __popc(words[i] ^ turn);
    uint32_t sum = 0;
#pragma unroll
    for (int i = 0; i < CHAINS; ++i) sum ^= words[i];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;  // or nothing would be computed
}

// Products of 16 x 8 x 256 bits: warps * CHAINS * turns.
__global__ void tensor_peak(int turns, uint32_t* out) {
    int sums[CHAINS][4] = {};
    const uint32_t word = threadIdx.x * 2654435761u, row[4] = {word, word + 1, word + 2, word + 3};
    for (int turn = 0; turn < turns; ++turn)
#pragma unroll
        for (int i = 0; i < CHAINS; ++i)
            device::multiply_bits(sums[i], row, word, word + i);
    uint32_t sum = 0;
#pragma unroll
    for (int i = 0; i < CHAINS; ++i)
#pragma unroll
        for (int k = 0; k < 4; ++k) sum ^= sums[i][k];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
