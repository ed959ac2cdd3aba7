#include "engine/kernels/activation.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

#include <cmath>

using namespace engine;
using kernels::Activation;

namespace {

constexpr Activation kKinds[] = {Activation::relu, Activation::gelu, Activation::gelu_tanh, Activation::silu, Activation::identity};

double act(Activation kind, double x) {
    switch (kind) {
        case Activation::relu:
            return std::max(x, 0.0);
        case Activation::gelu:
            return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
        case Activation::gelu_tanh:
            return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
        case Activation::silu:
            return x / (1 + std::exp(-x));
        case Activation::identity:
            return x;
    }
    return x;
}

// Central differences of the formula: their error is below 1e-9 for values of a few units.
double slope(Activation kind, double x) {
    if (kind == Activation::relu) return x > 0 ? 1 : 0;
    constexpr double h = 1e-5;
    return (act(kind, x + h) - act(kind, x - h)) / (2 * h);
}

struct Case {
    Size N, F;
    bool glu, gated;
};

}  // namespace

TEST_CASE_DEVICES("every activation and its gradients equal their formulas, plain, gated by a unit and scaled by a row") {
    for (Activation kind : kKinds) {
        for (auto [N, F, glu, gated] :
             {Case{1, 1, false, false}, Case{37, 5, true, true}, Case{3, 401, true, false}, Case{33, 17, false, true}}) {
            auto x = tests::random_values(N * F, 1), z = tests::random_values(N * F, 2), da = tests::random_values(N * F, 3),
                 gate = tests::random_values(N, 4);
            for (double& value : x) value *= 3;
            Tensor tx = from_host(exec, {N, F}, Dtype::f32, x), tz = from_host(exec, {N, F}, Dtype::f32, z),
                   tda = from_host(exec, {N, F}, Dtype::f32, da), tgate = from_host(exec, {N}, Dtype::f32, gate),
                   a(exec, {N, F}, Dtype::f32), dx(exec, {N, F}, Dtype::f32), dz(exec, {N, F}, Dtype::f32), dgate(exec, {N}, Dtype::f32);
            visit_device(exec, [&]<class D>(D) {
                Rows<const float> factor = glu ? Rows<const float>(tz.rows<float>()) : Rows<const float>{};
                kernels::activation<D, float>(exec, a.rows<float>(), tx.rows<float>(), factor, kind);
                kernels::activation_backward<D, float>(exec, dx.rows<float>(), glu ? dz.rows<float>() : Rows<float>{}, dgate.data<float>(),
                                                       tda.rows<float>(), tx.rows<float>(), factor, gated ? tgate.data<float>() : nullptr,
                                                       kind);
            });
            std::vector<double> ra(x.size()), rdx(x.size()), rdz(x.size()), rdgate(gate.size());
            for (std::size_t i = 0; i < x.size(); ++i) {
                std::size_t n = i / static_cast<std::size_t>(F);
                double factor = glu ? z[i] : 1, q = da[i] * (gated ? gate[n] : 1);
                ra[i] = act(kind, x[i]) * factor;
                rdx[i] = q * slope(kind, x[i]) * factor;
                rdz[i] = q * act(kind, x[i]);
                rdgate[n] += da[i] * ra[i];
            }
            // About ten roundings of fp32 on values up to 3, whose formulas double an error at most; inputs are rounded once.
            CHECK(tests::relative_error(to_host<double>(exec, a), ra) <= 40 * 0x1p-24);
            CHECK(tests::relative_error(to_host<double>(exec, dx), rdx) <= 40 * 0x1p-24);
            if (glu) CHECK(tests::relative_error(to_host<double>(exec, dz), rdz) <= 40 * 0x1p-24);
            // Sums of F terms of both signs: F·2⁻²⁴ of Σ|terms|, of which the largest sum here is at least a tenth.
            CHECK(tests::relative_error(to_host<double>(exec, dgate), rdgate) <= (40 + static_cast<double>(F)) * 10 * 0x1p-24);
        }
    }
}

TEST_CASE_DEVICES("the slope of relu at zero is zero") {
    Tensor x = from_host(exec, {1, 3}, Dtype::f32, std::vector<float>{0.0f, -0.0f, 1e-30f}), dx(exec, {1, 3}, Dtype::f32);
    Tensor da = from_host(exec, {1, 3}, Dtype::f32, std::vector<float>{5.0f, 5.0f, 5.0f});
    visit_device(exec, [&]<class D>(D) {
        kernels::activation_backward<D, float>(exec, dx.rows<float>(), Rows<float>{}, nullptr, da.rows<float>(), x.rows<float>(),
                                               Rows<const float>{}, nullptr, Activation::relu);
    });
    CHECK(to_host<float>(exec, dx) == std::vector<float>{0.0f, 0.0f, 5.0f});
}
