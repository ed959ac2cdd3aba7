#include "engine/ops/xl_attention.h"

#include "engine/autograd/gradient_check.h"
#include "engine/base/threads.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"
#include "tests/support/reference/attention.h"

#include <cmath>

using namespace engine;
using tests::random_values;

namespace {

using Case = tests::reference::XlCase;
using Values = tests::reference::XlValues;
using Results = tests::reference::XlResults;
using tests::reference::attend_xl;

Values values_of(const Case& c) {
    return {random_values(c.B * c.T * c.F(), 1),
            random_values(c.B * c.S() * c.F(), 2),
            random_values(c.B * c.S() * c.F(), 3),
            random_values(c.C * c.F(), 4),
            random_values(c.F(), 5),
            random_values(c.F(), 6),
            {0.4},
            random_values(c.B * c.T * c.F(), 7)};
}

Var leaf(Exec& exec, Shape shape, Dtype dtype, const std::vector<double>& values) {
    return Var::parameter(from_host(exec, shape, dtype, values), zeros(exec, shape, sum_dtype(dtype)));
}

Results run(Exec& exec, Dtype dtype, const Case& c, const Values& x) {
    Var q(from_host(exec, {c.B, c.T, c.F()}, dtype, x.q), true), k(from_host(exec, {c.B, c.S(), c.F()}, dtype, x.k), true);
    Var v(from_host(exec, {c.B, c.S(), c.F()}, dtype, x.v), true);
    ops::XlAttentionParameters p{leaf(exec, {c.C, c.F()}, dtype, x.pos), leaf(exec, {c.H, c.Sh}, dtype, x.u),
                                 leaf(exec, {c.H, c.Sh}, dtype, x.w), leaf(exec, {1}, dtype, x.scale)};
    Tape tape(exec);
    Var y = ops::xl_attention(tape, q, k, v, ops::sinusoid_positions(exec, c.S(), c.C, dtype), p);
    y.give_grad(exec, from_host(exec, {c.B, c.T, c.F()}, dtype, x.dy));
    tape.backward();
    Results r;
    for (const Tensor& t :
         {y.value(), q.grad(), k.grad(), v.grad(), p.position_CF.grad(), p.content_bias.grad(), p.position_bias.grad(), p.scale.grad()}) {
        r.tensors.push_back(to_host<double>(exec, t));
    }
    return r;
}

double worst(const Results& a, const Results& b) {
    double error = std::abs(a.tensors[7][0] - b.tensors[7][0]) / std::max(b.dscale_terms, 1e-12);
    for (std::size_t i = 0; i < 7; ++i) error = std::max(error, tests::relative_error(a.tensors[i], b.tensors[i]));
    return error;
}

constexpr Case kCases[] = {{1, 1, 0, 1, 1, 2},  {1, 1, 5, 2, 3, 4},   {2, 5, 3, 2, 7, 6},
                           {1, 7, 0, 1, 41, 8}, {1, 61, 70, 2, 5, 4}, {2, 140, 150, 1, 9, 4}};

}  // namespace

TEST_CASE("xl_attention in double equals its formula, forward and every gradient") {
    Exec exec;
    // Up to 290 keys of softmax and products of 280 rows, in double.
    for (const Case& c : kCases) CHECK(worst(run(exec, Dtype::f64, c, values_of(c)), attend_xl(c, values_of(c))) < 1e-12);
}

TEST_CASE_DEVICES("xl_attention in fp32 equals its formula on every device") {
    for (const Case& c : kCases) {
        // Scores of size 10 to 2⁻²⁴ each, e^x of them, sums of 290: below 1e-5.
        CHECK(worst(run(exec, Dtype::f32, c, values_of(c)), attend_xl(c, values_of(c))) < 1e-5);
    }
}

TEST_CASE_DEVICES("xl_attention in bf16 stays within bf16's rounding of its inputs and results") {
    for (const Case& c : {Case{2, 5, 3, 2, 7, 6}, Case{1, 140, 150, 1, 16, 8}}) {
        // Inputs, r and results carry 8 bits each: scores of size 3 move by 3·2⁻⁸ or so, and so do their exponentials.
        CHECK(worst(run(exec, Dtype::bf16, c, values_of(c)), attend_xl(c, values_of(c))) < 0.06);
    }
}

TEST_CASE("xl_attention has the same bits at any number of threads, and a sequence the same alone") {
    Exec exec;
    Case c{3, 70, 9, 3, 17, 4};
    Values x = values_of(c);
    set_threads(1);
    Results one = run(exec, Dtype::f32, c, x);
    for (int count : {2, 3}) {
        set_threads(count);
        CHECK(run(exec, Dtype::f32, c, x).tensors == one.tensors);
    }
    set_threads(2);
    Case alone = c;
    alone.B = 1;
    Values part = x;
    auto cut = [](std::vector<double>& v, Size count) { v.resize(static_cast<std::size_t>(count)); };
    cut(part.q, c.T * c.F()), cut(part.k, c.S() * c.F()), cut(part.v, c.S() * c.F()), cut(part.dy, c.T * c.F());
    Results first = run(exec, Dtype::f32, alone, part);
    for (std::size_t i = 0; i < 4; ++i) {
        CHECK(first.tensors[i] ==
              std::vector<double>(one.tensors[i].begin(), one.tensors[i].begin() + static_cast<long>(first.tensors[i].size())));
    }
}

TEST_CASE_DEVICES("a query's bits are the same in a window and alone after a longer memory") {
    Case c{1, 75, 6, 2, 19, 4};
    Values x = values_of(c);
    std::vector<double> window = run(exec, Dtype::f32, c, x).tensors[0];
    for (Size i : {0, 13, 56, 74}) {
        Case last{1, 1, c.M + i, 2, 19, 4};
        Values part = x;
        part.q.assign(x.q.begin() + i * c.F(), x.q.begin() + (i + 1) * c.F());
        part.k.resize(static_cast<std::size_t>(last.S() * c.F()));
        part.v.resize(static_cast<std::size_t>(last.S() * c.F()));
        part.dy.assign(static_cast<std::size_t>(c.F()), 1.0);
        CHECK(run(exec, Dtype::f32, last, part).tensors[0] ==
              std::vector<double>(window.begin() + i * c.F(), window.begin() + (i + 1) * c.F()));
    }
}

TEST_CASE_DEVICES("four micro-shards of xl_attention give the tree of four separate batches, bit for bit") {
    Case c{4, 9, 3, 2, 5, 4}, one = c;
    one.B = 1;
    Values x = values_of(c);
    std::vector<Results> shard;
    for (Size b = 0; b < 4; ++b) {
        Values part = x;
        auto cut = [&](const std::vector<double>& v, Size rows) {
            return std::vector<double>(v.begin() + b * rows * c.F(), v.begin() + (b + 1) * rows * c.F());
        };
        part.q = cut(x.q, c.T), part.k = cut(x.k, c.S()), part.v = cut(x.v, c.S()), part.dy = cut(x.dy, c.T);
        shard.push_back(run(exec, Dtype::f32, one, part));
    }
    exec.shards = {0, 4, 4};
    Results whole = run(exec, Dtype::f32, c, x);
    exec.shards = {};
    for (std::size_t t = 4; t < 8; ++t) {
        for (std::size_t i = 0; i < whole.tensors[t].size(); ++i) {
            auto f = [&](std::size_t s) { return static_cast<float>(shard[s].tensors[t][i]); };
            CHECK(whole.tensors[t][i] == (f(0) + f(1)) + (f(2) + f(3)));
        }
    }
}
