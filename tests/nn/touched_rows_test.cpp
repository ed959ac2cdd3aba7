// AdamW on touched rows where the cut of the optimizer's state goes through a row: gradients written by hand.
#include "engine/comm/shares.h"
#include "engine/comm/tree_sums.h"
#include "engine/tensor/transfer.h"
#include "nn/init.h"
#include "nn/optimizer.h"
#include "tests/support/rank_training.h"

#include <cmath>

#include <doctest/doctest.h>

using namespace engine;

namespace {

// 8,192 elements with padding: two ranks end at 4,096, in row 170 between columns 15 and 16, where a block of the norm ends, too; four
// ranks also in row 85 between columns 7 and 8.
constexpr Size kRows = 341, kColumns = 24;

struct OneTable final : nn::Module {
    nn::Parameter table;
    OneTable() {
        add(table, "table", {kRows, kColumns}, nn::constant(0.5));
        table.is_table = true;
    }
};

// After one step with a gradient of 1 in `column` of rows 85 and 170 alone, which comes from the rank that updates that element.
std::vector<double> updated_table(int ranks, Size column, Dtype dtype) {
    std::vector<double> whole;
    run_virtual_ranks(ranks, [&](Communicator& communicator) {
        Exec exec{.communicator = &communicator, .shards = share_of(communicator.rank(), ranks, ranks)};
        OneTable module;
        nn::ParameterStore store(exec, module, dtype, 1, true, nn::ParameterStore::Values::initial, nn::ParameterStore::Cut::over_ranks);
        const nn::ParameterStore::Place& place = store.places()[0];
        nn::Optimizer optimizer(exec, store, {.weight_decay = 0.1, .touched_rows = true});
        std::vector<double> gradient(static_cast<std::size_t>(kRows * kColumns));
        for (Size row : {85, 170}) {
            Size element = row * kColumns + column;
            if (store.updated({element, 1}).elements == 1) gradient[static_cast<std::size_t>(element)] = 1;
        }
        copy_from_host(exec, store.view(store.gradient(), place), gradient);
        std::vector<Range> needed;
        for (const std::vector<Range>& of_rank : optimizer.needed_gradients(store)) needed.push_back(of_rank[0]);
        TreeSums sums(exec, store.pass_gradient().dtype(), store.pass_gradient().size(0), 1);
        if (ranks > 1) sums.add(communicator, store.pass_gradient(), needed);
        sums.finish();
        optimizer.begin(exec, 1, 0, 0.1);
        optimizer.update(exec, store);
        CHECK(optimizer.gradient_norm(exec) == doctest::Approx(std::sqrt(2)));
        tests::join_part(whole, place, to_host<double>(exec, store.view(store.compute(), place)));
    });
    return whole;
}

}  // namespace

TEST_CASE(
    "a row that a cut goes through is touched for every rank that updates some of it, also where their own columns have no gradient") {
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        for (Size column : {3, 20}) {
            CAPTURE(column);
            std::vector<double> one = updated_table(1, column, dtype);
            for (Size row = 0; row < kRows; ++row) {
                for (Size c = 0; c < kColumns; ++c) {
                    double value = one[static_cast<std::size_t>(row * kColumns + c)];
                    bool touched = row == 85 || row == 170;
                    // The step is 0.1 where there is a gradient, and 0.1·0.1·0.5 of decay in all of the row; bf16 rounds by less than
                    // 0.001.
                    CHECK(value == doctest::Approx(touched ? (c == column ? 0.395 : 0.495) : 0.5).epsilon(0.002));
                }
            }
            for (int ranks : {2, 3, 4, 8}) {
                CAPTURE(ranks);
                CHECK(updated_table(ranks, column, dtype) == one);
            }
        }
    }
}
