#include "moe/kernels/potentials.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;

namespace {

struct Potentials {
    std::vector<double> a, b, plan;
};

// `iterations` of correct Sinkhorn over groups of T rows, then exp(z + a + b).
Potentials iterate(Exec& exec, const std::vector<double>& z, Size N, Size E, Size T, int iterations) {
    Tensor scores = from_host(exec, {N, E}, Dtype::f32, z), a(exec, {N / T * E}, Dtype::f32), b(exec, {N}, Dtype::f32),
           plan(exec, {N, E}, Dtype::f32);
    visit_sum(exec, Dtype::f32, [&]<class D, class S>(On<D, S>) {
        for (int i = 0; i < iterations; ++i) {
            moe::kernels::row_potentials<D, S>(exec, b.data<S>(), scores.rows<S>(), i == 0 ? nullptr : a.data<S>(), T, 1);
            moe::kernels::column_potentials<D, S>(exec, a.data<S>(), scores.rows<S>(), b.data<S>(), T, 1);
        }
        moe::kernels::add_potentials<D, S>(exec, plan.rows<S>(), scores.rows<S>(), a.data<S>(), b.data<S>(), T, true);
    });
    return {to_host<double>(exec, a), to_host<double>(exec, b), to_host<double>(exec, plan)};
}

}  // namespace

TEST_CASE_DEVICES("after a column's half-step the plan's columns sum to 1, for groups of any size and logits of any size") {
    struct Sizes {
        Size N, E, T;
    };
    for (auto [N, E, T] : {Sizes{1, 1, 1}, Sizes{5, 3, 5}, Sizes{134, 7, 67}, Sizes{390, 4, 130}}) {
        for (double size : {1.0, 300.0}) {  // exp(300) is no float
            std::vector<double> z = tests::random_values(N * E, 3);
            for (double& value : z) value *= size;
            Potentials got = iterate(exec, z, N, E, T, 3);
            for (Size g = 0; g < N / T; ++g) {
                for (Size e = 0; e < E; ++e) {
                    double sum = 0;
                    for (Size n = g * T; n < (g + 1) * T; ++n) sum += got.plan[static_cast<std::size_t>(n * E + e)];
                    // z + a + b loses up to four roundings of |z| before the exponential.
                    CHECK(std::abs(sum - 1) < 8 * size * 0x1p-22);
                }
            }
        }
    }
}

TEST_CASE_DEVICES("many iterations make a plan whose rows are equal shares, too") {
    Potentials got = iterate(exec, tests::random_values(60 * 4, 5), 60, 4, 60, 60);
    for (std::size_t n = 0; n < 60; ++n) {
        double sum = 0;
        for (std::size_t e = 0; e < 4; ++e) sum += got.plan[n * 4 + e];
        CHECK(sum == doctest::Approx(4.0 / 60).epsilon(1e-4));
    }
}

TEST_CASE("potentials have the same bits on cpu and simt") {
    Exec cpu, simt{.device = {DeviceKind::simt, 0}};
    std::vector<double> z = tests::random_values(402 * 7, 7);
    Potentials a = iterate(cpu, z, 402, 7, 201, 4), b = iterate(simt, z, 402, 7, 201, 4);
    CHECK(a.a == b.a);
    CHECK(a.b == b.b);
}
