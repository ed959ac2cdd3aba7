#include "engine/kernels/adamw.h"

#include "engine/base/visit.h"
#include "engine/kernels/step_scalars.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;

TEST_CASE_DEVICES("three steps of adamw follow algorithm 2 of Loshchilov and Hutter, with clip factor and rate factor") {
    constexpr Size kCount = 1000;
    const kernels::AdamwOptions options{.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .lr_factor = 2, .decay = 0.1};
    auto w = tests::random_values(kCount, 1);
    std::vector<double> m(kCount, 0.0), v(kCount, 0.0);
    Tensor tw = from_host(exec, {kCount}, Dtype::f32, w), tm = from_host(exec, {kCount}, Dtype::f32, m),
           tv = from_host(exec, {kCount}, Dtype::f32, v);
    Tensor scalars(exec, {sizeof(StepScalars) / 8}, Dtype::i64);
    exec.scalars = static_cast<const StepScalars*>(scalars.address());
    for (int step = 1; step <= 3; ++step) {
        auto g = tests::random_values(kCount, 10 + static_cast<std::uint64_t>(step));
        Tensor tg = from_host(exec, {kCount}, Dtype::f32, g);
        double c1 = 1 - std::pow(options.beta1, step), c2 = 1 - std::pow(options.beta2, step), rate = 0.01 * options.lr_factor, clip = 0.5;
        StepScalars values{.learning_rate = 0.01f,
                           .clip_factor = 0.5f,
                           .bias_correction1 = static_cast<float>(c1),
                           .bias_correction2 = static_cast<float>(c2)};
        visit_device(exec, [&]<class D>(D) {
            kernels::write_scalars<D>(exec, static_cast<StepScalars*>(scalars.address()), values);
            kernels::adamw<D, float>(exec, tw.data<float>(), tg.data<float>(), tm.data<float>(), tv.data<float>(), kCount, options);
        });
        for (std::size_t i = 0; i < w.size(); ++i) {
            m[i] = options.beta1 * m[i] + (1 - options.beta1) * clip * g[i];
            v[i] = options.beta2 * v[i] + (1 - options.beta2) * clip * clip * g[i] * g[i];
            w[i] -= rate * ((m[i] / c1) / (std::sqrt(v[i] / c2) + options.eps) + options.decay * w[i]);
        }
    }
    exec.scalars = nullptr;
    // Some ten roundings of fp32 a step; |m/c₁| / √(v/c₂) is below 2 here, so an error of w is below 3·10·2⁻²⁴ of values up to 1.
    CHECK(tests::relative_error(to_host<double>(exec, tw), w) <= 30 * 0x1p-24);
    CHECK(tests::relative_error(to_host<double>(exec, tm), m) <= 30 * 0x1p-24);
    CHECK(tests::relative_error(to_host<double>(exec, tv), v) <= 30 * 0x1p-24);
}
