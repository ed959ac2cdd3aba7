// Steps over virtual ranks: any number of them, the optimizer's state whole or cut.
#include "engine/comm/shares.h"
#include "engine/memory/pool.h"
#include "engine/tensor/transfer.h"
#include "moe/methods/table.h"
#include "nn/trainer.h"
#include "nn/transformer_xl.h"
#include "tests/support/random.h"

#include <doctest/doctest.h>

using namespace engine;

namespace {

constexpr Size kVocab = 11, kContext = 5, kSequences = 8;

struct Setting {
    const char* method;
    std::vector<std::pair<const char*, nn::OptionValue>> options;
    bool tied = false, touched = false;
    Dtype dtype = Dtype::f32;
    double decay = 0.1;
};

std::unique_ptr<nn::LanguageModel> model_of(const Setting& setting) {
    nn::TransformerXlOptions options{
        .vocab = kVocab, .channels = 6, .layers = 2, .heads = 2, .head_size = 3, .dropout = 0.2f, .tied = setting.tied};
    return std::make_unique<nn::TransformerXl>(options, [&setting](const nn::LayerPlace& place) {
        nn::OptionTable table("ffn");
        for (const auto& [name, value] : setting.options) table.set(name, value);
        return moe::make_feed_forward(moe::method_named(setting.method), table, place);
    });
}

// What a rank holds, told to all.
std::vector<double> shared_by(Communicator& communicator, int rank, const std::vector<double>& own) {
    Exec exec{.communicator = &communicator};
    Size count = static_cast<Size>(own.size());
    Tensor all(exec, {communicator.size(), count}, Dtype::f64);
    communicator.all_gather(exec, all, from_host(exec, {1, count}, Dtype::f64, own));
    return to_host<double>(exec, all.row_range(rank, 1));
}

// Three steps on 8 sequences in 8 micro-shards.
struct Trained {
    std::vector<std::vector<double>> weights;  // of every rank
    std::vector<double> losses;
};

// `sharers`: ranks that divide the experts.
Trained train(const Setting& setting, int ranks, nn::ParameterStore::Cut cut, nn::Reduction reduction = nn::Reduction::exact,
              int sharers = 1) {
    Trained trained{.weights = std::vector<std::vector<double>>(static_cast<std::size_t>(ranks)), .losses = {}};
    run_virtual_ranks(ranks, [&](Communicator& communicator) {
        Exec exec{.communicator = &communicator, .shards = share_of(communicator.rank(), ranks, kSequences)};
        exec.sharing = {.ranks = &communicator, .experts = sharers};
        std::unique_ptr<nn::LanguageModel> model = model_of(setting);
        nn::ParameterStore store(exec, *model, setting.dtype, 3, true, nn::ParameterStore::Values::initial, cut);
        nn::OptimizerOptions options{.eps = 1e-3, .weight_decay = setting.decay, .clip = 0.5, .touched_rows = setting.touched};
        nn::Trainer trainer(exec, *model, store, options, 1, reduction);
        nn::ModelMemory memory{.layers = {}, .limit = kContext};
        Size first = exec.shards.first, own = exec.shards.count;
        for (int step = 0; step < 3; ++step) {
            std::vector<std::int32_t> ids, targets;
            for (Size i = first * kContext; i < (first + own) * kContext; ++i) {
                ids.push_back(
                    static_cast<std::int32_t>(random_bits(1, static_cast<std::uint64_t>(step), 5, static_cast<std::uint64_t>(i)) % kVocab));
                targets.push_back(
                    static_cast<std::int32_t>(random_bits(2, static_cast<std::uint64_t>(step), 5, static_cast<std::uint64_t>(i)) % kVocab));
            }
            trainer.begin(5, step, 1e-2);
            trainer.pass(from_host(exec, {own, kContext}, Dtype::i32, ids), from_host(exec, {own, kContext}, Dtype::i32, targets), memory,
                         kSequences * kContext);
            trainer.finish();
            nn::StepReport report = trainer.read();
            if (communicator.rank() > 0) continue;
            trained.losses.push_back(report.loss);
            trained.losses.push_back(report.gradient_norm);
            for (const auto& [name, value] : report.balance) trained.losses.push_back(value);
        }
        std::vector<double>& weights = trained.weights[static_cast<std::size_t>(communicator.rank())];
        for (const nn::ParameterStore::Place& place : store.places()) {
            std::vector<double> held = to_host<double>(exec, store.view(store.compute(), place)),
                                all(static_cast<std::size_t>(place.parameter->shape.elements()));
            std::copy(held.begin(), held.end(), all.begin() + place.first_value());
            // Experts of the others, from the first group.
            for (int r = 0; r < sharers && place.sharers > 1; ++r) {
                std::vector<double> theirs = shared_by(communicator, r, held);
                std::copy(theirs.begin(), theirs.end(), all.begin() + static_cast<std::ptrdiff_t>(held.size()) * r);
            }
            weights.insert(weights.end(), all.begin(), all.end());
        }
        for (const nn::State* state : store.states()) {
            if (!is_floating(state->dtype)) continue;
            std::vector<double> values = to_host<double>(exec, state->value);
            weights.insert(weights.end(), values.begin(), values.end());
        }
    });
    return trained;
}

}  // namespace

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
        Trained alone = train(setting, 1, nn::ParameterStore::Cut::none);
        for (int ranks : {2, 3, 5, 8}) {
            CAPTURE(ranks);
            for (auto cut : {nn::ParameterStore::Cut::none, nn::ParameterStore::Cut::over_ranks}) {
                Trained many = train(setting, ranks, cut);
                CHECK(many.losses == alone.losses);
                for (const auto& weights : many.weights) CHECK(weights == alone.weights[0]);
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
         }) {
        CAPTURE(setting.method);
        Trained alone = train(setting, 1, nn::ParameterStore::Cut::none);
        for (auto [ranks, sharers] : {std::pair{2, 2}, std::pair{4, 2}, std::pair{4, 4}, std::pair{8, 2}, std::pair{8, 4}}) {
            CAPTURE(ranks);
            CAPTURE(sharers);
            for (nn::ParameterStore::Cut cut : {nn::ParameterStore::Cut::none, nn::ParameterStore::Cut::over_ranks}) {
                Trained many = train(setting, ranks, cut, nn::Reduction::exact, sharers);
                CHECK(many.losses == alone.losses);
                for (const std::vector<double>& weights : many.weights) CHECK(weights == alone.weights[0]);
            }
        }
    }
}

TEST_CASE("the fast reduction trains all ranks alike, and as the exact one within rounding") {
    Setting setting{"sigma-moe", {{"n_experts", Size{4}}, {"expert_size", Size{3}}, {"k", Size{2}}}, false, false, Dtype::f64};
    Trained alone = train(setting, 1, nn::ParameterStore::Cut::none);
    for (int ranks : {2, 5, 8}) {
        Trained many = train(setting, ranks, nn::ParameterStore::Cut::over_ranks, nn::Reduction::fast);
        for (const auto& weights : many.weights) CHECK(weights == many.weights[0]);
        // Sums of 8 terms in another order, three steps, in double; eps keeps Adam from blowing up rounding where a gradient is near 0.
        CHECK(tests::relative_error(many.weights[0], alone.weights[0]) < 1e-12);
    }
}
