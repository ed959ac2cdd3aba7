#include "engine/ops/layer_norm.h"

#include "engine/autograd/gradient_check.h"
#include "engine/base/threads.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

#include <cmath>

using namespace engine;
using tests::random_values;

namespace {

std::vector<double> reference(const std::vector<double>& x, const std::vector<double>& w, const std::vector<double>& b, std::size_t C,
                              bool centred, double eps) {
    std::vector<double> y(x.size());
    for (std::size_t n = 0; n < x.size() / C; ++n) {
        double mean = 0, squares = 0;
        for (std::size_t c = 0; centred && c < C; ++c) mean += x[n * C + c] / static_cast<double>(C);
        for (std::size_t c = 0; c < C; ++c) squares += (x[n * C + c] - mean) * (x[n * C + c] - mean) / static_cast<double>(C);
        for (std::size_t c = 0; c < C; ++c) y[n * C + c] = (x[n * C + c] - mean) / std::sqrt(squares + eps) * w[c] + (centred ? b[c] : 0);
    }
    return y;
}

}  // namespace

TEST_CASE_DEVICES("layer_norm and rms_norm equal their formulas in double precision, for odd and tiny rows") {
    struct Sizes {
        Size N, C;
    };
    for (auto [N, C] : {Sizes{1, 1}, Sizes{3, 7}, Sizes{17, 64}, Sizes{5, 409}}) {
        auto x = random_values(N * C, 1), w = random_values(C, 2), b = random_values(C, 3);
        Tape tape(exec, false);
        Var xv(from_host(exec, {N, C}, Dtype::f32, x)), wv(from_host(exec, {C}, Dtype::f32, w)), bv(from_host(exec, {C}, Dtype::f32, b));
        auto layer = to_host<double>(exec, ops::layer_norm(tape, xv, wv, bv, 1e-5).value());
        auto rms = to_host<double>(exec, ops::rms_norm(tape, xv, wv, 1e-5).value());
        // Sums over C in sixteen lanes: (C/16 + 8)·2⁻²⁴ relative, on values up to about 3.
        double bound = (static_cast<double>(C) / 16 + 16) * 0x1p-24 * 3;
        CHECK(tests::relative_error(layer, reference(x, w, b, static_cast<std::size_t>(C), true, 1e-5)) < bound);
        CHECK(tests::relative_error(rms, reference(x, w, b, static_cast<std::size_t>(C), false, 1e-5)) < bound);
    }
}

TEST_CASE("layer_norm and rms_norm have the gradients of central differences") {
    Exec exec;
    Var x(from_host(exec, {4, 9}, Dtype::f64, random_values(36, 1)), true);
    Var w(from_host(exec, {9}, Dtype::f64, random_values(9, 2)), true), b(from_host(exec, {9}, Dtype::f64, random_values(9, 3)), true);
    CHECK(gradient_error(exec, {x, w, b}, [&](Tape& tape) { return ops::layer_norm(tape, x, w, b, 1e-5); }) < 1e-7);
    CHECK(gradient_error(exec, {x, w}, [&](Tape& tape) { return ops::rms_norm(tape, x, w, 1e-5); }) < 1e-7);
}

TEST_CASE_DEVICES("layer_norm's fp32 gradients equal the double ones") {
    auto x = random_values(70 * 33, 1), w = random_values(33, 2), b = random_values(33, 3), dy = random_values(70 * 33, 4);
    auto run = [&](Exec& on, Dtype dtype) {
        Var xv(from_host(on, {70, 33}, dtype, x), true), wv(from_host(on, {33}, dtype, w), true), bv(from_host(on, {33}, dtype, b), true);
        Tape tape(on);
        Var y = ops::layer_norm(tape, xv, wv, bv, 1e-5);
        y.give_grad(on, from_host(on, {70, 33}, dtype, dy));
        tape.backward();
        return std::vector<std::vector<double>>{to_host<double>(on, xv.grad()), to_host<double>(on, wv.grad()),
                                                to_host<double>(on, bv.grad())};
    };
    Exec cpu;
    auto got = run(exec, Dtype::f32), exact = run(cpu, Dtype::f64);
    // Sums of 70 terms of size 1, in fp32: 80·2⁻²⁴ ≈ 5e-6.
    for (std::size_t i = 0; i < 3; ++i) CHECK(tests::relative_error(got[i], exact[i]) < 5e-6);
}

TEST_CASE("a row of zeros normalises to the bias, and its gradient is finite") {
    Exec exec;
    Var x(zeros(exec, {1, 5}, Dtype::f32), true), w(from_host(exec, {5}, Dtype::f32, random_values(5, 2)), true),
        b(from_host(exec, {5}, Dtype::f32, random_values(5, 3)), true);
    Tape tape(exec);
    Var y = ops::layer_norm(tape, x, w, b, 1e-5);
    CHECK(to_host<float>(exec, y.value()) == to_host<float>(exec, b.value()));
    y.give_grad(exec, from_host(exec, {1, 5}, Dtype::f32, random_values(5, 4)));
    tape.backward();
    for (float value : to_host<float>(exec, x.grad())) CHECK(std::isfinite(value));
}
