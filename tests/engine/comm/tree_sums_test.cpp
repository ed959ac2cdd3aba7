#include "engine/comm/tree_sums.h"

#include "engine/memory/pool.h"
#include "engine/tensor/transfer.h"
#include "tests/support/collectives.h"
#include "tests/support/late_ranks.h"

#include <cmath>

#include <doctest/doctest.h>

using namespace engine;
using tests::LateRanks;

namespace {

constexpr Size kElements = 103;

std::vector<float> own_values(int rank) {
    std::vector<float> values;
    for (int i = 0; i < kElements; ++i) values.push_back(std::exp(static_cast<float>(rank)) / (3.0f + static_cast<float>(i)));
    return values;
}

// Bucket by bucket, of which the ranks need what `needed` says.
void sum(TreeSums& sums, Communicator& ranks, const Tensor& tensor, Size bucket, const std::vector<Range>& needed = {}) {
    for (Size first = 0; first < kElements; first += bucket) {
        tests::add_bucket(sums, ranks, tensor, {first, std::min(bucket, kElements - first)}, needed);
    }
    sums.finish();
}

}  // namespace

TEST_CASE("exchanges begin and end in an order that the calls alone decide, a bucket's sum before the slices of the bucket it waits for") {
    for (int ranks : {2, 5}) {
        run_virtual_ranks(ranks, [&](Communicator& communicator) {
            LateRanks late(communicator);
            Exec exec{.communicator = &late};
            Tensor tensor = from_host(exec, {kElements}, Dtype::f32, own_values(communicator.rank()));
            TreeSums sums(exec, Dtype::f32, 40, 2);
            sum(sums, late, tensor, 40);
            CHECK(late.events == std::vector<int>{1, 2, -1, 3, 4, -2, 5, -4, 6, -3, -5, -6});
            CHECK_FALSE(sums.is_full());
        });
    }
}

TEST_CASE("sums have the tree's bits, however late the exchanges, however many are on their way, and whatever a bucket's size") {
    for (int ranks : {2, 3, 4, 8}) {
        run_virtual_ranks(ranks, [&](Communicator& communicator) {
            Exec exec{.communicator = &communicator};
            Tensor whole = from_host(exec, {kElements}, Dtype::f32, own_values(communicator.rank()));
            communicator.tree_sum(exec, whole);
            std::vector<float> expected = to_host<float>(exec, whole);
            for (int depth : {1, 2, 4}) {
                for (Size bucket : {Size{1}, Size{7}, Size{40}, kElements}) {
                    LateRanks late(communicator);
                    Tensor tensor = from_host(exec, {kElements}, Dtype::f32, own_values(communicator.rank()));
                    TreeSums sums(exec, Dtype::f32, bucket, depth);
                    sum(sums, late, tensor, bucket);
                    CHECK(to_host<float>(exec, tensor) == expected);
                    CHECK(late.under_way() == 0);
                }
            }
        });
    }
}

TEST_CASE("of a sum that a rank needs in part it gets that part, what it does not need is not sent, and parts may overlap or be empty") {
    run_virtual_ranks(3, [](Communicator& communicator) {
        Exec exec{.communicator = &communicator};
        Tensor whole = from_host(exec, {kElements}, Dtype::f32, own_values(communicator.rank()));
        communicator.tree_sum(exec, whole);
        std::vector<float> expected = to_host<float>(exec, whole), own = own_values(communicator.rank());
        const std::vector<Range> needed{{0, 50}, {45, 58}, {60, 0}};
        LateRanks late(communicator);
        Tensor tensor = from_host(exec, {kElements}, Dtype::f32, own);
        TreeSums sums(exec, Dtype::f32, kElements, 1);
        sum(sums, late, tensor, kElements, needed);
        std::vector<float> got = to_host<float>(exec, tensor);
        const Range part = needed[static_cast<std::size_t>(communicator.rank())];
        // Slices of 35 elements: a rank also keeps the sum of its own.
        const Range slice{communicator.rank() * 35, std::min<Size>(35, kElements - communicator.rank() * 35)};
        for (Size i = 0; i < kElements; ++i) {
            auto within = [&](const Range& range) { return i >= range.first && i < range.end(); };
            auto at = static_cast<std::size_t>(i);
            CHECK(got[at] == (within(part) || within(slice) ? expected[at] : own[at]));
        }
    });
}

TEST_CASE("as much memory as the buckets on their way to the ranks that sum them, and one rank needs no exchange") {
    Pool pool(Device{});
    run_virtual_ranks(4, [&](Communicator& communicator) {
        Exec exec{.pool = &pool_of(Device{}), .communicator = &communicator};
        if (communicator.rank() == 0) exec.pool = &pool;
        Tensor tensor = from_host(exec, {kElements}, Dtype::f32, own_values(communicator.rank()));
        std::size_t before = pool.bytes_in_use();
        TreeSums sums(exec, Dtype::f32, 32, 2);
        sum(sums, communicator, tensor, 32);
        if (communicator.rank() == 0) CHECK(pool.peak_bytes() - before <= 2 * (36 * sizeof(float) + 2 * 64));
    });
    std::unique_ptr<Communicator> alone = single_rank();
    LateRanks late(*alone);
    Exec exec{.communicator = &late};
    Tensor tensor = from_host(exec, {kElements}, Dtype::f32, own_values(0));
    TreeSums sums(exec, Dtype::f32, 40, 2);
    sum(sums, late, tensor, 40);
    CHECK(late.events.empty());
    CHECK(to_host<float>(exec, tensor) == own_values(0));
}
