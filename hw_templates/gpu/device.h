// What the kernels and their caller need of the machine: an NVIDIA GPU's when nvcc compiles, and when a C++ compiler
// for the host does, a simulated one's (simulator.h). Nothing else here knows which of them it is.
//
// Every function that a kernel calls across a warp is called by all 32 lanes together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#ifdef __CUDACC__

#include <cuda_runtime.h>

namespace device {

// The block's shared memory; its size is given at the launch.
template <class T>
__device__ T* shared() {
    extern __shared__ uint4 memory[];
    return reinterpret_cast<T*>(memory);
}

// Copies Bytes (4, 8 or 16, and aligned so) from global to shared memory while the thread goes on. They are there
// behind the thread's wait_copies, and for other threads behind a barrier after that.
template <int Bytes>
__device__ void copy_async(void* to, const void* from) {
    const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(to));
    if (Bytes == 16)  // past the first-level cache: nothing of a tile is read twice by one multiprocessor
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(from) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(address), "l"(from), "n"(Bytes) : "memory");
}

// Ends a group of the thread's copies; it may be empty.
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until all of the thread's groups but the last Open are there.
template <int Open>
__device__ void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(Open) : "memory");
}

// c[r][n] += the number of places where row r of a and column n of b are both 1: 16 rows, 8 columns, 256 places, spread
// over a warp as PTX says of mma.m16n8k256. With g = lane / 4 and t = lane % 4: a has words t of rows g and g + 8, then
// words t + 4 of both; b0 and b1 are words t and t + 4 of column g; c has columns 2t and 2t + 1 of row g, then of row
// g + 8.
__device__ inline void multiply_bits(int (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm("mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Four times eight vectors of 16 bytes in shared memory, each where a lane says, vector v of set i where lane 8 i + v
// does. Of set i the lane gets word lane % 4 of vector lane / 4.
__device__ inline void load_sets(uint32_t (&words)[4], const uint4* vector) {
    const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(vector));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(address)
                 : "memory");
}

__device__ inline uint32_t shuffle_xor(uint32_t value, int mask) { return __shfl_xor_sync(~0u, value, mask); }
__device__ inline uint32_t ballot(bool bit) { return __ballot_sync(~0u, bit); }

inline std::string error_of(cudaError_t code) { return code == cudaSuccess ? "" : cudaGetErrorString(code); }

// Starts a kernel; what goes wrong while it runs, a later call says.
template <class... Parameters, class... Arguments>
std::string launch(void (*kernel)(Parameters...), dim3 grid, int threads, size_t shared, Arguments... arguments) {
    if (shared > 48 << 10) {
        const auto code =
            cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
        if (code != cudaSuccess) return error_of(code);
    }
    kernel<<<grid, threads, shared>>>(arguments...);
    return error_of(cudaGetLastError());
}

inline std::string allocate(void** memory, size_t bytes) {
    const auto code = cudaMalloc(memory, bytes);
    return error_of(code == cudaSuccess ? cudaMemset(*memory, 0, bytes) : code);
}
inline std::string release(void* memory) { return error_of(cudaFree(memory)); }
inline std::string upload(void* to, const void* from, size_t bytes) {
    return error_of(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice));
}
inline std::string download(void* to, const void* from, size_t bytes) {
    return error_of(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost));
}

// Name, compute capability (10 * major + minor), multiprocessors.
inline std::string describe(std::string* name, int* capability, int* multiprocessors) {
    cudaDeviceProp found;
    const auto code = cudaGetDeviceProperties(&found, 0);
    if (code != cudaSuccess) return error_of(code);
    *name = found.name;
    *capability = 10 * found.major + found.minor;
    *multiprocessors = found.multiProcessorCount;
    return "";
}

// Milliseconds between the marks 0 and 1, by the GPU's own clock.
class Timer {
  public:
    std::string mark(int which) {
        cudaError_t code = cudaSuccess;
        if (!events_[which]) code = cudaEventCreate(&events_[which]);
        return error_of(code == cudaSuccess ? cudaEventRecord(events_[which]) : code);
    }
    std::string elapsed(float* milliseconds) {
        const auto code = cudaEventSynchronize(events_[1]);
        return error_of(code == cudaSuccess ? cudaEventElapsedTime(milliseconds, events_[0], events_[1]) : code);
    }

  private:
    cudaEvent_t events_[2] = {};
};

}  // namespace device

#else

#include "simulator.h"

#endif
