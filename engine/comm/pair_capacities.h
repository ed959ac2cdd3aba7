#pragma once
#include "engine/comm/communicator.h"
#include "engine/tensor/later_read.h"

#include <vector>

namespace engine {

// Room for what ranks that share parameters send each other, where only the device knows how much that is (docs/adr/0006). An exchange
// claims capacities, works within them without asking the device, and leaves there what it needed. Were they enough, all is well; if not,
// the pass counts for nothing and is run again, in which exchanges are exact: the host reads their counts. No choice of capacities changes
// a bit of the result.
//
// Capacities follow the needs of earlier passes, of which all ranks know all. The first pass is exact.
//
// A pass: begin_pass, forward, end_forward, and everything else; then fits. The host waits there for the needs, which stood in the stream
// before the backward pass: what a GPU has to do meanwhile is all that came after them.
class PairCapacities {
  public:
    void begin_pass();
    // The pass's next exchange, which needs so many numbers of each micro-shard and never more than `most`: how many of each it has room
    // for. Nothing: it must be exact.
    std::vector<Size> claim(const std::vector<Size>& most);
    // What all micro-shards of this rank together needed of it, (numbers) int32, whether or not it was there.
    void needed(const Tensor& needs);
    // All exchanges of the pass have claimed. Collective over all ranks, as is fits.
    void end_forward(Exec& exec);
    // Whether the capacities were enough. If not, the next pass is exact.
    bool fits();

    // Passes that did not fit, so far.
    int misfits() const { return misfits_; }

  private:
    // Of one number: a quarter more than the most that was needed of it in the last passes. It changes seldom, so that tensors keep their
    // places: every kWindow passes, or where a need comes near it.
    class Capacity {
      public:
        Size value() const { return value_; }
        void note(Size need);

      private:
        static constexpr int kWindow = 64;
        Size value_ = 0, most_ = 0;
        int passes_ = kWindow;  // since it last changed
    };

    bool exact_ = true;
    int misfits_ = 0;
    std::size_t claims_ = 0;
    std::vector<std::vector<Capacity>> capacities_;  // of every exchange of a pass
    std::vector<std::vector<Size>> claimed_;
    std::vector<Tensor> needs_;
    std::vector<int> shards_;  // of every rank
    LaterRead read_;
};

// Of exchanges within the pass, until the end of the scope.
class UsesCapacities {
  public:
    UsesCapacities(Exec& exec, PairCapacities* capacities) : exec_(exec) { exec_.sharing.capacities = capacities; }
    ~UsesCapacities() { exec_.sharing.capacities = nullptr; }
    UsesCapacities(const UsesCapacities&) = delete;
    UsesCapacities& operator=(const UsesCapacities&) = delete;

  private:
    Exec& exec_;
};

}  // namespace engine
