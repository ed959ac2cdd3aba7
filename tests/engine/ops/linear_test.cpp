#include "engine/ops/linear.h"

#include "engine/autograd/gradient_check.h"
#include "engine/base/threads.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;
using tests::random_values;

namespace {

Var parameter(Exec& exec, Shape shape, Dtype dtype, std::uint64_t salt) {
    return Var::parameter(from_host(exec, shape, dtype, random_values(shape.elements(), salt)), zeros(exec, shape, sum_dtype(dtype)));
}

struct Gradients {
    std::vector<float> y, dx, dw, db;
    bool operator==(const Gradients&) const = default;
};

Gradients run(Exec& exec, const Tensor& x_value, const Tensor& dy, Dtype dtype, bool wide) {
    Var x(x_value, true), w = parameter(exec, {13, 21}, dtype, 2), b = parameter(exec, {21}, dtype, 3);
    Tape tape(exec);
    Var y = wide ? ops::linear_wide(tape, x, w, b) : ops::linear(tape, x, w, b);
    y.give_grad(exec, dy);
    tape.backward();
    return {to_host<float>(exec, y.value()), to_host<float>(exec, x.grad()), to_host<float>(exec, w.grad()),
            to_host<float>(exec, b.grad())};
}

}  // namespace

TEST_CASE("linear has the gradients of central differences") {
    Exec exec;
    Var x(from_host(exec, {2, 3, 5}, Dtype::f64, random_values(30, 1)), true);
    Var w(from_host(exec, {5, 9}, Dtype::f64, random_values(45, 2)), true), b(from_host(exec, {9}, Dtype::f64, random_values(9, 3)), true);
    CHECK(gradient_error(exec, {x, w, b}, [&](Tape& tape) { return ops::linear(tape, x, w, b); }) < 1e-8);
}

TEST_CASE_DEVICES("linear in fp32 equals double precision, forward and backward") {
    Exec cpu;
    auto x = random_values(7 * 13, 1), dy = random_values(7 * 21, 4), w = random_values(13 * 21, 2), b = random_values(21, 3);
    Gradients got = run(exec, from_host(exec, {7, 13}, Dtype::f32, x), from_host(exec, {7, 21}, Dtype::f32, dy), Dtype::f32, false);
    std::vector<double> y(7 * 21), dx(7 * 13), dw(13 * 21), db(21);
    for (std::size_t n = 0; n < 7; ++n) {
        for (std::size_t f = 0; f < 21; ++f) {
            y[n * 21 + f] = b[f];
            db[f] += dy[n * 21 + f];
            for (std::size_t c = 0; c < 13; ++c) {
                y[n * 21 + f] += x[n * 13 + c] * w[c * 21 + f];
                dx[n * 13 + c] += dy[n * 21 + f] * w[c * 21 + f];
                dw[c * 21 + f] += x[n * 13 + c] * dy[n * 21 + f];
            }
        }
    }
    auto wide = [](const std::vector<float>& v) { return std::vector<double>(v.begin(), v.end()); };
    // At most 21 terms below 1 in sums of size about 1: 25·2⁻²⁴ ≈ 1.5e-6.
    CHECK(tests::relative_error(wide(got.y), y) < 2e-6);
    CHECK(tests::relative_error(wide(got.dx), dx) < 2e-6);
    CHECK(tests::relative_error(wide(got.dw), dw) < 2e-6);
    CHECK(tests::relative_error(wide(got.db), db) < 2e-6);
}

TEST_CASE("four micro-shards in one batch give the tree of four separate batches, bit for bit") {
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        for (bool wide : {false, true}) {
            Exec exec;
            Tensor x = from_host(exec, {20, 13}, dtype, random_values(260, 1));
            Tensor dy = from_host(exec, {20, 21}, wide ? sum_dtype(dtype) : dtype, random_values(420, 4));
            std::vector<Gradients> shard;
            for (Size s = 0; s < 4; ++s) shard.push_back(run(exec, x.row_range(5 * s, 5), dy.row_range(5 * s, 5), dtype, wide));
            exec.shards = {0, 4, 4};
            Gradients whole = run(exec, x, dy, dtype, wide);
            for (std::size_t i = 0; i < whole.dw.size(); ++i) {
                CHECK(whole.dw[i] == (shard[0].dw[i] + shard[1].dw[i]) + (shard[2].dw[i] + shard[3].dw[i]));
            }
            for (std::size_t i = 0; i < whole.db.size(); ++i) {
                CHECK(whole.db[i] == (shard[0].db[i] + shard[1].db[i]) + (shard[2].db[i] + shard[3].db[i]));
            }
        }
    }
}

TEST_CASE("linear refuses a weight that does not fit") {
    Exec exec;
    Tape tape(exec);
    Var x(zeros(exec, {2, 3}, Dtype::f32)), w(zeros(exec, {4, 5}, Dtype::f32));
    CHECK_THROWS_WITH(ops::linear(tape, x, w), "[linear] weight does not fit: got x (2, 3) and weight (4, 5), expected weight (3, F)");
}
