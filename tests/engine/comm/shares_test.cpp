#include "engine/comm/shares.h"

#include "engine/comm/tree_sums.h"
#include "engine/tensor/transfer.h"

#include <cmath>
#include <numeric>
#include <vector>

#include <doctest/doctest.h>

using namespace engine;

namespace {

constexpr Size kElements = 16;

// The aligned tree over the leaves [first, last), element by element.
std::vector<float> tree(int first, int last) {
    std::vector<float> sum;
    if (last - first == 1) {
        for (int i = 0; i < kElements; ++i) {
            sum.push_back(std::exp(static_cast<float>(first % 7) + 0.37f * static_cast<float>(i)) / (3.0f + static_cast<float>(first)));
        }
        return sum;
    }
    int half = 1;
    while (half * 2 < last - first) half *= 2;
    sum = tree(first, first + half);
    std::vector<float> right = tree(first + half, last);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += right[i];
    return sum;
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
    for (int total : {1, 2, 3, 5, 8, 11, 12, 13, 16}) {
        for (int ranks = 1; ranks <= total; ++ranks) {
            std::vector<std::vector<float>> sums(static_cast<std::size_t>(ranks)), parts = sums;
            run_virtual_ranks(ranks, [&](Communicator& communicator) {
                Exec exec{.communicator = &communicator, .shards = share_of(communicator.rank(), ranks, total)};
                std::vector<float> own = tree(exec.shards.first, exec.shards.first + exec.shards.count);
                Tensor sum = from_host(exec, {kElements}, Dtype::f32, own), part = from_host(exec, {kElements}, Dtype::f32, own);
                communicator.tree_sum(exec, sum);
                TreeSums in_buckets(exec, Dtype::f32, 3, 2);
                for (Size first = 0; first < kElements; first += 3) {
                    Size elements = std::min<Size>(3, kElements - first);
                    in_buckets.add(communicator, part.view_at(first, {elements}, elements));
                }
                in_buckets.finish();
                sums[static_cast<std::size_t>(communicator.rank())] = to_host<float>(exec, sum);
                parts[static_cast<std::size_t>(communicator.rank())] = to_host<float>(exec, part);
            });
            CHECK(sums == std::vector<std::vector<float>>(sums.size(), tree(0, total)));
            if (ranks > 1) CHECK(parts == sums);
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
