// Tables whose columns ranks share: steps over virtual ranks in the bits of one.
#include "engine/comm/shares.h"
#include "engine/tensor/transfer.h"
#include "nn/init.h"
#include "nn/optimizer.h"
#include "tests/support/rank_training.h"

#include <doctest/doctest.h>

using namespace engine;
using Cut = nn::ParameterStore::Cut;
using Setting = tests::RankSetting;
using tests::RankTraining;
using tests::train_over_ranks;

namespace {

const Size one = 1, two = 2, three = 3, four = 4;
const std::string batch = "batch", layer = "layer";

// Columns that ranks can share; the embedding is the head.
void widen(Setting& setting, Size channels = 64) {
    setting.channels = channels;
    setting.tied = true;
}

}  // namespace

TEST_CASE("ranks that share the columns of tables train to the bits of one rank, with the optimizer's state whole and cut") {
    for (Setting setting : {
             Setting{"pkm", {{"sub_keys", four}, {"heads", two}, {"k", three}, {"query_size", four}, {"query_norm", batch}}},
             Setting{.method = "pkm", .options = {{"sub_keys", four}, {"heads", one}, {"k", one}, {"query_size", four}}, .touched = true},
             Setting{.method = "pkm-relu", .options = {{"sub_keys", three}, {"heads", one}, {"k", four}}, .dtype = Dtype::f64},
             Setting{.method = "memory-plus",
             .options = {{"sub_keys", four}, {"heads", two}, {"k", two}, {"query_size", four}},
             .dtype = Dtype::bf16,
             .shares_values = true},
             Setting{.method = "pkm-ffn",
             .options = {{"sub_keys", three}, {"heads", two}, {"k", two}, {"query_size", four}, {"query_norm", layer}},
             .dtype = Dtype::bf16},
             Setting{"peer", {{"sub_keys", three}, {"heads", two}, {"k", two}, {"query_size", four}, {"query_norm", batch}, {"glu", true}}},
         }) {
        CAPTURE(setting.method);
        widen(setting);
        RankTraining alone = train_over_ranks(setting, {});
        for (auto [ranks, tables] : {std::pair{2, 2}, {4, 2}, {4, 4}, {8, 4}}) {
            CAPTURE(ranks);
            CAPTURE(tables);
            for (Cut cut : {Cut::none, Cut::over_ranks}) {
                RankTraining many = train_over_ranks(setting, {.ranks = ranks, .tables = tables, .cut = cut});
                CHECK(many.losses == alone.losses);
                CHECK(many.weights == alone.weights);
            }
        }
    }
}

TEST_CASE("eight ranks may share the columns of a table that the CPU walks through, or cut its update between blocks of rows") {
    Setting setting{"peer", {{"sub_keys", Size{40}}, {"heads", two}, {"k", Size{70}}, {"query_size", four}}};
    widen(setting, 128);
    RankTraining alone = train_over_ranks(setting, {});
    for (int tables : {1, 2, 8}) {
        RankTraining many = train_over_ranks(setting, {.ranks = 8, .tables = tables, .cut = Cut::over_ranks});
        CHECK(many.losses == alone.losses);
        CHECK(many.weights == alone.weights);
    }
}

TEST_CASE("ranks that share a table may have unequal shares of the micro-shards") {
    Setting setting{"peer", {{"sub_keys", three}, {"heads", two}, {"k", two}, {"query_size", four}, {"glu", true}}};
    widen(setting);
    for (auto [sequences, ranks] : {std::pair{3, 2}, {6, 4}}) {
        setting.sequences = sequences;
        REQUIRE(groups_hold_subtrees(ranks, ranks, sequences));
        RankTraining alone = train_over_ranks(setting, {}), many = train_over_ranks(setting, {.ranks = ranks, .tables = ranks});
        CHECK(many.losses == alone.losses);
        CHECK(many.weights == alone.weights);
    }
}

TEST_CASE("simt ranks share the columns of tables in the bits of one") {
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        Setting setting{"peer", {{"sub_keys", two}, {"heads", one}, {"k", two}, {"query_size", two}, {"glu", true}}};
        setting.dtype = dtype;
        widen(setting);
        setting.device = {DeviceKind::simt, 0};
        RankTraining alone = train_over_ranks(setting, {});
        for (int tables : {2, 4}) {
            RankTraining many = train_over_ranks(setting, {.ranks = 4, .tables = tables});
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
        tests::join_part(whole, place, to_host<double>(exec, store.view(store.compute(), place)));
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
    widen(setting, 72);
    CHECK_THROWS_WITH(train_over_ranks(setting, {.ranks = 2, .tables = 2}),
                      "[parallel] 2 ranks cannot share the columns of blocks.0.ffn.values: got 72, expected a multiple of 32; hint: the "
                      "nearest model.channels is 64");
}
