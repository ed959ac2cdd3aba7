// Gradients summed over ranks while the backward pass still goes on.
#include "nn/gradient_sums.h"

#include "engine/comm/shares.h"
#include "engine/ops/linear.h"
#include "engine/tensor/transfer.h"
#include "tests/support/late_ranks.h"
#include "tests/support/random.h"

#include <cmath>

#include <doctest/doctest.h>
#include <fmt/format.h>

using namespace engine;
using nn::GradientSums;
using nn::ParameterStore;

namespace {

constexpr Size kWidth = 8, kLayers = 6;

// Layers in a row, of which the last is no part of the pass.
class Chain final : public nn::Module {
  public:
    Chain() {
        for (Size i = 0; i < kLayers; ++i) {
            auto initial = [](const Shape& shape, std::uint64_t seed) { return tests::random_values(shape.elements(), seed); };
            add(weights[i], fmt::format("w{}", i), {kWidth, kWidth}, initial);
            add(biases[i], fmt::format("b{}", i), {kWidth}, initial);
        }
    }
    // Backward, from this rank's own rows.
    void run(Exec& exec, const Tape::AfterNode& after_node) {
        Tape tape(exec);
        Var x(from_host(exec, {1, kWidth}, Dtype::f32, tests::random_values(kWidth, 7 + static_cast<std::uint64_t>(rank_of(exec)))), true);
        for (Size i = 0; i + 1 < kLayers; ++i) x = ops::linear(tape, x, weights[i].var, biases[i].var);
        x.give_grad(exec, from_host(exec, {1, kWidth}, Dtype::f32, tests::random_values(kWidth, 3)));
        tape.backward(after_node);
    }

    nn::Parameter weights[kLayers], biases[kLayers];
};

struct Summed {
    std::vector<float> gradients;
    std::vector<std::size_t> begun;  // after every node
    std::size_t buckets = 0;
};

Summed summed(int ranks, Size bucket, ParameterStore::Cut cut = ParameterStore::Cut::none) {
    std::vector<Summed> of_rank(static_cast<std::size_t>(ranks));
    run_virtual_ranks(ranks, [&](Communicator& communicator) {
        tests::LateRanks late(communicator);
        Exec exec{.communicator = ranks > 1 ? &late : &communicator, .shards = share_of(communicator.rank(), ranks, ranks)};
        Chain chain;
        ParameterStore store(exec, chain, Dtype::f32, 3, true, ParameterStore::Values::initial, cut);
        GradientSums::Needed needed;
        for (int r = 0; r < store.ranks_of_cut(); ++r) needed.push_back({store.range_of(r, ranks)});
        GradientSums sums(exec, store, nn::Reduction::exact, needed, bucket);
        // What nothing reaches may hold anything.
        for (const ParameterStore::Place& place : store.places()) {
            copy_from_host(exec, store.view(store.pass_gradient(), place),
                           std::vector<float>(static_cast<std::size_t>(place.shape.elements()), NAN));
        }
        Summed own{.buckets = sums.buckets()};
        for (int pass = 0; pass < 2; ++pass) {
            own.begun.clear();
            store.begin_pass();
            sums.begin();
            chain.run(exec, [&](std::span<const Var> complete) {
                sums.after_node(complete);
                own.begun.push_back(sums.begun());
            });
            sums.finish();
            CHECK(sums.begun() == sums.buckets());
            CHECK(late.under_way() == 0);
        }
        ParameterStore::Range held =
            cut == ParameterStore::Cut::none ? ParameterStore::Range{0, store.flat_elements()} : store.range_of(communicator.rank(), ranks);
        own.gradients = to_host<float>(exec, store.gradient().view_at(held.first, {held.elements}, held.elements));
        of_rank[static_cast<std::size_t>(communicator.rank())] = own;
    });
    Summed result = of_rank[0];
    for (int rank = 1; rank < ranks; ++rank) {
        const Summed& own = of_rank[static_cast<std::size_t>(rank)];
        CHECK(own.begun == result.begun);
        if (cut == ParameterStore::Cut::none) CHECK(own.gradients == result.gradients);
        if (cut != ParameterStore::Cut::none) result.gradients.insert(result.gradients.end(), own.gradients.begin(), own.gradients.end());
    }
    return result;
}

// One rank after the other, then the tree.
std::vector<float> expected(int ranks) {
    std::vector<std::vector<float>> own(static_cast<std::size_t>(ranks));
    std::vector<float> sum;
    run_virtual_ranks(ranks, [&](Communicator& communicator) {
        Exec exec{.communicator = &communicator};
        Chain chain;
        ParameterStore store(exec, chain, Dtype::f32, 3, true);
        store.begin_pass();
        chain.run(exec, {});
        store.end_pass(exec);
        communicator.tree_sum(exec, store.gradient());
        if (communicator.rank() == 0) sum = to_host<float>(exec, store.gradient());
    });
    return sum;
}

}  // namespace

TEST_CASE("gradients are the tree's sums in buckets smaller than a parameter, larger, and of all of them; zeros where nothing came") {
    for (int ranks : {2, 3, 4}) {
        std::vector<float> all = expected(ranks);
        CHECK(std::vector<float>(all.end() - kWidth, all.end()) == std::vector<float>(kWidth, 0.0f));
        for (Size bucket : {Size{5}, Size{16}, Size{64}, Size{100}, Size{10'000}}) {
            CAPTURE(bucket);
            CHECK(summed(ranks, bucket).gradients == all);
            CHECK(summed(ranks, bucket, ParameterStore::Cut::over_ranks).gradients == all);
        }
    }
}

TEST_CASE(
    "sums begin before the backward pass ends: a bucket after the node that completes it, a quarter of what must wait for those before") {
    // A weight and its bias, of 64 and 16 places, a bucket; the last layer's never completes in the pass.
    Summed pairs = summed(2, 80);
    CHECK(pairs.buckets == kLayers);
    CHECK(pairs.begun == std::vector<std::size_t>{1, 2, 3, 4, 5});
    // Two layers a bucket: the last layer that the pass reaches waits with the one that it does not.
    CHECK(summed(2, 160).begun == std::vector<std::size_t>{0, 0, 1, 1, 2});
    // Five ready a node, four on their way at most: of what is ready a quarter, and what has room.
    Summed pieces = summed(2, 16);
    CHECK(pieces.buckets == kLayers * 5);
    CHECK(pieces.begun == std::vector<std::size_t>{4, 6, 9, 12, 16});
    CHECK(summed(2, 10'000).begun == std::vector<std::size_t>(5, 0));
}

TEST_CASE("one rank has nothing to sum, and its gradients are whole all the same") {
    Summed alone = summed(1, 80);
    CHECK(alone.buckets == 0);
    CHECK(alone.gradients == expected(1));
}
