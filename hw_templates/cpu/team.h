// Threads that do the same job at the same time, each its own part of it.
#ifndef BNN_TEAM_H
#define BNN_TEAM_H

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace bnn {

class Team {
 public:
  using Job = std::function<void(int member)>;

  explicit Team(int members);
  ~Team();
  Team(const Team &) = delete;
  Team &operator=(const Team &) = delete;

  int members() const { return members_; }

  // Runs the job once on every member; the caller is member 0. The job must not throw.
  void run(const Job &job);

  // Within a job: waits until every member has called it. It orders memory like a lock.
  void barrier();

 private:
  void work(int member);

  const int members_;
  const Job *job_ = nullptr;
  // each in a cache line of its own, as others look at them all the time
  alignas(64) std::atomic<unsigned> jobs_{0};
  alignas(64) std::atomic<unsigned> phase_{0};
  alignas(64) std::atomic<int> waiting_{0};
  alignas(64) std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> threads_;
};

}  // namespace bnn

#endif
