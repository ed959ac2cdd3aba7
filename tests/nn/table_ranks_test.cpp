// Tables whose columns ranks share: steps over virtual ranks in the bits of one.
#include "engine/comm/shares.h"
#include "engine/memory/pool.h"
#include "engine/tensor/transfer.h"
#include "moe/methods/table.h"
#include "nn/evaluation.h"
#include "nn/init.h"
#include "nn/trainer.h"
#include "nn/transformer_xl.h"
#include "tests/support/random.h"

#include <map>

#include <doctest/doctest.h>

using namespace engine;

namespace {

constexpr Size kVocab = 11, kContext = 3;

struct Setting {
    const char* method;
    std::vector<std::pair<const char*, nn::OptionValue>> options;
    Dtype dtype = Dtype::f32;
    bool shares_values = false, touched = false;
    Device device = {};
    Size channels = 64;
    int sequences = 8;
};

struct Layout {
    int ranks = 1, tables = 1;
    nn::ParameterStore::Cut cut = nn::ParameterStore::Cut::none;
};

std::unique_ptr<nn::LanguageModel> model_of(const Setting& setting) {
    nn::TransformerXlOptions options{
        .vocab = kVocab, .channels = setting.channels, .layers = 2, .heads = 2, .head_size = 3, .dropout = 0.2f, .tied = true};
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

using Values = std::map<std::string, std::vector<double>>;

// What a rank holds of a parameter goes to its place in the whole; where another rank brought it before, the bits are the same.
void join(std::vector<double>& whole, const nn::ParameterStore::Place& place, const std::vector<double>& held) {
    Size all = place.parameter->shape.columns(), columns = place.shape.columns(), rows = place.parameter->shape.rows();
    if (whole.empty()) whole.assign(static_cast<std::size_t>(all * rows), std::nan(""));
    bool equal = true;
    for (std::size_t i = 0; i < held.size(); ++i) {
        Size row = static_cast<Size>(i) / columns, column = static_cast<Size>(i) % columns + place.column;
        double& value = whole[static_cast<std::size_t>(row * all + column)];
        equal = equal && (std::isnan(value) || value == held[i]);
        value = held[i];
    }
    CHECK_MESSAGE(equal, place.parameter->name);
}

struct Trained {
    Values weights;
    std::vector<double> losses;
};

std::vector<std::int32_t> tokens(std::uint64_t salt, int step, const Shards& shards) {
    std::vector<std::int32_t> ids;
    for (Size i = shards.first * kContext; i < (shards.first + shards.count) * kContext; ++i) {
        ids.push_back(
            static_cast<std::int32_t>(random_bits(salt, static_cast<std::uint64_t>(step), 5, static_cast<std::uint64_t>(i)) % kVocab));
    }
    return ids;
}

// Three steps on as many sequences as micro-shards.
Trained train(const Setting& setting, const Layout& layout) {
    Trained trained;
    run_virtual_ranks(layout.ranks, [&](Communicator& communicator) {
        Exec exec{.device = setting.device,
                  .pool = &pool_of(setting.device),
                  .communicator = &communicator,
                  .shards = share_of(communicator.rank(), layout.ranks, setting.sequences),
                  .sharing = {.ranks = layout.tables > 1 ? &communicator : nullptr, .tables = layout.tables}};
        std::unique_ptr<nn::LanguageModel> model = model_of(setting);
        nn::ParameterStore store(exec, *model, setting.dtype, 3, true, nn::ParameterStore::Values::initial, layout.cut);
        nn::OptimizerOptions options{.eps = 1e-3, .weight_decay = 0.1, .clip = 0.5, .touched_rows = setting.touched};
        nn::Trainer trainer(exec, *model, store, options, 1);
        nn::ModelMemory memory{.layers = {}, .limit = kContext};
        for (int step = 0; step < 3; ++step) {
            auto upload = [&](std::uint64_t salt) {
                return from_host(exec, {exec.shards.count, kContext}, Dtype::i32, tokens(salt, step, exec.shards));
            };
            trainer.begin(5, step, 1e-2);
            trainer.pass(upload(1), upload(2), memory, setting.sequences * kContext);
            trainer.finish();
            nn::StepReport report = trainer.read();
            if (communicator.rank() > 0) continue;
            trained.losses.push_back(report.loss);
            trained.losses.push_back(report.gradient_norm);
        }
        // Evaluation is nobody's share of a pass.
        exec.communicator = nullptr;
        exec.shards = {};
        nn::ModelMemory none{.layers = {}, .limit = kContext};
        auto upload = [&](std::uint64_t salt) { return from_host(exec, {2, kContext}, Dtype::i32, tokens(salt, 7, {.count = 2})); };
        double nats = nn::evaluate_window(exec, *model, upload(1), upload(2), none).nats;
        if (communicator.rank() == 0) trained.losses.push_back(nats);
        for (const nn::ParameterStore::Place& place : store.places()) {
            join(trained.weights[place.parameter->name], place, to_host<double>(exec, store.view(store.compute(), place)));
        }
    });
    return trained;
}

const Size one = 1, two = 2, three = 3, four = 4;
const std::string batch = "batch", layer = "layer";

}  // namespace

TEST_CASE("ranks that share the columns of tables train to the bits of one rank, with the optimizer's state whole and cut") {
    for (const Setting& setting : {
             Setting{"pkm", {{"sub_keys", four}, {"heads", two}, {"k", three}, {"query_size", four}, {"query_norm", batch}}},
             Setting{"pkm", {{"sub_keys", four}, {"heads", one}, {"k", one}, {"query_size", four}}, Dtype::f32, false, true},
             Setting{"pkm-relu", {{"sub_keys", three}, {"heads", one}, {"k", four}}, Dtype::f64},
             Setting{"memory-plus", {{"sub_keys", four}, {"heads", two}, {"k", two}, {"query_size", four}}, Dtype::bf16, true},
             Setting{
                 "pkm-ffn", {{"sub_keys", three}, {"heads", two}, {"k", two}, {"query_size", four}, {"query_norm", layer}}, Dtype::bf16},
             Setting{"peer", {{"sub_keys", three}, {"heads", two}, {"k", two}, {"query_size", four}, {"query_norm", batch}, {"glu", true}}},
         }) {
        CAPTURE(setting.method);
        Trained alone = train(setting, {});
        for (auto [ranks, tables] : {std::pair{2, 2}, {4, 2}, {4, 4}, {8, 4}}) {
            CAPTURE(ranks);
            CAPTURE(tables);
            for (auto cut : {nn::ParameterStore::Cut::none, nn::ParameterStore::Cut::over_ranks}) {
                Trained many = train(setting, {ranks, tables, cut});
                CHECK(many.losses == alone.losses);
                CHECK(many.weights == alone.weights);
            }
        }
    }
}

TEST_CASE("eight ranks may share the columns of a table that the CPU walks through, or cut its update between blocks of rows") {
    Setting setting{"peer", {{"sub_keys", Size{40}}, {"heads", two}, {"k", Size{70}}, {"query_size", four}}};
    setting.channels = 128;
    Trained alone = train(setting, {});
    for (int tables : {1, 2, 8}) {
        Trained many = train(setting, {8, tables, nn::ParameterStore::Cut::over_ranks});
        CHECK(many.losses == alone.losses);
        CHECK(many.weights == alone.weights);
    }
}

TEST_CASE("ranks that share a table may have unequal shares of the micro-shards") {
    Setting setting{"peer", {{"sub_keys", three}, {"heads", two}, {"k", two}, {"query_size", four}, {"glu", true}}};
    for (auto [sequences, ranks] : {std::pair{3, 2}, {6, 4}}) {
        setting.sequences = sequences;
        REQUIRE(groups_hold_subtrees(ranks, ranks, sequences));
        Trained alone = train(setting, {}), many = train(setting, {ranks, ranks});
        CHECK(many.losses == alone.losses);
        CHECK(many.weights == alone.weights);
    }
}

TEST_CASE("simt ranks share the columns of tables in the bits of one") {
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        Setting setting{"peer", {{"sub_keys", two}, {"heads", one}, {"k", two}, {"query_size", two}, {"glu", true}}, dtype};
        setting.device = {DeviceKind::simt, 0};
        Trained alone = train(setting, {});
        for (int tables : {2, 4}) {
            Trained many = train(setting, {4, tables});
            CHECK(many.losses == alone.losses);
            CHECK(many.weights == alone.weights);
        }
    }
}

namespace {

// A table alone, whose first row has a gradient in one column and whose second has none.
struct OneTable final : nn::Module {
    nn::Parameter table;
    OneTable() {
        add(table, "table", {2, 64}, nn::constant(0.5));
        table.is_table = true;
        table.split = nn::Split::by_column;
    }
};

std::vector<double> updated_table(int ranks) {
    std::vector<double> whole;
    run_virtual_ranks(ranks, [&](Communicator& communicator) {
        Exec exec{.communicator = &communicator, .sharing = {.ranks = &communicator, .tables = ranks}};
        OneTable module;
        nn::ParameterStore store(exec, module, Dtype::f32, 1, true);
        const nn::ParameterStore::Place& place = store.places()[0];
        nn::Optimizer optimizer(exec, store, {.weight_decay = 0.1, .touched_rows = true});
        std::vector<double> gradient(static_cast<std::size_t>(place.shape.elements()));
        Size touched = 40 - place.column;
        if (touched >= 0 && touched < place.shape[1]) gradient[static_cast<std::size_t>(touched)] = 1;
        copy_from_host(exec, store.view(store.gradient(), place), gradient);
        optimizer.begin(exec, 1, 0, 0.1);
        optimizer.update(exec, store);
        join(whole, place, to_host<double>(exec, store.view(store.compute(), place)));
    });
    return whole;
}

}  // namespace

TEST_CASE("a row is touched on every rank that has columns of it where one of them has a gradient") {
    std::vector<double> one = updated_table(1);
    CHECK(one[0] < 0.5);
    CHECK(one[64] == 0.5);
    for (int ranks : {2, 4}) CHECK(updated_table(ranks) == one);
}

TEST_CASE("columns that ranks cannot share evenly are refused with the nearest width") {
    Setting setting{"pkm", {{"sub_keys", four}, {"heads", one}, {"k", one}, {"query_size", four}}};
    setting.channels = 72;
    CHECK_THROWS_WITH(train(setting, {2, 2}),
                      "[parallel] 2 ranks cannot share the columns of blocks.0.ffn.values: got 72, expected a multiple of 32; hint: the "
                      "nearest model.channels is 64");
}
