#pragma once
#include "engine/comm/rank_subset.h"

#include <optional>

namespace moe::ops {

// The ranks of a group that hold a table's columns together (Exec::sharing.tables), in the order of its columns. Each works for the tokens
// of all: what is known of tokens goes to every rank, columns of tokens' rows to the rank that holds the table's, and back. Member r's
// tokens are the rows behind those of the members before it. Alone, a rank hands every tensor through.
class ColumnRanks {
  public:
    // `parts`: ranks of a group. `tokens`: this rank's, equally many a micro-shard as any rank's.
    ColumnRanks(const engine::Exec& exec, int parts, engine::Size tokens);

    // All members' tokens; and the exec of kernels that sum over them, whose micro-shards are those of all.
    engine::Size tokens() const { return first_.back(); }
    engine::Exec& exec() { return exec_; }

    // (N,J) of this rank's tokens → of all tokens.
    engine::Tensor gather(const engine::Tensor& own_NJ);
    // Rows (N,C) of this rank's tokens → this rank's columns of all tokens' rows.
    engine::Tensor take_columns(const engine::Tensor& own_NC);
    // Room for what give_columns takes: this rank's columns of all tokens' rows. Alone: `own_NC` itself.
    engine::Tensor room_for_columns(const engine::Tensor& own_NC);
    // The way back: all columns of this rank's tokens' rows.
    void give_columns(const engine::Tensor& own_NC, const engine::Tensor& columns);
    // Room for what add_parts takes, (tokens(),J). Alone: `own_NJ` itself.
    engine::Tensor room_for_parts(const engine::Tensor& own_NJ);
    // Each member's part of every token's sums, added along the tree over members, which goes on where theirs over strips ends.
    void add_parts(const engine::Tensor& own_NJ, const engine::Tensor& parts);

  private:
    bool alone() const { return !ranks_; }
    int size() const { return static_cast<int>(first_.size()) - 1; }
    engine::Size tokens_of(int member) const {
        return first_[static_cast<std::size_t>(member) + 1] - first_[static_cast<std::size_t>(member)];
    }
    // Member r's rows.
    engine::Tensor rows_of(const engine::Tensor& all, int member) const;
    // Member s's columns.
    engine::Tensor columns_of(const engine::Tensor& own_NC, int member) const;
    template <class Send, class Receive>
    void exchange(const char* what, Send send, Receive receive);

    engine::Exec exec_;
    std::optional<engine::RankSubset> ranks_;
    std::vector<engine::Size> first_;  // token of every member, and the end
};

}  // namespace moe::ops
