#include "moe/kernels/spatial_product.h"

#include "engine/base/threads.h"
#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;
using moe::kernels::Chunks;
using moe::kernels::Positions;
using tests::random_values;

namespace {

using Values = std::vector<double>;

struct Case {
    Size B, T, E, W, context;
    bool causal = true;
    std::vector<std::int32_t> experts = {};  // (B,E)
    Size expert(Size b, Size i) const { return experts.empty() ? i : experts[static_cast<std::size_t>(b * E + i)]; }
    bool sees(Size t, Size s) const { return !causal || s <= t; }
};

// One number; more positions than a band of rows and a tile; more columns than a strip; a window shorter than the context; experts chosen
// twice and not at all.
std::vector<Case> cases() {
    return {{1, 1, 1, 1, 1},
            {2, 5, 1, 3, 7},
            {1, 113, 1, 131, 113},
            {3, 17, 3, 5, 19, true, {2, 2, 0, 0, 2, 2, 2, 0, 0}},
            {2, 61, 2, 33, 67, false, {1, 0, 1, 1}}};
}

struct Inputs {
    Values v, dg, w, bias;
};
Inputs inputs_of(const Case& c) {
    return {random_values(c.B * c.T * c.E * c.W, 1), random_values(c.B * c.T * c.E * c.W, 2), random_values(c.E * c.context * c.context, 3),
            random_values(c.E * c.context, 4)};
}

struct Results {
    Values g, dv, dw, dbias;
};

Results run(Exec& exec, Dtype dtype, const Case& c, const Inputs& in) {
    Shape rows{c.B * c.T, c.E * c.W};
    Tensor v = from_host(exec, rows, dtype, in.v), dg = from_host(exec, rows, dtype, in.dg),
           bias = from_host(exec, {c.E, c.context}, dtype, in.bias);
    Tensor w = from_host(exec, {c.E, c.context, c.context}, dtype, in.w), g(exec, rows, dtype), dv(exec, rows, dtype);
    Tensor dw(exec, w.shape(), sum_dtype(dtype)), dbias(exec, bias.shape(), sum_dtype(dtype));
    Tensor experts = c.experts.empty() ? Tensor() : from_host(exec, {c.B * c.E}, Dtype::i32, c.experts);
    Chunks chunks{c.B, c.T, c.E, c.W, experts.defined() ? experts.data<std::int32_t>() : nullptr};
    Positions positions{.context = c.context, .causal = c.causal};
    visit(exec, dtype, [&]<class D, class T>(On<D, T>) {
        moe::kernels::spatial_product<D, T>(exec, g.rows<T>(), v.rows<T>(), w.rows<T>(), bias.rows<T>(), chunks, positions);
        moe::kernels::spatial_product_backward<D, T>(exec, dv.rows<T>(), dg.rows<T>(), w.rows<T>(), chunks, positions);
        moe::kernels::spatial_weight_gradient<D, T>(exec, dw.rows<Sum<T>>(), dg.rows<T>(), v.rows<T>(), chunks, positions, false);
        moe::kernels::spatial_bias_gradient<D, T>(exec, dbias.rows<Sum<T>>(), dg.rows<T>(), chunks, positions, false);
    });
    return {to_host<double>(exec, g), to_host<double>(exec, dv), to_host<double>(exec, dw), to_host<double>(exec, dbias)};
}

Results formula(const Case& c, const Inputs& in) {
    Size H = c.E * c.W;
    Results out{Values(in.v.size()), Values(in.v.size()), Values(in.w.size()), Values(in.bias.size())};
    for (Size b = 0; b < c.B; ++b) {
        for (Size i = 0; i < c.E; ++i) {
            Size e = c.expert(b, i);
            for (Size j = i * c.W; j < (i + 1) * c.W; ++j) {
                for (Size t = 0; t < c.T; ++t) {
                    auto row = static_cast<std::size_t>((b * c.T + t) * H + j), at = static_cast<std::size_t>(e * c.context + t);
                    out.g[row] += in.bias[at];
                    out.dbias[at] += in.dg[row];
                    for (Size s = 0; s < c.T; ++s) {
                        if (!c.sees(t, s)) continue;
                        auto key = static_cast<std::size_t>((b * c.T + s) * H + j);
                        auto weight = at * static_cast<std::size_t>(c.context) + static_cast<std::size_t>(s);
                        out.g[row] += in.w[weight] * in.v[key];
                        out.dv[key] += in.w[weight] * in.dg[row];
                        out.dw[weight] += in.dg[row] * in.v[key];
                    }
                }
            }
        }
    }
    return out;
}

double worst(const Results& a, const Results& b) {
    return std::max({tests::relative_error(a.g, b.g), tests::relative_error(a.dv, b.dv), tests::relative_error(a.dw, b.dw),
                     tests::relative_error(a.dbias, b.dbias)});
}

Inputs rounded(Inputs in) {
    for (Values* values : {&in.v, &in.dg, &in.w, &in.bias}) {
        for (double& value : *values) value = to_float(to_bf16(static_cast<float>(value)));
    }
    return in;
}

}  // namespace

TEST_CASE_DEVICES("the spatial product and its gradients equal their formula, causal or not, for any experts and sizes") {
    for (const Case& c : cases()) {
        INFO("B " << c.B << " T " << c.T << " E " << c.E << " W " << c.W);
        Inputs in = inputs_of(c);
        // Sums of at most 2·131 terms below 1 (of w: B·W) with results above 1: 262·2⁻²⁴.
        CHECK(worst(run(exec, Dtype::f32, c, in), formula(c, in)) < 1.6e-5);
        in = rounded(in);
        // The same, and one rounding to bf16 of what is stored so.
        CHECK(worst(run(exec, Dtype::bf16, c, in), formula(c, in)) < 0x1p-8);
    }
}

TEST_CASE("in double, too") {
    Exec exec;
    for (const Case& c : cases()) CHECK(worst(run(exec, Dtype::f64, c, inputs_of(c)), formula(c, inputs_of(c))) < 1e-13);
}

TEST_CASE_DEVICES("what a row does not see changes no bit of it, and has a gradient of exact zeros") {
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        Case c{2, 61, 2, 19, 67, true, {1, 1, 1, 1}};
        Inputs in = inputs_of(c), other = in;
        for (Size e = 0; e < c.E; ++e) {
            for (Size t = 0; t < c.context; ++t) {
                for (Size s = t + 1; s < c.context; ++s) other.w[static_cast<std::size_t>((e * c.context + t) * c.context + s)] = 7;
            }
        }
        Size H = c.E * c.W;
        for (Size b = 0; b < c.B; ++b) {
            for (Size at = 30 * H; at < c.T * H; ++at) other.v[static_cast<std::size_t>(b * c.T * H + at)] = -3;
        }
        Results before = run(exec, dtype, c, in), after = run(exec, dtype, c, other);
        for (Size b = 0; b < c.B; ++b) {
            auto first = before.g.begin() + b * c.T * H;
            CHECK(std::equal(first, first + 30 * H, after.g.begin() + b * c.T * H));
        }
        CHECK(before.dv == after.dv);
        for (Size e = 0; e < c.E; ++e) {
            for (Size t = 0; t < c.context; ++t) {
                for (Size s = 0; s < c.context; ++s) {
                    bool counts = e == 1 && s <= t && t < c.T;
                    CHECK((before.dw[static_cast<std::size_t>((e * c.context + t) * c.context + s)] != 0) == counts);
                }
            }
        }
    }
}

TEST_CASE("its bits do not depend on threads, nor on the sequences beside one") {
    Exec exec;
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        Case c{3, 61, 2, 33, 61, true, {1, 0, 0, 0, 1, 1}};
        Inputs in = inputs_of(c);
        set_threads(1);
        Results one = run(exec, dtype, c, in);
        set_threads(3);
        Results three = run(exec, dtype, c, in);
        set_threads(2);
        CHECK((one.g == three.g && one.dv == three.dv && one.dw == three.dw && one.dbias == three.dbias));
        Case last{1, 61, 2, 33, 61, true, {1, 1}};
        Size part = 61 * 66;
        Inputs alone{Values(in.v.end() - part, in.v.end()), Values(in.dg.end() - part, in.dg.end()), in.w, in.bias};
        Results own = run(exec, dtype, last, alone);
        CHECK(own.g == Values(one.g.end() - part, one.g.end()));
        CHECK(own.dv == Values(one.dv.end() - part, one.dv.end()));
    }
}

TEST_CASE_DEVICES("gradients are added where asked, and nothing is added above the diagonal") {
    Tensor dg = from_host(exec, {3, 2}, Dtype::f32, random_values(6, 1)), v = from_host(exec, {3, 2}, Dtype::f32, random_values(6, 2));
    Tensor once(exec, {4, 4}, Dtype::f32), twice = from_host(exec, {4, 4}, Dtype::f32, Values(16, 1.0));
    Tensor bias_once(exec, {1, 4}, Dtype::f32), bias_twice = from_host(exec, {1, 4}, Dtype::f32, Values(4, 1.0));
    Chunks chunks{1, 3, 1, 2};
    visit(exec, Dtype::f32, [&]<class D, class T>(On<D, T>) {
        for (bool add : {false, true}) {
            moe::kernels::spatial_weight_gradient<D, T>(exec, (add ? twice : once).rows<Sum<T>>(), dg.rows<T>(), v.rows<T>(), chunks,
                                                        Positions{.context = 4}, add);
            moe::kernels::spatial_bias_gradient<D, T>(exec, (add ? bias_twice : bias_once).rows<Sum<T>>(), dg.rows<T>(), chunks,
                                                      Positions{.context = 4}, add);
        }
    });
    Values a = to_host<double>(exec, once), b = to_host<double>(exec, twice);
    for (std::size_t i = 0; i < 16; ++i) CHECK(static_cast<float>(a[i] + 1.0) == static_cast<float>(b[i]));
    a = to_host<double>(exec, bias_once), b = to_host<double>(exec, bias_twice);
    for (std::size_t i = 0; i < 4; ++i) CHECK(static_cast<float>(a[i] + 1.0) == static_cast<float>(b[i]));
}
