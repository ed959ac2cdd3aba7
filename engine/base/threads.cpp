#include "engine/base/threads.h"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace engine {
namespace {

thread_local bool inside_task = false;

// Workers spin for a moment before they sleep: a training step opens thousands of short parallel sections.
class ThreadPool {
  public:
    explicit ThreadPool(int count) {
        for (int i = 1; i < count; ++i) workers_.emplace_back([this] { work(); });
    }
    ~ThreadPool() {
        {
            std::lock_guard lock(mutex_);
            stopping_ = true;
            generation_.fetch_add(1);
        }
        wake_.notify_all();
        for (std::thread& worker : workers_) worker.join();
    }
    int size() const { return static_cast<int>(workers_.size()) + 1; }

    void run(Size tasks, void (*call)(void*, Size), void* body) {
        call_ = call;
        body_ = body;
        tasks_ = tasks;
        error_ = nullptr;
        next_.store(0);
        busy_.store(static_cast<int>(workers_.size()));
        {
            std::lock_guard lock(mutex_);
            generation_.fetch_add(1);
        }
        if (sleepers_.load() > 0) wake_.notify_all();
        take_tasks();
        while (busy_.load(std::memory_order_acquire) != 0) pause();
        if (error_) std::rethrow_exception(error_);
    }

  private:
    static void pause() {
#if defined(__x86_64__)
        _mm_pause();
#endif
    }

    void take_tasks() {
        inside_task = true;
        for (Size task; (task = next_.fetch_add(1)) < tasks_;) {
            try {
                call_(body_, task);
            } catch (...) {
                std::lock_guard lock(mutex_);
                if (!error_) error_ = std::current_exception();
            }
        }
        inside_task = false;
    }

    void work() {
        for (std::uint64_t seen = 0;;) {
            for (int spin = 0; generation_.load(std::memory_order_acquire) == seen && spin < kSpins; ++spin) pause();
            if (generation_.load(std::memory_order_acquire) == seen) {
                std::unique_lock lock(mutex_);
                sleepers_.fetch_add(1);
                wake_.wait(lock, [&] { return generation_.load() != seen; });
                sleepers_.fetch_sub(1);
            }
            seen = generation_.load(std::memory_order_acquire);
            if (stopping_) return;
            take_tasks();
            busy_.fetch_sub(1, std::memory_order_release);
        }
    }

    static constexpr int kSpins = 20000;
    std::vector<std::thread> workers_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::atomic<std::uint64_t> generation_{0};
    std::atomic<Size> next_{0};
    std::atomic<int> busy_{0};
    std::atomic<int> sleepers_{0};
    void (*call_)(void*, Size) = nullptr;
    void* body_ = nullptr;
    Size tasks_ = 0;
    std::exception_ptr error_;
    bool stopping_ = false;
};

std::unique_ptr<ThreadPool>& pool() {
    static std::unique_ptr<ThreadPool> instance =
        std::make_unique<ThreadPool>(static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
    return instance;
}

// Several virtual ranks may call at once; the pool serves one at a time.
std::mutex& turn() {
    static std::mutex mutex;
    return mutex;
}

}  // namespace

void set_threads(int count) { pool() = std::make_unique<ThreadPool>(std::max(1, count)); }
int threads() { return pool()->size(); }

void detail::run_tasks(Size tasks, void (*call)(void*, Size), void* body) {
    if (inside_task || tasks <= 1) {
        for (Size task = 0; task < tasks; ++task) call(body, task);
        return;
    }
    std::lock_guard lock(turn());
    pool()->run(tasks, call, body);
}

}  // namespace engine
