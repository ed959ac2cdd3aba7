#include "moe/ops/weighted_rows.h"

#include "engine/autograd/gradient_check.h"
#include "engine/comm/shares.h"
#include "engine/comm/traffic.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;
using tests::random_values;

namespace {

Tensor some_ids(Exec& exec, Size N, Size J, Size M) {
    std::vector<std::int32_t> ids;
    for (double value : random_values(N * J, 9)) ids.push_back(static_cast<std::int32_t>((value + 1) / 2 * static_cast<double>(M)));
    return from_host(exec, {N, J}, Dtype::i32, ids);
}

}  // namespace

TEST_CASE("dots and sums of chosen rows have the gradients of central differences, in one and in several micro-shards") {
    Exec exec;
    for (int shards : {1, 3}) {
        exec.shards = {0, shards, shards};
        Var x(from_host(exec, {6, 5}, Dtype::f64, random_values(30, 1)), true),
            keys(from_host(exec, {7, 5}, Dtype::f64, random_values(35, 2)), true),
            values(from_host(exec, {7, 5}, Dtype::f64, random_values(35, 3)), true);
        Tensor ids = some_ids(exec, 6, 4, 7);
        CHECK(gradient_error(exec, {x, keys, values}, [&](Tape& tape) {
                  moe::ops::ChosenRows rows = moe::ops::chosen_rows(exec, ids, 7, true);
                  return moe::ops::row_combine(tape, moe::ops::row_dots(tape, x, keys, rows), values, rows, {6, 5});
              }) < 1e-7);
    }
}

TEST_CASE("weights of a table that is not trained get their gradient all the same") {
    Exec exec;
    Var w(from_host(exec, {6, 4}, Dtype::f64, random_values(24, 1)), true),
        table(from_host(exec, {7, 5}, Dtype::f64, random_values(35, 3)));
    Tensor ids = some_ids(exec, 6, 4, 7);
    CHECK(gradient_error(exec, {w}, [&](Tape& tape) {
              return moe::ops::row_combine(tape, w, table, moe::ops::chosen_rows(exec, ids, 7, true), {2, 3, 5});
          }) < 1e-7);
}

TEST_CASE("a second layer's share of a table's gradient is added to the first's") {
    Exec exec;
    Tensor ids = some_ids(exec, 6, 4, 7), grad = zeros(exec, {7, 5}, Dtype::f32), twice = zeros(exec, {7, 5}, Dtype::f32);
    auto run = [&](const Tensor& into, int times) {
        Var table = Var::parameter(from_host(exec, {7, 5}, Dtype::f32, random_values(35, 3)), into);
        Tape tape(exec);
        for (int i = 0; i < times; ++i) {
            Var y = moe::ops::row_combine(tape, Var(from_host(exec, {6, 4}, Dtype::f32, random_values(24, 1))), table,
                                          moe::ops::chosen_rows(exec, ids, 7, true), {2, 3, 5});
            y.give_grad(exec, from_host(exec, {2, 3, 5}, Dtype::f32, random_values(30, 2)));
        }
        tape.backward();
    };
    run(grad, 1), run(twice, 2);
    auto once = to_host<float>(exec, grad), both = to_host<float>(exec, twice);
    for (std::size_t i = 0; i < once.size(); ++i) CHECK(both[i] == once[i] + once[i]);
}

TEST_CASE("choices that do not fit the table or the tokens are refused") {
    Exec exec;
    Tape tape(exec);
    Var x(zeros(exec, {6, 5}, Dtype::f32)), table(zeros(exec, {8, 5}, Dtype::f32));
    CHECK_THROWS_WITH(moe::ops::row_dots(tape, x, table, moe::ops::chosen_rows(exec, some_ids(exec, 6, 4, 7), 7, true)),
                      "[weighted_rows] table does not fit: got (8, 5), expected (7, C)");
}

TEST_CASE("two tables that look at one x take its columns from the other ranks once; another x is taken anew") {
    const Size N = 4, J = 3, M = 7, C = 32;
    run_virtual_ranks(2, [&](Communicator& communicator) {
        CountedRanks counted(communicator);
        Exec exec{.communicator = &counted, .shards = share_of(communicator.rank(), 2, 2), .sharing = {.ranks = &counted, .tables = 2}};
        auto values = [&](Size rows, Size columns, std::uint64_t salt) {
            return from_host(exec, {rows, columns}, Dtype::f32, random_values(rows * columns, salt));
        };
        auto half = [&](std::uint64_t salt) {
            Tensor all = values(M, C, salt), own(exec, {M, C / 2}, Dtype::f32);
            copy(exec, own, all.columns(communicator.rank() * (C / 2), C / 2));
            return Var(own);
        };
        Tape tape(exec, false);
        moe::ops::ChosenRows rows = moe::ops::chosen_rows(exec, some_ids(exec, N, J, M), M, false, 2);
        Exec alone{};
        moe::ops::ChosenRows alone_rows = moe::ops::chosen_rows(alone, some_ids(alone, N, J, M), M, false);
        Tape alone_tape(alone, false);
        Var x(values(N, C, 1)), other(values(N, C, 2));
        auto calls_of = [&](const Var& of, std::uint64_t table) {
            Size before = counted.traffic().exchange_calls;
            std::vector<double> dots = to_host<double>(exec, moe::ops::row_dots(tape, of, half(table), rows).value());
            Size calls = counted.traffic().exchange_calls - before;
            CHECK(dots == to_host<double>(alone, moe::ops::row_dots(alone_tape, of, Var(values(M, C, table)), alone_rows).value()));
            return calls;
        };
        CHECK(calls_of(x, 3) == 2);
        CHECK(calls_of(x, 4) == 1);
        CHECK(calls_of(other, 4) == 2);
        CHECK(calls_of(x, 3) == 2);
    });
}
