#include "moe/kernels/entropy.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;

TEST_CASE_DEVICES("the entropy of the mean choice and its gradient equal their formulas, from one leaf or several") {
    struct Case {
        Size N, E, leaves;
    };
    for (auto [N, E, leaves] : {Case{1, 1, 1}, Case{6, 3, 3}, Case{130, 17, 2}, Case{195, 5, 1}, Case{4500, 3, 1}}) {
        auto z = tests::random_values(N * E, 1), start = tests::random_values(N * E, 2);
        for (double& value : z) value *= 4;
        Tensor tz = from_host(exec, {N, E}, Dtype::f32, z), leaf(exec, {leaves, 2 * E}, Dtype::f32), log_p(exec, {E}, Dtype::f32),
               loss(exec, {1}, Dtype::f32), dz = from_host(exec, {N, E}, Dtype::f32, start),
               added = from_host(exec, {N, E}, Dtype::f32, start);
        double scale = 0.7 / static_cast<double>(N);
        visit_device(exec, [&]<class D>(D) {
            for (Size i = 0; i < leaves; ++i) {
                float* row = leaf.rows<float>().row(i);
                moe::kernels::entropy_leaf<D, float>(exec, row, row + E, tz.rows<float>().slice(i * (N / leaves), N / leaves));
            }
            moe::kernels::entropy_finish<D, float>(exec, log_p.data<float>(), loss.data<float>(), leaf.rows<float>(), E,
                                                   static_cast<double>(N));
            moe::kernels::entropy_backward<D, float>(exec, dz.rows<float>(), false, tz.rows<float>(), log_p.data<float>(), scale);
            moe::kernels::entropy_backward<D, float>(exec, added.rows<float>(), true, tz.rows<float>(), log_p.data<float>(), scale);
        });
        std::size_t experts = static_cast<std::size_t>(E);
        std::vector<double> q(z.size()), p(experts), gradient(z.size()), sum(z.size());
        for (std::size_t n = 0; n < static_cast<std::size_t>(N); ++n) {
            double total = 0;
            for (std::size_t e = 0; e < experts; ++e) total += q[n * experts + e] = std::exp(z[n * experts + e]);
            for (std::size_t e = 0; e < experts; ++e) p[e] += (q[n * experts + e] /= total) / static_cast<double>(N);
        }
        double expected = 0;
        for (double share : p) expected += share * std::log(share);
        for (std::size_t n = 0; n < static_cast<std::size_t>(N); ++n) {
            double mean = 0;
            for (std::size_t e = 0; e < experts; ++e) mean += q[n * experts + e] * std::log(p[e]);
            for (std::size_t e = 0; e < experts; ++e) {
                gradient[n * experts + e] = scale * q[n * experts + e] * (std::log(p[e]) - mean);
                sum[n * experts + e] = start[n * experts + e] + gradient[n * experts + e];
            }
        }
        // Logs up to 8 and their sums over N rows in fp32: about (N + 20)·2⁻²⁴ of a value of order 1; one expert alone gives exact zeros.
        double bound = static_cast<double>(N + 20) * 4 * 0x1p-24;
        CHECK(std::abs(to_host<double>(exec, loss)[0] - expected) <= bound);
        if (E > 1) CHECK(tests::relative_error(to_host<double>(exec, dz), gradient) <= bound);
        CHECK(tests::relative_error(to_host<double>(exec, added), sum) <= bound);
    }
}
