#pragma once
#include "engine/comm/communicator.h"

namespace engine {

// How ranks share the M micro-shards of a pass (PROGRAMS, "A step"), for any number of ranks up to M: each holds a whole subtree of the
// aligned tree, as equal as subtrees can be. What is left of the tree is the ranks' own. 8 micro-shards over 3 ranks: 2, 2, 4; over 5: 1,
// 1, 2, 2, 2.

// The left child of a node of `shards` leaves that `ranks` ranks hold, both above 1: its leaves and its ranks.
struct LeftChild {
    int shards, ranks;
};
LeftChild left_child(int shards, int ranks);

// Rank r's micro-shards; `total` at least `ranks`.
Shards share_of(int rank, int ranks, int total);

// The leaves of the tree that this exec's ranks sum along; where no pass gave any, one a rank.
inline int pass_shards(const Exec& exec) { return exec.shards.total < rank_count(exec) ? rank_count(exec) : exec.shards.total; }
// This rank's, counted within the pass.
Shards own_share(const Exec& exec);
// Rows of the whole pass, of which this rank has `rows`, equally many a micro-shard.
Size rows_of_pass(const Exec& exec, Size rows);

// The group of `width` neighbours that a rank belongs to; and the ranks that have its place in theirs.
std::vector<int> group_of(int rank, int width);
std::vector<int> replicas_of(int rank, int ranks, int width);
// Whether each group of `width` neighbours holds a whole subtree of the micro-shards, so that sums over a group can be added along the
// tree.
bool groups_hold_subtrees(int ranks, int width, int total);
// The micro-shards that the ranks of this rank's group hold together; one a rank where every rank has all rows (evaluation).
Shards group_share(const Exec& exec, int width);
// Where the rows of each member begin in the group's, and where they end, `own` of them this rank's: equally many a micro-shard.
std::vector<Size> rows_of_group(const Exec& exec, int width, Size own);

// The rows of all ranks of a group, in order, without padding.   part (rows, C)
Tensor gather_group(Exec& exec, std::string_view collective, int width, const Tensor& part);

// Uninitialised rows of another tensor's width, with padding between them or none, as it has: what all_gather wants.
Tensor rows_like(Exec& exec, Size rows, const Tensor& other);

// Every rank's rows of a pass, in order, equally many a micro-shard: all_gather for shares that may differ.   part (rows, C), whole (all
// rows, C)
void gather_shares(Exec& exec, const Tensor& whole, const Tensor& part);

}  // namespace engine
