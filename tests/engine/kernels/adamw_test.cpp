#include "engine/kernels/adamw.h"

#include "engine/base/visit.h"
#include "engine/kernels/step_scalars.h"
#include "engine/tensor/transfer.h"
#include "tests/support/device_scalars.h"
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
    tests::DeviceScalars scalars(exec);
    for (int step = 1; step <= 3; ++step) {
        auto g = tests::random_values(kCount, 10 + static_cast<std::uint64_t>(step));
        Tensor tg = from_host(exec, {kCount}, Dtype::f32, g);
        double c1 = 1 - std::pow(options.beta1, step), c2 = 1 - std::pow(options.beta2, step), rate = 0.01 * options.lr_factor, clip = 0.5;
        StepScalars values{.learning_rate = 0.01f,
                           .clip_factor = 0.5f,
                           .bias_correction1 = static_cast<float>(c1),
                           .bias_correction2 = static_cast<float>(c2)};
        scalars.write(values);
        visit_device(exec, [&]<class D>(D) {
            kernels::adamw<D, float>(exec, tw.data<float>(), tg.data<float>(), tm.data<float>(), tv.data<float>(), kCount, options);
        });
        for (std::size_t i = 0; i < w.size(); ++i) {
            m[i] = options.beta1 * m[i] + (1 - options.beta1) * clip * g[i];
            v[i] = options.beta2 * v[i] + (1 - options.beta2) * clip * clip * g[i] * g[i];
            w[i] -= rate * ((m[i] / c1) / (std::sqrt(v[i] / c2) + options.eps) + options.decay * w[i]);
        }
    }
    // Some ten roundings of fp32 a step; |m/c₁| / √(v/c₂) is below 2 here, so an error of w is below 3·10·2⁻²⁴ of values up to 1.
    CHECK(tests::relative_error(to_host<double>(exec, tw), w) <= 30 * 0x1p-24);
    CHECK(tests::relative_error(to_host<double>(exec, tm), m) <= 30 * 0x1p-24);
    CHECK(tests::relative_error(to_host<double>(exec, tv), v) <= 30 * 0x1p-24);
}

TEST_CASE_DEVICES("rows without a gradient keep weights and moments bit for bit; the others are updated as by adamw") {
    constexpr Size kRows = 67, kColumns = 37;
    const kernels::AdamwOptions options{.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .lr_factor = 2, .decay = 0.1};
    auto w = tests::random_values(kRows * kColumns, 1), m = tests::random_values(kRows * kColumns, 2);
    auto v = tests::random_values(kRows * kColumns, 3), g = tests::random_values(kRows * kColumns, 4);
    for (double& value : v) value = std::abs(value);
    auto touched = [](Size r) { return r % 3 == 0; };
    for (Size r = 0; r < kRows; ++r) {
        // A touched row of one element only, at either end, is touched, too.
        for (Size c = 0; c < kColumns; ++c) {
            bool keep = r % 6 == 0 || (r % 6 == 3 && c == (r % 12 == 3 ? 0 : kColumns - 1));
            if (!keep) g[static_cast<std::size_t>(r * kColumns + c)] = c % 2 == 0 ? 0.0 : -0.0;
        }
    }
    StepScalars values{.learning_rate = 0.01f, .clip_factor = 0.5f, .bias_correction1 = 0.5f, .bias_correction2 = 0.25f};
    tests::DeviceScalars scalars(exec, values);
    auto table = [&](const std::vector<double>& from) { return from_host(exec, {kRows, kColumns}, Dtype::f32, from); };
    Tensor tg = table(g), w1 = table(w), m1 = table(m), v1 = table(v), w2 = table(w), m2 = table(m), v2 = table(v);
    visit_device(exec, [&]<class D>(D) {
        Tensor flags(exec, {kRows}, Dtype::f32);
        kernels::touched_rows<D, float>(exec, flags.data<float>(), tg.rows<float>());
        kernels::adamw_touched<D, float>(exec, w1.rows<float>(), tg.rows<float>(), m1.rows<float>(), v1.rows<float>(), flags.data<float>(),
                                         options);
        kernels::adamw<D, float>(exec, w2.data<float>(), tg.data<float>(), m2.data<float>(), v2.data<float>(),
                                 kRows * w2.rows<float>().stride, options);
    });
    auto check = [&](const Tensor& got, const Tensor& all, const std::vector<double>& before) {
        auto one = to_host<double>(exec, got), every = to_host<double>(exec, all);
        for (Size r = 0; r < kRows; ++r) {
            for (Size c = 0; c < kColumns; ++c) {
                auto i = static_cast<std::size_t>(r * kColumns + c);
                CHECK(one[i] == (touched(r) ? every[i] : static_cast<double>(static_cast<float>(before[i]))));
            }
        }
    };
    check(w1, w2, w), check(m1, m2, m), check(v1, v2, v);
}
