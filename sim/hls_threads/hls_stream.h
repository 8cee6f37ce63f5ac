// hls::stream with a bounded FIFO that processes in threads share, in place of the header of that name.
//
// C simulation runs the processes of a dataflow region one after the other, with FIFOs of any length.
// With BNN_CSIM_THREADS the core runs them at the same time, as the hardware does; with FIFOs of
// BNN_FIFO_DEPTH elements a run that ends shows that no longer FIFO is needed to keep them going.
#ifndef BNN_THREADS_HLS_STREAM_H
#define BNN_THREADS_HLS_STREAM_H

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>

#ifndef BNN_FIFO_DEPTH
#define BNN_FIFO_DEPTH 2
#endif

namespace hls {

template <typename T>
class stream {
 public:
  explicit stream(const char* name) : name_(name) {}
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;

  ~stream() {
    if (!data_.empty()) fail("has data left at the end");
  }

  T read() {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!changed_.wait_for(lock, LIMIT, [this] { return !data_.empty(); })) fail("stays empty");
    return pop();
  }

  bool read_nb(T& value) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (data_.empty()) {
      lock.unlock();
      std::this_thread::yield();
      if (std::chrono::steady_clock::now() - last_ > 10 * LIMIT) fail("stays empty");
      return false;
    }
    last_ = std::chrono::steady_clock::now();
    value = pop();
    return true;
  }

  void write(const T& value) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!changed_.wait_for(lock, LIMIT, [this] { return data_.size() < BNN_FIFO_DEPTH; })) fail("stays full");
    data_.push_back(value);
    changed_.notify_one();
  }

 private:
  static constexpr std::chrono::seconds LIMIT{60};

  T pop() {
    const T value = data_.front();
    data_.pop_front();
    changed_.notify_one();
    return value;
  }

  [[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "stream %s %s\n", name_, what);
    std::_Exit(3);
  }

  const char* name_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> data_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

template <typename T>
constexpr std::chrono::seconds stream<T>::LIMIT;

}  // namespace hls

#endif
