// row_lse, z_loss, fraction_mean and tree_rows, beside the formulas in double.
#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "moe/kernels/fraction_mean.h"
#include "moe/kernels/row_lse.h"
#include "moe/kernels/tree_rows.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;

TEST_CASE_DEVICES("log-sum-exp, z-loss and E·Σ f·P equal their formulas for odd and tiny sizes") {
    struct Sizes {
        Size N, E, K;
    };
    for (auto [N, E, K] : {Sizes{1, 1, 1}, Sizes{67, 13, 2}, Sizes{300, 3, 1}, Sizes{131, 257, 3}}) {
        auto z = tests::random_values(N * E, 1), before = tests::random_values(N * E, 2);
        for (double& value : z) value *= 6;
        std::vector<std::int32_t> choices;
        for (Size i = 0; i < N * K; ++i) choices.push_back(static_cast<std::int32_t>(i * 7 % E));
        Tensor logits = from_host(exec, {N, E}, Dtype::f32, z), lse(exec, {N}, Dtype::f32), leaf(exec, {2 * E}, Dtype::f32),
               square(exec, {1}, Dtype::f32), loss(exec, {1}, Dtype::f32), ids = from_host(exec, {N, K}, Dtype::i32, choices),
               dz = from_host(exec, {N, E}, Dtype::f32, before), dz_z = from_host(exec, {N, E}, Dtype::f32, before), means;
        std::vector<double> f, lse_exact, p(static_cast<std::size_t>(N * E)), sums(static_cast<std::size_t>(2 * E), 0.0);
        double squares = 0;
        for (Size n = 0; n < N; ++n) {
            double sum = 0;
            for (Size e = 0; e < E; ++e) sum += std::exp(z[static_cast<std::size_t>(n * E + e)]);
            lse_exact.push_back(std::log(sum));
            squares += std::log(sum) * std::log(sum);
            for (Size e = 0; e < E; ++e) {
                double q = std::exp(z[static_cast<std::size_t>(n * E + e)]) / sum;
                p[static_cast<std::size_t>(n * E + e)] = q;
                sums[static_cast<std::size_t>(e)] += q;
            }
            sums[static_cast<std::size_t>(E + choices[static_cast<std::size_t>(n * K)])] += 1;
        }
        visit_sum(exec, Dtype::f32, [&]<class D, class S>(On<D, S>) {
            moe::kernels::row_lse<D, S>(exec, lse.data<S>(), logits.rows<S>());
            moe::kernels::z_loss_leaf<D, S>(exec, square.data<S>(), lse.data<S>(), N);
            moe::kernels::z_loss_backward<D, S>(exec, dz_z.rows<S>(), true, logits.rows<S>(), lse.data<S>(), 0.25);
            moe::kernels::fraction_mean_leaf<D, S>(exec, leaf.data<S>(), logits.rows<S>(), lse.data<S>(), ids.data<std::int32_t>(), K);
            moe::kernels::fraction_mean_loss<D, S>(exec, loss.data<S>(), leaf.data<S>(), E, 3);
            moe::kernels::fraction_mean_backward<D, S>(exec, dz.rows<S>(), true, logits.rows<S>(), lse.data<S>(), leaf.data<S>() + E, 0.25);
        });
        double product = 0;
        for (Size e = 0; e < E; ++e) product += 3 * sums[static_cast<std::size_t>(e)] * sums[static_cast<std::size_t>(E + e)];
        std::vector<double> expected = before, expected_z = before;
        for (Size n = 0; n < N; ++n) {
            double mean = 0;
            for (Size e = 0; e < E; ++e) mean += p[static_cast<std::size_t>(n * E + e)] * sums[static_cast<std::size_t>(E + e)];
            for (Size e = 0; e < E; ++e) {
                std::size_t i = static_cast<std::size_t>(n * E + e);
                expected[i] += 0.25 * p[i] * (sums[static_cast<std::size_t>(E + e)] - mean);
                expected_z[i] += 0.5 * lse_exact[static_cast<std::size_t>(n)] * p[i];
            }
        }
        // Sums of up to 300 values: (300 + 8)·2⁻²⁴ at worst, an exponential's share of it a few units of its own.
        CHECK(tests::relative_error(to_host<double>(exec, lse), lse_exact) < 2e-6);
        CHECK(tests::relative_error(to_host<double>(exec, square), {squares}) < 2e-5);
        CHECK(tests::relative_error(to_host<double>(exec, leaf), sums) < 2e-5);
        CHECK(tests::relative_error(to_host<double>(exec, loss), {product}) < 4e-5);
        CHECK(tests::relative_error(to_host<double>(exec, dz), expected) < 2e-5);
        CHECK(tests::relative_error(to_host<double>(exec, dz_z), expected_z) < 2e-5);
    }
}

TEST_CASE_DEVICES("sums of micro-shards are added along the aligned tree, then divided") {
    auto x = tests::random_values(7 * 3, 1);
    Tensor leaves = from_host(exec, {7, 3}, Dtype::f32, x), sum(exec, {3}, Dtype::f32);
    visit_sum(exec, Dtype::f32,
              [&]<class D, class S>(On<D, S>) { moe::kernels::tree_rows<D, S>(exec, sum.data<S>(), leaves.rows<S>(), 3.0); });
    auto got = to_host<float>(exec, sum);
    for (std::size_t w = 0; w < 3; ++w) {
        auto f = [&](std::size_t s) { return static_cast<float>(x[s * 3 + w]); };
        CHECK(got[w] == (((f(0) + f(1)) + (f(2) + f(3))) + ((f(4) + f(5)) + f(6))) / 3.0f);
    }
}
