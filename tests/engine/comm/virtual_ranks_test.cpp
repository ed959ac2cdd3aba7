#include "engine/base/error.h"
#include "engine/comm/communicator.h"
#include "engine/tensor/transfer.h"

#include <cmath>
#include <vector>

#include <doctest/doctest.h>

using namespace engine;

namespace {

// The aligned tree over eight leaves, cut at any number of ranks.
std::vector<float> summed_by(int ranks) {
    std::vector<float> result;
    run_virtual_ranks(ranks, [&](Communicator& communicator) {
        Exec exec{.communicator = &communicator};
        int shards = 8 / ranks;
        std::vector<float> leaves;
        for (int s = 0; s < shards; ++s) leaves.push_back(std::exp(static_cast<float>(communicator.rank() * shards + s)) / 3.0f);
        while (leaves.size() > 1) {
            for (std::size_t i = 0; i < leaves.size() / 2; ++i) leaves[i] = leaves[2 * i] + leaves[2 * i + 1];
            leaves.resize(leaves.size() / 2);
        }
        Tensor sum = from_host(exec, {1}, Dtype::f32, leaves);
        communicator.tree_sum(exec, sum);
        if (communicator.rank() == ranks - 1) result = to_host<float>(exec, sum);
    });
    return result;
}

}  // namespace

TEST_CASE("the aligned tree gives the same bits at 1, 2, 4 and 8 ranks") {
    std::vector<float> one = summed_by(1);
    for (int ranks : {2, 4, 8}) CHECK(summed_by(ranks) == one);
}

TEST_CASE("all_gather puts the ranks' rows in order") {
    run_virtual_ranks(3, [](Communicator& communicator) {
        Exec exec{.communicator = &communicator};
        Tensor whole(exec, {3, 2}, Dtype::f32);
        communicator.all_gather(exec, whole,
                                from_host(exec, {1, 2}, Dtype::f32, std::vector<float>(2, static_cast<float>(communicator.rank()))));
        CHECK(to_host<float>(exec, whole) == std::vector<float>{0, 0, 1, 1, 2, 2});
        CHECK(communicator.any(communicator.rank() == 2));
        CHECK_FALSE(communicator.any(false));
    });
}

TEST_CASE("an error on one rank ends all ranks and reaches the caller") {
    CHECK_THROWS_WITH(run_virtual_ranks(2,
                                        [](Communicator& communicator) {
                                            if (communicator.rank() == 1) fail("test", "rank 1 fell");
                                            communicator.any(false);
                                        }),
                      "[test] rank 1 fell");
}
