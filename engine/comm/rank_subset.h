#pragma once
#include "engine/comm/communicator.h"

namespace engine {

// Some of the ranks of a communicator among themselves, in the order in which they are named. Every rank of it makes the same calls at the
// same time, each in a subset of its own.
class RankSubset final : public Communicator {
  public:
    // `members`: ranks of `all`, its own among them.
    RankSubset(Communicator& all, std::vector<int> members);
    int rank() const override { return rank_; }
    int size() const override { return static_cast<int>(members_.size()); }
    void exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends, const std::vector<Tensor>& receives) override;
    Ticket begin_exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends,
                          const std::vector<Tensor>& receives) override;
    void end_exchange(Exec& exec, Ticket ticket) override { all_.end_exchange(exec, ticket); }
    void advance() override { all_.advance(); }
    void* side_stream() const override { return all_.side_stream(); }
    // Over all ranks: they fail together.
    bool any(bool here) override { return all_.any(here); }

  private:
    // Of every member, where it stands among all ranks.
    std::vector<Tensor> among_all(const std::vector<Tensor>& of_members) const;

    Communicator& all_;
    std::vector<int> members_;
    int rank_ = 0;
};

// The group of `width` neighbours with whom this rank shares parameters (Exec::sharing).
RankSubset sharers_of(const Exec& exec, int width);

}  // namespace engine
