#include "moe/ops/product_keys.h"

#include "engine/autograd/gradient_check.h"
#include "engine/tensor/transfer.h"
#include "moe/ops/key_gates.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;
using moe::kernels::KeyGate;
using moe::kernels::ProductKeys;
using tests::random_values;

namespace {

// heads, sub_keys, half, k, shares_query, shares_sub_keys
const ProductKeys kKeys[] = {
    {2, 5, 3, 4, false, false}, {3, 7, 2, 6, false, true}, {2, 6, 4, 5, true, false}, {2, 3, 4, 9, true, true}, {1, 1, 1, 1, false, false},
};

struct Gradients {
    std::vector<double> dq, dsubkeys;
};

Gradients run(Exec& exec, Dtype dtype, const ProductKeys& keys, Size N) {
    Var q(from_host(exec, {N, keys.query_columns()}, dtype, random_values(N * keys.query_columns(), 1)), true);
    Size sets = keys.sub_key_rows() / keys.sub_keys / 2;
    Shape shape{sets, 2, keys.sub_keys, keys.half};
    Var subkeys = Var::parameter(from_host(exec, shape, dtype, random_values(shape.elements(), 2)), zeros(exec, shape, sum_dtype(dtype)));
    Tape tape(exec);
    moe::ops::KeyChoice choice = moe::ops::product_keys(tape, q, subkeys, keys);
    choice.scores_NJ.give_grad(exec,
                               from_host(exec, choice.scores_NJ.shape(), sum_dtype(dtype), random_values(N * keys.heads * keys.k, 3)));
    tape.backward();
    return {to_host<double>(exec, q.grad()), to_host<double>(exec, subkeys.grad())};
}

}  // namespace

TEST_CASE("scores of product keys have the gradients of central differences, shared or not, in one and in several micro-shards") {
    Exec exec;
    for (const ProductKeys& keys : kKeys) {
        for (int shards : {1, 2}) {
            exec.shards = {0, shards, shards};
            Var q(from_host(exec, {6, keys.query_columns()}, Dtype::f64, random_values(6 * keys.query_columns(), 1)), true);
            Size sets = keys.sub_key_rows() / keys.sub_keys / 2;
            Var subkeys(from_host(exec, {sets, 2, keys.sub_keys, keys.half}, Dtype::f64, random_values(keys.sub_key_rows() * keys.half, 2)),
                        true);
            CHECK(gradient_error(exec, {q, subkeys}, [&](Tape& tape) { return moe::ops::product_keys(tape, q, subkeys, keys).scores_NJ; }) <
                  1e-7);
        }
    }
}

TEST_CASE_DEVICES("product keys' fp32 gradients equal the double ones on every device") {
    Exec cpu;
    for (const ProductKeys& keys : kKeys) {
        Gradients got = run(exec, Dtype::f32, keys, 14), exact = run(cpu, Dtype::f64, keys, 14);
        // Sums of at most 14·H·K ≤ 252 terms of size 1: 252·2⁻²⁴.
        CHECK(tests::relative_error(got.dq, exact.dq) < 1.5e-5);
        CHECK(tests::relative_error(got.dsubkeys, exact.dsubkeys) < 1.5e-5);
    }
}

TEST_CASE("low-rank scores have the gradients of central differences") {
    Exec exec;
    for (int shards : {1, 2}) {
        exec.shards = {0, shards, shards};
        Var r(from_host(exec, {6, 3}, Dtype::f64, random_values(18, 1)), true),
            up(from_host(exec, {3, 11}, Dtype::f64, random_values(33, 2)), true);
        CHECK(gradient_error(exec, {r, up}, [&](Tape& tape) { return moe::ops::low_rank_keys(tape, r, up, 4).scores_NJ; }) < 1e-7);
    }
}

TEST_CASE_DEVICES("low-rank keys' fp32 scores and gradients equal the double ones on every device") {
    auto run_on = [](Exec& on, Dtype dtype) {
        Var r(from_host(on, {9, 5}, dtype, random_values(45, 1)), true), up(from_host(on, {5, 37}, dtype, random_values(185, 2)), true);
        Tape tape(on);
        moe::ops::KeyChoice choice = moe::ops::low_rank_keys(tape, r, up, 6);
        choice.scores_NJ.give_grad(on, from_host(on, {9, 6}, dtype, random_values(54, 3)));
        tape.backward();
        return std::vector<std::vector<double>>{to_host<double>(on, choice.ids_NJ), to_host<double>(on, choice.scores_NJ.value()),
                                                to_host<double>(on, r.grad()), to_host<double>(on, up.grad())};
    };
    Exec cpu;
    auto got = run_on(exec, Dtype::f32), exact = run_on(cpu, Dtype::f64);
    CHECK(got[0] == exact[0]);
    for (std::size_t i = 1; i < 4; ++i) CHECK(tests::relative_error(got[i], exact[i]) < 1e-6);
}

TEST_CASE_DEVICES("gates of keys equal their formulas, and their gradients the central differences") {
    Exec cpu;
    for (KeyGate kind : {KeyGate::softmax, KeyGate::sigmoid, KeyGate::relu}) {
        for (Size group : {1, 3, 6}) {
            auto s = random_values(30, 1);
            Tape tape(exec, false);
            auto got = to_host<double>(exec, moe::ops::key_gates(tape, Var(from_host(exec, {5, 6}, Dtype::f32, s)), group, kind).value());
            std::vector<double> exact(30);
            for (std::size_t i = 0; i < 30; ++i) {
                std::size_t begin = i / static_cast<std::size_t>(group) * static_cast<std::size_t>(group);
                double sum = 0;
                for (std::size_t j = begin; j < begin + static_cast<std::size_t>(group); ++j) sum += std::exp(s[j]);
                exact[i] = kind == KeyGate::softmax   ? std::exp(s[i]) / sum
                           : kind == KeyGate::sigmoid ? 1 / (1 + std::exp(-s[i]))
                                                      : std::max(s[i], 0.0);
            }
            // exp to 2 ulp, a sum of six, a quotient: under ten roundings.
            CHECK(tests::relative_error(got, exact) < 10 * 0x1p-24);
            Var scores(from_host(cpu, {5, 6}, Dtype::f64, s), true);
            CHECK(gradient_error(cpu, {scores}, [&](Tape& t) { return moe::ops::key_gates(t, scores, group, kind); }) < 1e-7);
        }
    }
}

TEST_CASE_DEVICES("gates' fp32 gradients equal the double ones on every device") {
    auto run_on = [](Exec& on, Dtype dtype, KeyGate kind) {
        Var scores(from_host(on, {7, 10}, dtype, random_values(70, 1)), true);
        Tape tape(on);
        Var gates = moe::ops::key_gates(tape, scores, 5, kind);
        gates.give_grad(on, from_host(on, {7, 10}, dtype, random_values(70, 2)));
        tape.backward();
        return to_host<double>(on, scores.grad());
    };
    Exec cpu;
    for (KeyGate kind : {KeyGate::softmax, KeyGate::sigmoid, KeyGate::relu}) {
        CHECK(tests::relative_error(run_on(exec, Dtype::f32, kind), run_on(cpu, Dtype::f64, kind)) < 2e-6);
    }
}

TEST_CASE_DEVICES("a score of NaN has a gate of NaN") {
    Tape tape(exec, false);
    for (KeyGate kind : {KeyGate::softmax, KeyGate::sigmoid, KeyGate::relu}) {
        auto got = to_host<double>(
            exec, moe::ops::key_gates(tape, Var(from_host(exec, {1, 2}, Dtype::f32, std::vector<double>{1, NAN})), 2, kind).value());
        CHECK(std::isnan(got[1]));
    }
}
