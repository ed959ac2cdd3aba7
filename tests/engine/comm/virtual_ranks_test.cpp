#include "engine/base/error.h"
#include "engine/comm/agreement.h"
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

TEST_CASE("all_gather takes a rank's own rows where they stand") {
    run_virtual_ranks(3, [](Communicator& communicator) {
        Exec exec{.communicator = &communicator};
        std::vector<float> own(6, 0.0f);
        for (int i = 0; i < 2; ++i)
            own[static_cast<std::size_t>(2 * communicator.rank() + i)] = static_cast<float>(communicator.rank() + 1);
        Tensor whole = from_host(exec, {3, 2}, Dtype::f32, own);
        communicator.all_gather(exec, whole, whole.row_range(communicator.rank(), 1));
        CHECK(to_host<float>(exec, whole) == std::vector<float>{1, 1, 2, 2, 3, 3});
    });
}

TEST_CASE("what fails on one rank fails on all, with that rank's words") {
    std::vector<std::string> messages(3);
    run_virtual_ranks(3, [&](Communicator& communicator) {
        Exec exec{.communicator = &communicator};
        agreed(exec, [] {});
        try {
            agreed(exec, [&] { expect(communicator.rank() != 1, "file", "no room left"); });
        } catch (const Error& error) { messages[static_cast<std::size_t>(communicator.rank())] = error.what(); }
    });
    CHECK(messages == std::vector<std::string>{"[file] no room left (rank 1)", "[file] no room left", "[file] no room left (rank 1)"});
}

TEST_CASE("large sums, and sums of rows with padding between them, are those of the tree, and the padding stays") {
    for (const Shape& shape : {Shape{300'007}, Shape{3}, Shape{37, 13}, Shape{5, 70'001}}) {
        for (int ranks : {3, 8}) {
            std::vector<std::vector<float>> results(static_cast<std::size_t>(ranks));
            auto value = [](int rank, std::size_t i) { return std::exp(static_cast<float>(rank)) / (3.0f + static_cast<float>(i)); };
            run_virtual_ranks(ranks, [&](Communicator& communicator) {
                Exec exec{.communicator = &communicator};
                std::vector<float> own(static_cast<std::size_t>(shape.elements()));
                for (std::size_t i = 0; i < own.size(); ++i) own[i] = value(communicator.rank(), i);
                Size columns = shape.columns() + 3;
                Tensor wide = zeros(exec, {shape.rows(), columns}, Dtype::f32);
                Tensor sum = shape.rows() > 1 ? wide.columns(0, shape.columns()) : Tensor(exec, shape, Dtype::f32);
                copy_from_host(exec, sum, own);
                communicator.tree_sum(exec, sum);
                CHECK(to_host<float>(exec, wide.columns(shape.columns(), 3)) ==
                      std::vector<float>(static_cast<std::size_t>(shape.rows() * 3)));
                results[static_cast<std::size_t>(communicator.rank())] = to_host<float>(exec, sum);
            });
            std::size_t wrong = 0;
            for (std::size_t i = 0; i < results[0].size(); ++i) {
                auto v = [&](int rank) { return value(rank, i); };
                float tree = ranks == 3 ? (v(0) + v(1)) + v(2) : ((v(0) + v(1)) + (v(2) + v(3))) + ((v(4) + v(5)) + (v(6) + v(7)));
                for (const auto& result : results) wrong += result[i] != tree ? 1 : 0;
            }
            CHECK(wrong == 0);
        }
    }
}

TEST_CASE("plain_sum adds in the order of ranks, on all of them alike") {
    constexpr std::size_t kCount = 100;
    auto value = [](int rank, std::size_t i) { return std::exp(static_cast<float>(rank)) / (3.0f + static_cast<float>(i)); };
    std::vector<std::vector<float>> sums(5);
    run_virtual_ranks(5, [&](Communicator& communicator) {
        Exec exec{.communicator = &communicator};
        std::vector<float> own;
        for (std::size_t i = 0; i < kCount; ++i) own.push_back(value(communicator.rank(), i));
        Tensor sum = from_host(exec, {kCount}, Dtype::f32, own);
        communicator.plain_sum(exec, sum);
        sums[static_cast<std::size_t>(communicator.rank())] = to_host<float>(exec, sum);
    });
    std::vector<float> in_order, others_backwards;
    for (std::size_t i = 0; i < kCount; ++i) {
        auto v = [&](int rank) { return value(rank, i); };
        in_order.push_back((((v(0) + v(1)) + v(2)) + v(3)) + v(4));
        others_backwards.push_back((((v(0) + v(4)) + v(3)) + v(2)) + v(1));
    }
    CHECK(in_order != others_backwards);
    for (const auto& sum : sums) CHECK(sum == in_order);
}
