#include "engine/comm/shares.h"

#include "engine/tensor/transfer.h"

#include <cmath>
#include <numeric>
#include <vector>

#include <doctest/doctest.h>

using namespace engine;

namespace {

float leaf(int shard) { return std::exp(static_cast<float>(shard % 7)) / (3.0f + static_cast<float>(shard)); }

// The aligned tree over the leaves [first, last).
float tree(int first, int last) {
    if (last - first == 1) return leaf(first);
    int half = 1;
    while (half * 2 < last - first) half *= 2;
    return tree(first, first + half) + tree(first + half, last);
}

}  // namespace

TEST_CASE("shares follow each other, cover all micro-shards, and are equal where equal subtrees exist") {
    for (int total = 1; total <= 40; ++total) {
        for (int ranks = 1; ranks <= total; ++ranks) {
            int next = 0, least = total, most = 0;
            for (int rank = 0; rank < ranks; ++rank) {
                Shards share = share_of(rank, ranks, total);
                CHECK(share.first == next);
                CHECK(share.total == total);
                CHECK(share.count >= 1);
                next += share.count;
                least = std::min(least, share.count), most = std::max(most, share.count);
            }
            CHECK(next == total);
            int equal = total / ranks;
            if (total % ranks == 0 && (equal & (equal - 1)) == 0) CHECK(least == most);
            // A subtree at least twice as large as need be is never taken, where the micro-shards are a power of two.
            if ((total & (total - 1)) == 0) CHECK(most < 2 * ((total + ranks - 1) / ranks) + 1);
        }
    }
}

TEST_CASE("the tree over any number of ranks, each with the tree of its share, is the tree over all micro-shards, bit for bit") {
    for (int total : {1, 2, 3, 5, 8, 11, 12, 16}) {
        for (int ranks = 1; ranks <= total; ++ranks) {
            std::vector<float> sums(static_cast<std::size_t>(ranks));
            run_virtual_ranks(ranks, [&](Communicator& communicator) {
                Exec exec{.communicator = &communicator, .shards = share_of(communicator.rank(), ranks, total)};
                float own = tree(exec.shards.first, exec.shards.first + exec.shards.count);
                Tensor sum = from_host(exec, {1}, Dtype::f32, std::vector<float>{own});
                communicator.tree_sum(exec, sum);
                sums[static_cast<std::size_t>(communicator.rank())] = to_host<float>(exec, sum)[0];
            });
            CHECK(sums == std::vector<float>(sums.size(), tree(0, total)));
        }
    }
}

TEST_CASE("gather_shares puts rows of unequal shares in order, with padding and without") {
    for (Size columns : {Size{3}, Size{11}}) {
        for (int ranks : {1, 3, 4, 5}) {
            run_virtual_ranks(ranks, [&](Communicator& communicator) {
                Exec exec{.communicator = &communicator, .shards = share_of(communicator.rank(), ranks, 8)};
                std::vector<float> all(static_cast<std::size_t>(16 * columns));
                std::iota(all.begin(), all.end(), 0.0f);
                Size rows = 2 * exec.shards.count;
                CHECK(rows_of_pass(exec, rows) == 16);
                auto begin = all.begin() + 2 * exec.shards.first * columns;
                Tensor whole(exec, {16, columns}, Dtype::f32);
                gather_shares(exec, whole, from_host(exec, {rows, columns}, Dtype::f32, std::vector<float>(begin, begin + rows * columns)));
                CHECK(to_host<float>(exec, whole) == all);
            });
        }
    }
}
