// A GPU simulated on the host, for tests of what the kernels compute, not of how fast: the threads of a block are
// coroutines that run one at a time from one barrier or exchange of a warp to the next, the blocks run one by one.
//
// A correct kernel gives the same whatever the order of threads is and whenever copies arrive, so that order is a
// parameter: schedule 0 is the natural one, others are drawn at random, and copy_async is done at once under odd
// schedules, as late as wait_copies allows under even ones. A missing barrier or wait shows itself as a wrong result
// under one of them. Shared memory starts out as garbage, and a write behind its end is found.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(threads)

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};

inline int __popc(uint32_t word) { return __builtin_popcount(word); }

// c + the sum of the products of four signed bytes.
inline int __dp4a(int a, int b, int c) {
    for (int byte = 0; byte < 4; ++byte)
        c += static_cast<int8_t>(a >> 8 * byte) * static_cast<int8_t>(b >> 8 * byte);
    return c;
}

namespace simulator {

constexpr int WARP = 32, MAX_THREADS = 1024;
constexpr size_t STACK_BYTES = 1 << 18, GUARD_BYTES = 1 << 10;
constexpr unsigned char GARBAGE = 0xA5;

// Where threads wait for each other.
struct Barrier {
    int members = 0, arrived = 0, passed = 0;
};

enum class Exchange : uint32_t { SHUFFLE = 1, BALLOT, MULTIPLY, LOAD };

// What the lanes of a warp give each other. Two sets are enough: who fills a set again has passed the barrier behind
// the other one, and so have all who read this.
struct Warp {
    Barrier barrier;
    uint32_t words[2][WARP][6];
    Exchange kind[2][WARP];
};

struct Copy {
    void* to;
    const void* from;
    int bytes, group;
};

struct Thread {
    ucontext_t context;
    dim3 index;
    Barrier* barrier = nullptr;  // that it waits at, until it was passed more often than
    int passed = 0;
    int exchanges = 0, groups = 0;
    std::vector<Copy> copies;
    bool done = false;
};

struct Machine {
    ucontext_t scheduler;
    std::vector<std::unique_ptr<char[]>> stacks;
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    Barrier barrier;
    Thread* running = nullptr;
    dim3 block_index, block_size;
    std::unique_ptr<unsigned char[]> memory;
    size_t memory_bytes = 0;
    const std::function<void()>* body = nullptr;
    std::string error;
    unsigned schedule = 0;
};

inline Machine& machine() {
    static thread_local Machine only;
    return only;
}

inline void pause() { swapcontext(&machine().running->context, &machine().scheduler); }

[[noreturn]] inline void fail(const std::string& message) {
    machine().error = message;
    for (;;) pause();  // and is not run again
}

inline void meet(Barrier& barrier) {
    Thread& mine = *machine().running;
    if (++barrier.arrived == barrier.members) {
        barrier.arrived = 0;
        ++barrier.passed;
        return;
    }
    mine.passed = barrier.passed;
    mine.barrier = &barrier;
    pause();
    mine.barrier = nullptr;
}

inline int lane() { return static_cast<int>(machine().running->index.x % WARP); }

// Gives `count` words to the warp; the result is those of all lanes.
inline const uint32_t (*exchange(Exchange kind, const uint32_t* words, int count))[6] {
    Thread& mine = *machine().running;
    Warp& warp = machine().warps[mine.index.x / WARP];
    const int set = mine.exchanges++ % 2;
    std::copy(words, words + count, warp.words[set][lane()]);
    warp.kind[set][lane()] = kind;
    meet(warp.barrier);
    for (const auto& other : warp.kind[set])
        if (other != kind) fail("the lanes of a warp do not exchange the same");
    return warp.words[set];
}

inline void start() {
    (*machine().body)();
    machine().running->done = true;
}

// Apart, as getcontext returns a second time as far as the compiler knows.
inline void prepare(Thread& thread, char* stack) {
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = stack;
    thread.context.uc_stack.ss_size = STACK_BYTES;
    thread.context.uc_link = &machine().scheduler;
    makecontext(&thread.context, start, 0);
}

inline void run_block(size_t shared, std::mt19937& random) {
    Machine& all = machine();
    const auto count = static_cast<int>(all.block_size.x);
    all.memory_bytes = shared;
    all.memory.reset(new unsigned char[shared + GUARD_BYTES]);
    std::memset(all.memory.get(), GARBAGE, shared + GUARD_BYTES);
    all.threads.clear();
    all.threads.resize(count);
    all.warps.assign(count / WARP, Warp());
    for (auto& warp : all.warps) warp.barrier.members = WARP;
    all.barrier = Barrier();
    all.barrier.members = count;
    while (static_cast<int>(all.stacks.size()) < count) all.stacks.emplace_back(new char[STACK_BYTES]);
    std::vector<int> order(count);
    for (int index = 0; index < count; ++index) {
        all.threads[index].index = dim3(index, 0, 0);
        prepare(all.threads[index], all.stacks[index].get());
        order[index] = index;
    }
    for (int left = count; left;) {
        if (all.schedule) std::shuffle(order.begin(), order.end(), random);
        bool moved = false;
        for (int index : order) {
            Thread& thread = all.threads[index];
            if (thread.done || (thread.barrier && thread.barrier->passed == thread.passed)) continue;
            all.running = &thread;
            swapcontext(&all.scheduler, &thread.context);
            if (!all.error.empty()) return;
            moved = true;
            left -= thread.done;
        }
        if (!moved) {
            all.error = "threads wait at a barrier that others do not reach";
            return;
        }
    }
    for (size_t byte = 0; byte < GUARD_BYTES; ++byte)
        if (all.memory[shared + byte] != GARBAGE) all.error = "a kernel writes behind its shared memory";
}

inline std::string run(dim3 grid, int threads, size_t shared, const std::function<void()>& body) {
    Machine& all = machine();
    if (threads % WARP || threads < WARP || threads > MAX_THREADS || !grid.x || !grid.y || grid.y > 65535)
        return "a launch of " + std::to_string(grid.x) + " x " + std::to_string(grid.y) + " blocks of " +
               std::to_string(threads) + " threads";
    std::mt19937 random(all.schedule);
    all.error.clear();
    all.body = &body;
    all.block_size = dim3(threads);
    for (unsigned y = 0; y < grid.y; ++y)
        for (unsigned x = 0; x < grid.x && all.error.empty(); ++x) {
            all.block_index = dim3(x, y);
            run_block(shared, random);
        }
    return all.error;
}

inline void do_copies(Thread& thread, int up_to) {
    auto& copies = thread.copies;
    size_t first = 0;
    for (; first < copies.size() && copies[first].group < up_to; ++first)
        std::memcpy(copies[first].to, copies[first].from, copies[first].bytes);
    copies.erase(copies.begin(), copies.begin() + first);
}

}  // namespace simulator

#define threadIdx (simulator::machine().running->index)
#define blockIdx (simulator::machine().block_index)
#define blockDim (simulator::machine().block_size)

inline void __syncthreads() { simulator::meet(simulator::machine().barrier); }

namespace device {

template <class T>
T* shared() {
    return reinterpret_cast<T*>(simulator::machine().memory.get());
}

template <int Bytes>
void copy_async(void* to, const void* from) {
    static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "cp.async copies 4, 8 or 16 bytes");
    auto& thread = *simulator::machine().running;
    const auto addresses = reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from);
    if (addresses % Bytes) simulator::fail("a copy is not aligned");
    thread.copies.push_back({to, from, Bytes, thread.groups});
    if (simulator::machine().schedule % 2) simulator::do_copies(thread, thread.groups + 1);
}

inline void commit_copies() { ++simulator::machine().running->groups; }

template <int Open>
void wait_copies() {
    auto& thread = *simulator::machine().running;
    simulator::do_copies(thread, thread.groups - Open);
}

inline void multiply_bits(int (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    const uint32_t mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
    const auto given = simulator::exchange(simulator::Exchange::MULTIPLY, mine, 6);
    const int group = simulator::lane() / 4, column = simulator::lane() % 4 * 2;
    for (int half = 0; half < 2; ++half)
        for (int side = 0; side < 2; ++side)
            for (int word = 0; word < 8; ++word) {
                const uint32_t* row = given[4 * group + word % 4];
                const uint32_t* other = given[4 * (column + side) + word % 4];
                c[2 * half + side] += __popc(row[word / 4 * 2 + half] & other[4 + word / 4]);
            }
}

inline void load_sets(uint32_t (&words)[4], const uint4* vector) {
    const auto place = reinterpret_cast<const unsigned char*>(vector) - simulator::machine().memory.get();
    if (place < 0 || place % 16 || place + sizeof(uint4) > simulator::machine().memory_bytes)
        simulator::fail("a vector is not aligned, or not in shared memory");
    const auto mine = static_cast<uint32_t>(place);
    const auto given = simulator::exchange(simulator::Exchange::LOAD, &mine, 1);
    const int row = simulator::lane() / 4, word = simulator::lane() % 4;
    for (int set = 0; set < 4; ++set)
        std::memcpy(&words[set], simulator::machine().memory.get() + given[8 * set + row][0] + 4 * word, 4);
}

inline uint32_t shuffle_xor(uint32_t value, int mask) {
    return simulator::exchange(simulator::Exchange::SHUFFLE, &value, 1)[simulator::lane() ^ mask][0];
}

inline uint32_t ballot(bool bit) {
    const uint32_t mine = bit;
    const auto given = simulator::exchange(simulator::Exchange::BALLOT, &mine, 1);
    uint32_t word = 0;
    for (int lane = 0; lane < simulator::WARP; ++lane) word |= given[lane][0] << lane;
    return word;
}

template <class... Parameters, class... Arguments>
std::string launch(void (*kernel)(Parameters...), dim3 grid, int threads, size_t shared, Arguments... arguments) {
    return simulator::run(grid, threads, shared, [&] { kernel(arguments...); });
}

inline std::string allocate(void** memory, size_t bytes) {
    *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (!*memory) return "out of memory";
    std::memset(*memory, 0, bytes);
    return "";
}
inline std::string release(void* memory) {
    std::free(memory);
    return "";
}
inline std::string upload(void* to, const void* from, size_t bytes) {
    std::memcpy(to, from, bytes);
    return "";
}
inline std::string download(void* to, const void* from, size_t bytes) { return upload(to, from, bytes); }

inline std::string describe(std::string* name, int* capability, int* multiprocessors) {
    *name = "simulated on the host";
    *capability = 80;
    *multiprocessors = 1;
    return "";
}

class Timer {
  public:
    std::string mark(int which) {
        marks_[which] = std::chrono::steady_clock::now();
        return "";
    }
    std::string elapsed(float* milliseconds) {
        *milliseconds = std::chrono::duration<float, std::milli>(marks_[1] - marks_[0]).count();
        return "";
    }

  private:
    std::chrono::steady_clock::time_point marks_[2];
};

}  // namespace device
