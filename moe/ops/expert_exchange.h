#pragma once
#include "engine/comm/rank_subset.h"

#include <vector>

namespace moe::ops {

// Experts divided among the P ranks of a group (parallel.expert): rank p owns experts [p·E/P, (p+1)·E/P). A row travels once to every rank
// that owns one of its experts, each choice's product travels back; nothing is dropped. The group's batch is the rows of all its ranks, in
// order: for its own experts a rank computes what one rank with all rows would, bit for bit.
//
// Exact: the host reads counts, once a layer and pass, and nothing is padded; on a GPU it waits there. Where the exec has capacities
// (engine/comm/pair_capacities.h), it does not: what travels between two ranks has room for as many rows and choices as those say, and only
// the device knows how many there are. What finds no room is left out, in the same way at both ends, and the capacities are told; such a
// pass must be run again.
class ExpertExchange {
  public:
    // kept (N,K): the chosen experts among all, −1 for none. Collective, as are all calls but the plain reads.
    ExpertExchange(const engine::Exec& exec, const engine::Tensor& kept_NK, engine::Size own_experts);

    // With the group's micro-shards.
    engine::Exec& exec() { return exec_; }
    // (B,K) of the group's batch: this rank's experts, counted from its first; −1: another's, or none.
    const engine::Tensor& ids_BK() const { return ids_BK_; }
    // No more choices than these are among them: as many, where the host knows.
    engine::Size routed_rows() const { return static_cast<engine::Size>(routed_); }

    // The batch's rows (B,C) of this rank's x (N,C) and the others'. Rows without a choice here are not written.
    engine::Tensor send_rows(const engine::Tensor& x_NC);
    // Back from rows (R,C) of all choices, which stand at position (B,K): one row for each choice of this rank's own rows, at
    // home_position.
    engine::Tensor bring_home(const engine::Tensor& rows_RC, const std::int32_t* position_BK);
    // −1 for a choice of none, or one without room.
    const std::int32_t* home_position_NK() const { return home_position_.data<std::int32_t>(); }

  private:
    // Entries of a list that belong to rank 0, 1, … of the group, one after another.
    using Begins = std::vector<engine::Size>;
    engine::Size rows_of(const Begins& begins) const { return begins.back(); }
    // Exact.
    void plan_sends(const engine::Tensor& kept_NK);
    void plan_receives();
    // Within the room that each micro-shard has for what it sends: rows to each rank, then choices.
    void plan_within(const std::vector<engine::Size>& room, const engine::Tensor& kept_NK);
    std::vector<engine::Size> most_of_shard(engine::Size K) const;
    std::vector<std::int32_t> counts_sent() const;
    void keep_own_ids(const std::int32_t* slot_BK);
    engine::Size rows_of_shard() const { return first_row_.back() / exec_.shards.count; }
    engine::Size shards_of_rows(engine::Size rows) const { return rows_of_shard() > 0 ? rows / rows_of_shard() : 0; }
    Begins begins_of_ranks(const engine::Tensor& begin_of_shard) const;
    engine::Tensor exchanged(const char* collective, const engine::Tensor& rows, const Begins& sends, const Begins& receives);

    engine::Exec exec_;
    engine::RankSubset group_;
    engine::Size own_experts_;
    Begins first_row_;                           // of each rank in the batch
    engine::Tensor ids_BK_, home_position_;      // (B,K), (N·K)
    engine::Tensor sent_rows_, received_rows_;   // of x, of the batch
    engine::Tensor choices_;                     // of the batch, with an expert here
    engine::Tensor needs_;                       // rows that go to each rank, then choices; whether or not there is room
    Begins sends_, receives_, returns_, homes_;  // rows sent and received; choices sent back and received back
    engine::Size routed_ = 0;
};

}  // namespace moe::ops
