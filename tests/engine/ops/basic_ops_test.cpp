#include "engine/autograd/gradient_check.h"
#include "engine/ops/concat_memory.h"
#include "engine/ops/cross_entropy.h"
#include "engine/ops/dropout.h"
#include "engine/ops/embedding.h"
#include "engine/ops/slice_rows.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

#include <cmath>

using namespace engine;
using tests::random_values;

TEST_CASE_DEVICES("cross_entropy gives the loss and the gradient of its formula; unscored rows count for nothing") {
    constexpr Size N = 9, V = 131;
    auto z = random_values(N * V, 1);
    for (double& value : z) value *= 20;
    std::vector<std::int32_t> targets = {5, 0, 130, -1, 7, 7, 64, -1, 3};
    Var logits(from_host(exec, {N, V}, Dtype::f32, z), true);
    Tape tape(exec);
    Tensor sums = ops::cross_entropy(tape, logits, from_host(exec, {N}, Dtype::i32, targets), 0.25);
    double loss = 0;
    std::vector<double> gradient(N * V);
    for (std::size_t n = 0; n < N; ++n) {
        double sum = 0;
        for (std::size_t v = 0; v < V; ++v) sum += std::exp(static_cast<double>(static_cast<float>(z[n * V + v])));
        if (targets[n] < 0) continue;
        loss += std::log(sum) - static_cast<float>(z[n * V + static_cast<std::size_t>(targets[n])]);
        for (std::size_t v = 0; v < V; ++v) {
            gradient[n * V + v] = 0.25 * (std::exp(static_cast<double>(static_cast<float>(z[n * V + v]))) / sum -
                                          (static_cast<std::size_t>(targets[n]) == v));
        }
    }
    // Logits up to 20: lse to 20·2⁻²⁴, e^x to 3 ulp; the sum of 7 losses of about 20.
    CHECK(to_host<double>(exec, sums)[0] == doctest::Approx(loss).epsilon(1e-6));
    tape.backward();
    CHECK(tests::relative_error(to_host<double>(exec, logits.grad()), gradient) < 5e-6);
}

TEST_CASE("cross_entropy sums each micro-shard by itself") {
    Exec exec;
    Tensor z = from_host(exec, {8, 5}, Dtype::f32, random_values(40, 1)),
           targets = from_host(exec, {8}, Dtype::i32, std::vector<std::int32_t>(8, 2));
    Tape tape(exec, false);
    exec.shards = {0, 4, 4};
    auto whole = to_host<float>(exec, ops::cross_entropy(tape, Var(z), targets, 1));
    exec.shards = {};
    for (Size s = 0; s < 4; ++s) {
        Tensor part = from_host(exec, {2}, Dtype::i32, std::vector<std::int32_t>(2, 2));
        CHECK(to_host<float>(exec, ops::cross_entropy(tape, Var(z.row_range(2 * s, 2)), part, 1))[0] == whole[static_cast<std::size_t>(s)]);
    }
}

TEST_CASE_DEVICES("embedding gathers rows, and its gradient sums equal ids in order") {
    std::vector<std::int32_t> ids = {3, 0, 3, 3, 1, 0};
    auto table = random_values(5 * 11, 1), dy = random_values(6 * 11, 2);
    Var w = Var::parameter(from_host(exec, {5, 11}, Dtype::f32, table), zeros(exec, {5, 11}, Dtype::f32));
    Tape tape(exec);
    Var y = ops::embedding(tape, w, from_host(exec, {2, 3}, Dtype::i32, ids));
    auto got = to_host<float>(exec, y.value());
    std::vector<float> gradient(5 * 11, 0.0f);
    for (std::size_t n = 0; n < 6; ++n) {
        for (std::size_t c = 0; c < 11; ++c) {
            CHECK(got[n * 11 + c] == static_cast<float>(table[static_cast<std::size_t>(ids[n]) * 11 + c]));
            gradient[static_cast<std::size_t>(ids[n]) * 11 + c] += static_cast<float>(dy[n * 11 + c]);
        }
    }
    y.give_grad(exec, from_host(exec, {2, 3, 11}, Dtype::f32, dy));
    tape.backward();
    CHECK(to_host<float>(exec, w.grad()) == gradient);
}

TEST_CASE("embedding refuses an id outside the vocabulary") {
    Exec exec;
    Tape tape(exec);
    Var w(zeros(exec, {5, 3}, Dtype::f32));
    CHECK_THROWS_WITH(ops::embedding(tape, w, from_host(exec, {1, 2}, Dtype::i32, std::vector<std::int32_t>{1, 5})),
                      "[embedding] token id is outside the vocabulary: got 5 at position 1, expected 0 to 4");
}

TEST_CASE("dropout makes the same mask on cpu and simt, for any split over ranks, and keeps the expected share") {
    Exec cpu{.device = {DeviceKind::cpu, 0}}, simt{.device = {DeviceKind::simt, 0}};
    StepScalars scalars{.seed = 11, .step = 5};
    cpu.scalars = simt.scalars = &scalars;
    auto x = random_values(64 * 37, 1);
    auto mask = [&](Exec& exec, Size first, Size count, Shards shards) {
        exec.shards = shards;
        std::vector<double> part(x.begin() + first * 37, x.begin() + (first + count) * 37);
        Tape tape(exec, false);
        return to_host<float>(exec, ops::dropout(tape, Var(from_host(exec, {count, 37}, Dtype::f32, part)), 0.3f, 4).value());
    };
    auto whole = mask(cpu, 0, 64, {0, 4, 4});
    CHECK(whole == mask(simt, 0, 64, {0, 4, 4}));
    auto half = mask(cpu, 32, 32, {2, 2, 4});
    CHECK(half == std::vector<float>(whole.begin() + 32 * 37, whole.end()));
    // A rank's rows may begin inside four numbers of one counter: 5·37 is odd.
    auto part = mask(simt, 5, 5, {1, 1, 2});
    CHECK(part == std::vector<float>(whole.begin() + 5 * 37, whole.begin() + 10 * 37));
    double kept = 0;
    for (float value : whole) kept += value != 0;
    // 2368 draws at p = 0.7: standard deviation 22; five of them.
    CHECK(std::abs(kept - 0.7 * 2368) < 112);
    scalars.step = 6;
    CHECK(whole != mask(cpu, 0, 64, {0, 4, 4}));
}

TEST_CASE("dropout's gradient passes through the same mask") {
    Exec exec;
    StepScalars scalars{.seed = 3};
    exec.scalars = &scalars;
    Var x(from_host(exec, {6, 5}, Dtype::f64, random_values(30, 1)), true);
    CHECK(gradient_error(exec, {x}, [&](Tape& tape) { return ops::dropout(tape, x, 0.5f, 9); }) < 1e-8);
}

TEST_CASE_DEVICES("memory goes before the rows of its own sequence, and the last positions come back") {
    auto m = random_values(2 * 3 * 9, 1), x = random_values(2 * 2 * 9, 2);
    Tape tape(exec);
    Var rows(from_host(exec, {2, 2, 9}, Dtype::f32, x), true);
    Var whole = ops::concat_memory(tape, from_host(exec, {2, 3, 9}, Dtype::f32, m), rows);
    auto got = to_host<float>(exec, whole.value());
    CHECK(got[0] == static_cast<float>(m[0]));
    CHECK(got[3 * 9] == static_cast<float>(x[0]));
    CHECK(got[5 * 9] == static_cast<float>(m[27]));
    CHECK(got[8 * 9 + 8] == static_cast<float>(x[18 + 8]));
    Var last = ops::slice_rows(tape, whole, 2);
    CHECK(to_host<float>(exec, last.value()) == to_host<float>(exec, rows.value()));
    Tensor seed = from_host(exec, {2, 2, 9}, Dtype::f32, random_values(36, 3));
    last.give_grad(exec, seed);
    tape.backward();
    CHECK(to_host<float>(exec, rows.grad()) == to_host<float>(exec, seed));
}
