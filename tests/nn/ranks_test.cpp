// Steps over virtual ranks: any number of them, the optimizer's state whole or cut.
#include "tests/support/random.h"
#include "tests/support/rank_training.h"

#include <doctest/doctest.h>

using namespace engine;
using Cut = nn::ParameterStore::Cut;
using Setting = tests::RankSetting;
using tests::RankTraining;
using tests::train_over_ranks;

TEST_CASE("any number of ranks up to the micro-shards trains to equal bits on every rank, with the optimizer's state whole and cut") {
    const Size one = 1, two = 2, three = 3, four = 4;
    for (const Setting& setting : {
             Setting{"dense", {{"hidden", Size{7}}, {"bias", true}}, true},
             Setting{"sigma-moe",
                     {{"n_experts", four}, {"expert_size", three}, {"k", two}, {"entropy_weight", 0.1}, {"expert_dropout", 0.2}},
                     true,
                     false,
                     Dtype::bf16},
             Setting{"s-base", {{"n_experts", four}, {"expert_size", three}, {"k", two}}},
             Setting{"deepseek",
                     {{"n_experts", four}, {"expert_size", three}, {"k", two}, {"n_shared", one}, {"bias_rate", 0.01}},
                     false,
                     false,
                     Dtype::f64},
             Setting{"pkm",
                     {{"sub_keys", four}, {"heads", two}, {"k", three}, {"query_size", four}, {"query_norm", std::string("batch")}},
                     false,
                     true},
             Setting{"peer",
                     {{"sub_keys", three}, {"heads", two}, {"k", two}, {"query_size", four}, {"query_norm", std::string("batch")}},
                     false,
                     true,
                     Dtype::bf16},
         }) {
        CAPTURE(setting.method);
        RankTraining alone = train_over_ranks(setting, {});
        for (int ranks : {2, 3, 5, 8}) {
            CAPTURE(ranks);
            for (Cut cut : {Cut::none, Cut::over_ranks}) {
                RankTraining many = train_over_ranks(setting, {.ranks = ranks, .cut = cut});
                CHECK(many.losses == alone.losses);
                CHECK(many.weights == alone.weights);
            }
        }
    }
}

TEST_CASE("experts divided among ranks train to the bits of one rank that has them all") {
    const Size one = 1, two = 2, three = 3, four = 4;
    for (const Setting& setting : {
             Setting{"sigma-moe",
                     {{"n_experts", four},
                      {"expert_size", three},
                      {"k", two},
                      {"entropy_weight", 0.1},
                      {"expert_dropout", 0.2},
                      {"hidden_dropout", 0.3}},
                     true,
                     false,
                     Dtype::f32,
                     0},
             Setting{"sigma-moe", {{"n_experts", four}, {"expert_size", three}, {"k", four}, {"glu", true}}, false, false, Dtype::bf16},
             Setting{"switch", {{"n_experts", four}, {"expert_size", three}, {"capacity_factor", 0.6}}},
             Setting{"deepseek",
                     {{"n_experts", four}, {"expert_size", three}, {"k", two}, {"n_shared", one}, {"bias_rate", 0.01}},
                     false,
                     false,
                     Dtype::f64},
             Setting{"expert-choice", {{"n_experts", four}, {"expert_size", three}, {"capacity_factor", 1.5}}},
             Setting{"avg-k", {{"n_experts", four}, {"expert_size", three}, {"k", two}}},
             Setting{"avg-k",
                     {{"n_experts", four}, {"expert_size", three}, {"k", two}, {"gate", std::string("sigmoid")}},
                     true,
                     false,
                     Dtype::bf16},
             Setting{"avg-k",
                     {{"n_experts", four}, {"expert_size", three}, {"k", two}, {"gate", std::string("softmax-all")}},
                     false,
                     false,
                     Dtype::f64},
             Setting{"vanilla-m",
                     {{"n_experts", four},
                      {"expert_size", three},
                      {"k", two},
                      {"glu", true},
                      {"on", std::string("post")},
                      {"reduce", std::string("mean-abs")}}},
             Setting{"vanilla-m", {{"n_experts", four}, {"expert_size", three}, {"k", one}}, true, false, Dtype::bf16},
         }) {
        CAPTURE(setting.method);
        RankTraining alone = train_over_ranks(setting, {});
        for (auto [ranks, sharers] : {std::pair{2, 2}, std::pair{4, 2}, std::pair{4, 4}, std::pair{8, 2}, std::pair{8, 4}}) {
            CAPTURE(ranks);
            CAPTURE(sharers);
            for (Cut cut : {Cut::none, Cut::over_ranks}) {
                RankTraining many = train_over_ranks(setting, {.ranks = ranks, .experts = sharers, .cut = cut});
                CHECK(many.losses == alone.losses);
                CHECK(many.weights == alone.weights);
            }
        }
    }
}

TEST_CASE("the fast reduction trains all ranks alike, and as the exact one within rounding") {
    Setting setting{"sigma-moe", {{"n_experts", Size{4}}, {"expert_size", Size{3}}, {"k", Size{2}}}, false, false, Dtype::f64};
    RankTraining alone = train_over_ranks(setting, {});
    for (int ranks : {2, 5, 8}) {
        RankTraining many = train_over_ranks(setting, {.ranks = ranks, .cut = Cut::over_ranks, .reduction = nn::Reduction::fast});
        // Sums of 8 terms in another order, three steps, in double; eps keeps Adam from blowing up rounding where a gradient is near 0.
        for (const auto& [name, values] : alone.weights) CHECK(tests::relative_error(many.weights.at(name), values) < 1e-12);
    }
}
