#include "team.h"

#include <chrono>

namespace bnn {
namespace {

// A layer takes microseconds, waking a thread that sleeps takes tens of them: so a thread looks for a while before it
// lets others have the processor, and a good while more before it sleeps.
constexpr int SPINS = 2000;
constexpr std::chrono::microseconds AWAKE{200};

inline void pause() {
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

Team::Team(int members) : members_(members) {
  try {
    for (int member = 1; member < members; member++) threads_.emplace_back([this, member] { work(member); });
  } catch (...) {
    stop_ = true;
    for (std::thread &thread : threads_) {
      {
        std::lock_guard<std::mutex> lock(mutex_);
      }
      wake_.notify_all();
      thread.join();
    }
    throw;
  }
}

Team::~Team() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread &thread : threads_) thread.join();
}

void Team::run(const Job &job) {
  if (members_ == 1) {
    job(0);
    return;
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);  // so that none misses it on its way to sleep
    job_ = &job;
    jobs_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  job(0);
  barrier();
}

void Team::barrier() {
  if (members_ == 1) return;
  const unsigned phase = phase_.load(std::memory_order_relaxed);
  if (waiting_.fetch_add(1, std::memory_order_acq_rel) == members_ - 1) {
    waiting_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; phase_.load(std::memory_order_acquire) == phase; spins++) {
    if (spins < SPINS)
      pause();
    else
      std::this_thread::yield();
  }
}

void Team::work(int member) {
  unsigned done = 0;
  for (;;) {
    const auto until = std::chrono::steady_clock::now() + AWAKE;
    for (int spins = 1; jobs_.load(std::memory_order_acquire) == done && !stop_; spins++) {
      pause();
      if (spins % SPINS == 0 && std::chrono::steady_clock::now() > until) break;
    }
    if (jobs_.load(std::memory_order_acquire) == done) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return stop_ || jobs_.load(std::memory_order_acquire) != done; });
    }
    if (stop_) return;
    done++;
    (*job_)(member);
    barrier();
  }
}

}  // namespace bnn
