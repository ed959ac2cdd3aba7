#pragma once
#include "engine/comm/communicator.h"

#include <deque>
#include <string_view>
#include <vector>

namespace engine {

// The collective's name in exchanges.
inline constexpr std::string_view kTreeSum = "tree_sum";

// Sums over ranks along the aligned tree (shares.h), bucket by bucket, beside other work. A bucket is two exchanges: a slice of it to each
// rank, which adds up the summands; and the slice's sum to all ranks, or to those that need it. Together a rank sends 2·S·(n−1)/n of S
// bytes. Exchanges begin in add and finish alone, in an order that no clock changes: every rank makes the same calls, in the same order as
// its other collectives.
class TreeSums {
  public:
    // Buckets of at most `most` elements, `depth` of which may be on their way to the ranks that sum them: that much memory.
    TreeSums(Exec& exec, Dtype dtype, Size most, int depth);
    TreeSums(const TreeSums&) = delete;
    TreeSums& operator=(const TreeSums&) = delete;

    // A bucket (n) without padding becomes its sum over `ranks`, which stay until finish. needed[r], within the bucket: the elements that
    // rank r gets, the others of its own keep no meaning; empty: all ranks get all.
    void add(Communicator& ranks, const Tensor& bucket, std::vector<Range> needed = {});
    // The next bucket waits for one before it.
    bool is_full() const { return static_cast<int>(summands_.size()) == depth_; }
    // Waits for all.
    void finish();

  private:
    struct Bucket {
        Communicator* ranks;
        Tensor elements;
        std::vector<Range> needed;
        std::vector<Tensor> summands;  // of the own slice, by rank; none where it is empty
        Communicator::Ticket ticket;
    };
    struct Sent {
        Communicator* ranks;
        Communicator::Ticket ticket;
    };
    void turn();
    void end_sent(std::size_t left);

    Exec exec_;
    int depth_;
    std::vector<Tensor> memory_;
    std::size_t next_memory_ = 0;
    std::deque<Bucket> summands_;  // in the first exchange
    std::deque<Sent> sums_;        // in the second
};

}  // namespace engine
