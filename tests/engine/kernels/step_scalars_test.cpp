#include "engine/kernels/step_scalars.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/device_scalars.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

#include <limits>

using namespace engine;

TEST_CASE_DEVICES("clip_by_norm scales gradients down to the norm asked for, never up, and keeps the step's other scalars") {
    const StepScalars values{.seed = 5, .step = 7, .learning_rate = 0.25f, .bias_correction1 = 0.5f, .bias_correction2 = 0.125f};
    for (Size n : {0, 1, 100, 4096, 4097, 10000}) {
        auto gradient = tests::random_values(n, 1);
        double squares = 0;
        for (double& g : gradient) {
            g = static_cast<double>(static_cast<float>(g));
            squares += g * g;
        }
        for (double clip : {0.0, 0.25, 1e6}) {
            Tensor g = from_host(exec, {n}, Dtype::f32, gradient), norm(exec, {1}, Dtype::f64), sums(exec, {3}, Dtype::f64);
            tests::DeviceScalars scalars(exec, values);
            visit_device(exec, [&]<class D>(D) {
                kernels::squared_sums<D, float>(exec, sums.data<double>(), {g.data<float>(), 1, n, n});
                kernels::clip_by_norm<D>(exec, scalars.address(), norm.data<double>(), sums.data<double>(), kernels::squares_blocks(n),
                                         clip);
            });
            double got = to_host<double>(exec, norm)[0], expected = std::sqrt(squares);
            // Squares and sums in double: n roundings at most, each of 2⁻⁵³ of the sum.
            CHECK(std::abs(got - expected) <= expected * static_cast<double>(n + 2) * 0x1p-53);
            StepScalars after = scalars.read();
            double factor = clip > 0 ? std::min(1.0, clip / (expected + 1e-6)) : 1.0;
            CHECK(static_cast<double>(after.clip_factor) == doctest::Approx(factor).epsilon(0x1p-23));
            CHECK(after.seed == 5);
            CHECK(after.step == 7);
            CHECK(after.learning_rate == 0.25f);
            CHECK(after.bias_correction1 == 0.5f);
            CHECK(after.bias_correction2 == 0.125f);
        }
    }
}

TEST_CASE_DEVICES("squared sums of rows are those of each row by itself, bit for bit") {
    Size R = 3, n = 5003;
    Tensor g = from_host(exec, {R, n}, Dtype::f32, tests::random_values(R * n, 2)), all(exec, {R, 2}, Dtype::f64),
           one(exec, {2}, Dtype::f64);
    visit_device(exec, [&]<class D>(D) { kernels::squared_sums<D, float>(exec, all.data<double>(), g.rows<float>()); });
    for (Size r = 0; r < R; ++r) {
        visit_device(exec, [&]<class D>(D) { kernels::squared_sums<D, float>(exec, one.data<double>(), g.row_range(r, 1).rows<float>()); });
        CHECK(to_host<double>(exec, all.row_range(r, 1)) == to_host<double>(exec, one));
    }
}

TEST_CASE_DEVICES("squared sums of strips add up to those of the table, and parts of its columns have theirs of the whole, bit for bit") {
    for (auto [R, C, block_rows] : {std::array<Size, 3>{13, 128, 4}, {7, 256, 7}, {40, 100, 16}, {3, 5, 8}}) {
        std::vector<double> values = tests::random_values(R * C, 3);
        Tensor g = from_host(exec, {R, C}, Dtype::f32, values);
        Size blocks = (R + block_rows - 1) / block_rows;
        auto sums_of = [&](const Tensor& part, int strips) {
            Tensor sums(exec, {strips * blocks}, Dtype::f64);
            visit_sum(exec, Dtype::f32, [&]<class D, class S>(On<D, S>) {
                kernels::squared_strip_sums<D, S>(exec, sums.data<double>(), blocks, part.rows<S>(), strips, block_rows);
            });
            return to_host<double>(exec, sums);
        };
        std::vector<double> whole = sums_of(g, 8), rounded = to_host<double>(exec, g);
        double sum = 0, exact = 0;
        for (double each : whole) sum += each;
        for (double value : rounded) exact += value * value;
        // Fewer than 2^12 terms in double, each of them positive.
        CHECK(std::abs(sum - exact) < 0x1p-40 * exact);
        for (int parts : {2, 4, 8}) {
            if (C % (16 * parts) != 0) continue;
            std::vector<double> joined;
            for (int p = 0; p < parts; ++p) {
                std::vector<double> part = sums_of(g.columns(C / parts * p, C / parts), 8 / parts);
                joined.insert(joined.end(), part.begin(), part.end());
            }
            CHECK(joined == whole);
        }
    }
}

TEST_CASE_DEVICES("a norm that is not finite gives the factor 0") {
    for (float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        std::vector<float> gradient(5000, 1.0f);
        gradient[4321] = bad;
        Tensor g = from_host(exec, {5000}, Dtype::f32, gradient), norm(exec, {1}, Dtype::f64), sums(exec, {2}, Dtype::f64);
        tests::DeviceScalars scalars(exec);
        visit_device(exec, [&]<class D>(D) {
            kernels::squared_sums<D, float>(exec, sums.data<double>(), {g.data<float>(), 1, 5000, 5000});
            kernels::clip_by_norm<D>(exec, scalars.address(), norm.data<double>(), sums.data<double>(), 2, 1.0);
        });
        CHECK(scalars.read().clip_factor == 0.0f);
    }
}
