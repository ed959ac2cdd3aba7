#pragma once
#include "engine/simt/arena.h"
#include "engine/simt/carrier.h"
#include "engine/simt/order.h"
#include "engine/simt/races.h"
#include "engine/simt/runtime.h"

#include <exception>
#include <memory>
#include <string>
#include <vector>

namespace engine::simt {

// Runs the blocks of a launch one after another on one OS thread. Lanes start lazily: one that ends without blocking hands its stack to the
// next, and lanes that can go on come before lanes that have not begun, so a kernel of shuffles alone needs 32 stacks.
class Worker {
  public:
    void run_grid(const char* kernel, dim3 grid, dim3 block, std::size_t dynamic_bytes, void (*body)(void*), void* context);

    // From a lane.
    void meet(Meeting& meeting);
    Arena& arena() { return arena_; }
    // From a hook of the race detector, which cannot throw: the launch fails at the lane's next meeting or end.
    void note_access(const void* address, std::size_t bytes, Access access, const void* code);

  private:
    enum class State { fresh, running, waiting, done };
    struct Thread : Lane {
        State state = State::fresh;
        Meeting* meeting = nullptr;
        Carrier* carrier = nullptr;
    };
    struct Launch {
        const char* kernel;
        void (*body)(void*);
        void* context;
        std::size_t dynamic_bytes;
    };

    void run_block();
    void start_threads(Carrier& carrier);
    void go_on(Thread& thread);
    void meet_block(Thread& thread);
    void meet_warp(Thread& thread, Meeting& meeting);
    void release(std::vector<unsigned> threads);
    void abandon();
    Thread& thread(unsigned linear) { return threads_[linear]; }
    [[noreturn]] void report(const std::string& what);
    // Who waits where, a line for each group.
    std::string who_waits() const;

    Launch launch_{};
    Arena arena_;
    RaceDetector races_;
    std::vector<Thread> threads_;
    std::vector<unsigned> start_order_;
    std::size_t started_ = 0, done_ = 0, at_barrier_ = 0;
    std::vector<unsigned> ready_;         // a stack
    std::vector<unsigned> warp_waiting_;  // a bit for each lane that waits for others of its warp
    std::vector<std::unique_ptr<Carrier>> carriers_;
    std::vector<Carrier*> idle_;
    Shuffler shuffler_{Order{}, 0};
    std::uint64_t launches_ = 0;
    std::exception_ptr error_;
    std::string race_;
    bool abandoning_ = false;
};

}  // namespace engine::simt
