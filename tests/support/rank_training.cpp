#include "tests/support/rank_training.h"

#include "engine/base/philox.h"
#include "engine/comm/shares.h"
#include "engine/memory/pool.h"
#include "engine/tensor/transfer.h"
#include "moe/methods/table.h"
#include "nn/evaluation.h"
#include "nn/transformer_xl.h"

#include <cmath>

#include <doctest/doctest.h>

namespace tests {

using namespace engine;

namespace {

constexpr Size kVocab = 11, kContext = 3;

std::unique_ptr<nn::LanguageModel> model_of(const RankSetting& setting) {
    nn::TransformerXlOptions options{
        .vocab = kVocab, .channels = setting.channels, .layers = 2, .heads = 2, .head_size = 3, .dropout = 0.2f, .tied = setting.tied};
    nn::Parameter* owner = nullptr;
    return std::make_unique<nn::TransformerXl>(options, [&](nn::LayerPlace place) {
        nn::OptionTable table("ffn");
        for (const auto& [name, value] : setting.options) table.set(name, value);
        place.values = owner;
        auto layer = moe::make_feed_forward(moe::method_named(setting.method), table, place);
        if (setting.shares_values && owner == nullptr) owner = moe::value_table(*layer);
        return layer;
    });
}

Tensor tokens(const Exec& exec, std::uint64_t salt, int step, const Shards& shards) {
    std::vector<std::int32_t> ids;
    for (Size i = shards.first * kContext; i < (shards.first + shards.count) * kContext; ++i) {
        ids.push_back(
            static_cast<std::int32_t>(random_bits(salt, static_cast<std::uint64_t>(step), 5, static_cast<std::uint64_t>(i)) % kVocab));
    }
    return from_host(exec, {shards.count, kContext}, Dtype::i32, ids);
}

}  // namespace

void join_part(std::vector<double>& whole, const nn::ParameterStore::Place& place, const std::vector<double>& held) {
    Size all = place.parameter->shape.columns(), columns = place.shape.columns(), rows = place.parameter->shape.rows();
    if (whole.empty()) whole.assign(static_cast<std::size_t>(all * rows), std::nan(""));
    Size first_row = place.first * (rows / place.parameter->shape[0]);
    bool equal = true;
    for (std::size_t i = 0; i < held.size(); ++i) {
        Size row = first_row + static_cast<Size>(i) / columns, column = static_cast<Size>(i) % columns + place.column;
        double& value = whole[static_cast<std::size_t>(row * all + column)];
        equal = equal && (std::isnan(value) || value == held[i]);
        value = held[i];
    }
    CHECK_MESSAGE(equal, place.parameter->name);
}

RankTraining train_over_ranks(const RankSetting& setting, const RankLayout& layout) {
    RankTraining trained;
    run_virtual_ranks(layout.ranks, [&](Communicator& communicator) {
        Exec exec{.device = setting.device,
                  .pool = &pool_of(setting.device),
                  .communicator = &communicator,
                  .shards = share_of(communicator.rank(), layout.ranks, setting.sequences)};
        if (layout.experts > 1 || layout.tables > 1) {
            exec.sharing = {.ranks = &communicator, .experts = layout.experts, .tables = layout.tables};
        }
        std::unique_ptr<nn::LanguageModel> model = model_of(setting);
        nn::ParameterStore store(exec, *model, setting.dtype, 3, true, nn::ParameterStore::Values::initial, layout.cut);
        nn::OptimizerOptions options{.eps = 1e-3, .weight_decay = setting.decay, .clip = 0.5, .touched_rows = setting.touched};
        nn::Trainer trainer(exec, *model, store, options, 1, layout.reduction);
        nn::ModelMemory memory{.layers = {}, .limit = kContext};
        for (int step = 0; step < 3; ++step) {
            trainer.begin(5, step, 1e-2);
            trainer.pass(tokens(exec, 1, step, exec.shards), tokens(exec, 2, step, exec.shards), memory, setting.sequences * kContext);
            trainer.finish();
            nn::StepReport report = trainer.read();
            if (communicator.rank() > 0) continue;
            trained.losses.push_back(report.loss);
            trained.losses.push_back(report.gradient_norm);
            for (const auto& [name, value] : report.balance) trained.losses.push_back(value);
        }
        exec.communicator = nullptr;
        exec.shards = {};
        nn::ModelMemory none{.layers = {}, .limit = kContext};
        Shards rows{.count = 2};
        double nats = nn::evaluate_window(exec, *model, tokens(exec, 1, 7, rows), tokens(exec, 2, 7, rows), none).nats;
        if (communicator.rank() == 0) trained.losses.push_back(nats);
        for (const nn::ParameterStore::Place& place : store.places()) {
            join_part(trained.weights[place.parameter->name], place, to_host<double>(exec, store.view(store.compute(), place)));
        }
        for (const nn::State* state : store.states()) {
            if (!is_floating(state->dtype)) continue;
            std::vector<double> values = to_host<double>(exec, state->value), &known = trained.weights[state->name];
            CHECK_MESSAGE((known.empty() || known == values), state->name);
            known = values;
        }
    });
    return trained;
}

}  // namespace tests
