#pragma once
#include "engine/comm/communicator.h"

namespace engine {

// Bytes that leave a rank, over all calls so far.
struct Traffic {
    Size sums = 0;     // a sum of S bytes over n ranks: 2·S·(n−1)/n, a slice to each rank and the own slice's sum to those that need it
    Size gathers = 0;  // (n−1) times the own part
    Size exchanges = 0;                                        // what is sent to other ranks
    Size sum_calls = 0, gather_calls = 0, exchange_calls = 0;  // a sum is two: slices, then their sums
    Size total() const { return sums + gathers + exchanges; }
};

// Another communicator's calls, counted. On dry_rank: what a step would send.
class CountedRanks final : public Communicator {
  public:
    explicit CountedRanks(Communicator& ranks) : ranks_(ranks) {}
    int rank() const override { return ranks_.rank(); }
    int size() const override { return ranks_.size(); }
    void exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends, const std::vector<Tensor>& receives) override;
    Ticket begin_exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends,
                          const std::vector<Tensor>& receives) override;
    void end_exchange(Exec& exec, Ticket ticket) override { ranks_.end_exchange(exec, ticket); }
    void advance() override { ranks_.advance(); }
    void* side_stream() const override { return ranks_.side_stream(); }
    void all_gather(Exec& exec, const Tensor& whole, const Tensor& part) override;
    void plain_sum(Exec& exec, const Tensor& sum) override;
    bool has_plain_sum() const override { return ranks_.has_plain_sum(); }
    bool any(bool here) override { return ranks_.any(here); }

    const Traffic& traffic() const { return traffic_; }

  private:
    void count(std::string_view collective, const std::vector<Tensor>& sends);

    Communicator& ranks_;
    Traffic traffic_;
};

}  // namespace engine
