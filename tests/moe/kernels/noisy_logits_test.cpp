#include "moe/kernels/noisy_logits.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/device_scalars.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;

namespace {

std::vector<double> noisy(Exec& exec, const std::vector<double>& z, const std::vector<double>& s, Size E, Size first_row,
                          std::uint64_t step) {
    tests::DeviceScalars scalars(exec, {.seed = 3, .step = step});
    Size N = static_cast<Size>(z.size()) / E;
    Tensor logits = from_host(exec, {N, E}, Dtype::f32, z), deviations = from_host(exec, {N, E}, Dtype::f32, s),
           h(exec, {N, E}, Dtype::f32);
    visit_sum(exec, Dtype::f32, [&]<class D, class S>(On<D, S>) {
        moe::kernels::noisy_logits<D, S>(exec, h.rows<S>(), logits.rows<S>(), deviations.rows<S>(), 7, first_row);
    });
    return to_host<double>(exec, h);
}

}  // namespace

TEST_CASE_DEVICES("the noise is normal with softplus(s) for its deviation, for small and large s") {
    constexpr std::size_t kCount = 9000;
    for (double s : {-20.0, -1.0, 0.0, 3.0, 100.0}) {
        double deviation = s > 50 ? s : std::log1p(std::exp(s)), mean = 0, squares = 0, cubes = 0;
        for (double h : noisy(exec, std::vector<double>(kCount, 0.0), std::vector<double>(kCount, s), 9, 0, 5)) {
            double nu = h / deviation;
            mean += nu / kCount, squares += nu * nu / kCount, cubes += nu * nu * nu / kCount;
        }
        // Deviations 1/√9000, √2/√9000 and √15/√9000: five of each.
        CHECK(std::abs(mean) < 0.053);
        CHECK(std::abs(squares - 1) < 0.075);
        CHECK(std::abs(cubes) < 0.21);
    }
}

TEST_CASE_DEVICES("a row's noise belongs to its place in the batch and to the step, and is added to the logit") {
    std::vector<double> z = tests::random_values(24 * 5, 1), s = tests::random_values(24 * 5, 2);
    std::vector<double> whole = noisy(exec, z, s, 5, 0, 5), shifted = z;
    std::vector<double> later = noisy(exec, {z.begin() + 60, z.end()}, {s.begin() + 60, s.end()}, 5, 12, 5);
    CHECK(std::equal(later.begin(), later.end(), whole.begin() + 60));
    CHECK(noisy(exec, z, s, 5, 0, 6) != whole);
    for (double& value : shifted) value += 1;
    std::vector<double> moved = noisy(exec, shifted, s, 5, 0, 5);
    for (std::size_t i = 0; i < whole.size(); ++i) CHECK(moved[i] - whole[i] == doctest::Approx(1).epsilon(1e-6));
}

TEST_CASE("noisy logits of cpu and simt differ by the softplus's rounding only") {
    Exec cpu, simt{.device = {DeviceKind::simt, 0}};
    std::vector<double> z = tests::random_values(77 * 5, 1), s = tests::random_values(77 * 5, 2);
    // |ν| < 5 and softplus below 1.4: a few units of 2⁻²⁴ of 7.
    CHECK(tests::relative_error(noisy(simt, z, s, 5, 0, 5), noisy(cpu, z, s, 5, 0, 5)) < 8 * 0x1p-24);
}
