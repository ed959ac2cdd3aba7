#include "engine/comm/shares.h"

#include "engine/comm/rank_subset.h"
#include "engine/tensor/transfer.h"

#include <algorithm>

namespace engine {

Tensor rows_like(Exec& exec, Size rows, const Tensor& other) {
    Shape shape{rows, other.shape().columns()};
    return other.row_stride() == shape.columns() ? packed_tensor(exec, shape, other.dtype()) : Tensor(exec, shape, other.dtype());
}

LeftChild left_child(int shards, int ranks) {
    int left = 1;
    while (left * 2 < shards) left *= 2;
    int right = shards - left, nearest = (2 * ranks * left + shards) / (2 * shards);
    return {left, std::clamp(nearest, std::max(1, ranks - right), std::min(left, ranks - 1))};
}

Shards share_of(int rank, int ranks, int total) {
    if (ranks == 1) return {.first = 0, .count = total, .total = total};
    LeftChild left = left_child(total, ranks);
    Shards share =
        rank < left.ranks ? share_of(rank, left.ranks, left.shards) : share_of(rank - left.ranks, ranks - left.ranks, total - left.shards);
    return {.first = share.first + (rank < left.ranks ? 0 : left.shards), .count = share.count, .total = total};
}

Shards own_share(const Exec& exec) { return share_of(rank_of(exec), rank_count(exec), pass_shards(exec)); }

Size rows_of_pass(const Exec& exec, Size rows) {
    if (rank_count(exec) == 1) return rows;
    Shards own = own_share(exec);
    return rows / own.count * own.total;
}

std::vector<int> group_of(int rank, int width) {
    std::vector<int> members;
    for (int r = 0; r < width; ++r) members.push_back(rank / width * width + r);
    return members;
}

std::vector<int> replicas_of(int rank, int ranks, int width) {
    std::vector<int> members;
    for (int r = rank % width; r < ranks; r += width) members.push_back(r);
    return members;
}

bool groups_hold_subtrees(int ranks, int width, int total) {
    if (ranks % width != 0) return false;
    for (int rank = 0; rank < ranks; ++rank) {
        Shards group = share_of(rank / width, ranks / width, total), own = share_of(rank, ranks, total);
        if (own.first < group.first || own.first + own.count > group.first + group.count) return false;
    }
    return true;
}

Shards group_share(const Exec& exec, int width) {
    int rank = exec.sharing.ranks->rank(), ranks = exec.sharing.ranks->size();
    if (exec.communicator == nullptr) return {.first = 0, .count = width, .total = width};
    // Of a later pass of the step shards are counted on.
    int total = pass_shards(exec), before = exec.shards.first - share_of(rank, ranks, total).first;
    Shards group = share_of(rank / width, ranks / width, total);
    group.first += before;
    return group;
}

std::vector<Size> rows_of_group(const Exec& exec, int width, Size own) {
    int rank = exec.sharing.ranks->rank();
    auto shards = [&](int r) {
        return exec.communicator == nullptr ? 1 : share_of(r, exec.sharing.ranks->size(), pass_shards(exec)).count;
    };
    std::vector<Size> begins{0};
    for (int member : group_of(rank, width)) begins.push_back(begins.back() + own / shards(rank) * shards(member));
    return begins;
}

Tensor gather_group(Exec& exec, std::string_view collective, int width, const Tensor& part) {
    std::vector<Size> begins = rows_of_group(exec, width, part.size(0));
    Tensor whole = packed_tensor(exec, {begins.back(), part.size(1)}, part.dtype());
    std::vector<Tensor> receives;
    for (std::size_t m = 0; m + 1 < begins.size(); ++m) receives.push_back(whole.row_range(begins[m], begins[m + 1] - begins[m]));
    sharers_of(exec, width).exchange(exec, collective, std::vector<Tensor>(receives.size(), part), receives);
    return whole;
}

void gather_shares(Exec& exec, const Tensor& whole, const Tensor& part) {
    int ranks = rank_count(exec), total = pass_shards(exec);
    if (total % ranks == 0 && own_share(exec).count == total / ranks) return exec.communicator->all_gather(exec, whole, part);
    // Room for the largest share of each; only what is filled is taken.
    Size rows = part.shape().rows() / own_share(exec).count, most = 0;
    for (int r = 0; r < ranks; ++r) most = std::max<Size>(most, share_of(r, ranks, total).count * rows);
    Tensor all = rows_like(exec, ranks * most, part), own = all.row_range(exec.communicator->rank() * most, most);
    fill_zero(exec, own);
    copy(exec, own.row_range(0, part.shape().rows()), part);
    exec.communicator->all_gather(exec, all, own);
    for (int r = 0; r < ranks; ++r) {
        Shards share = share_of(r, ranks, total);
        copy(exec, whole.row_range(share.first * rows, share.count * rows), all.row_range(r * most, share.count * rows));
    }
}

}  // namespace engine
