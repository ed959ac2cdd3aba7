#include "moe/kernels/second_choice.h"

#include "engine/base/philox.h"
#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/device_scalars.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;
using moe::kernels::Second;

namespace {

constexpr Size kN = 4000, kE = 5;

struct Choices {
    std::vector<std::int32_t> ids, kept;
};

Choices choices(Exec& exec, const std::vector<double>& z, Second second) {
    tests::DeviceScalars scalars(exec, {.seed = 3, .step = 9});
    Tensor logits = from_host(exec, {kN, kE}, Dtype::f32, z), ids(exec, {kN, 2}, Dtype::i32), kept(exec, {kN, 2}, Dtype::i32);
    visit_sum(exec, Dtype::f32, [&]<class D, class S>(On<D, S>) {
        moe::kernels::second_choice<D, S>(exec, ids.data<std::int32_t>(), kept.data<std::int32_t>(), logits.rows<S>(), second, 7, 11);
    });
    return {to_host<std::int32_t>(exec, ids), to_host<std::int32_t>(exec, kept)};
}

// The same logits in every row.
std::vector<double> repeated(const std::vector<double>& row) {
    std::vector<double> z;
    for (Size n = 0; n < kN; ++n) z.insert(z.end(), row.begin(), row.end());
    return z;
}

}  // namespace

TEST_CASE_DEVICES("the second choice is the largest of the rest, ties to the lower index") {
    Choices got = choices(exec, repeated({1, 2, 0, 2, 1}), Second::all);
    for (std::size_t n = 0; n < kN; ++n) {
        CHECK(got.ids[2 * n] == 1);
        CHECK(got.ids[2 * n + 1] == 3);
    }
    CHECK(got.kept == got.ids);
}

TEST_CASE_DEVICES("a sampled second choice has the softmax of the rest for its distribution, a random one stays with 2·p₂") {
    std::vector<double> row = {1.5, 0.5, 0, -0.5, 1};
    double all = 0, rest = 0;
    for (double z : row) all += std::exp(z);
    rest = all - std::exp(1.5);
    Choices sampled = choices(exec, repeated(row), Second::sampling), random = choices(exec, repeated(row), Second::random);
    std::vector<double> counts(kE, 0.0);
    double stayed = 0;
    for (std::size_t n = 0; n < kN; ++n) {
        CHECK(sampled.ids[2 * n] == 0);
        CHECK(random.ids[2 * n + 1] == 4);
        counts[static_cast<std::size_t>(sampled.ids[2 * n + 1])] += 1;
        stayed += random.kept[2 * n + 1] >= 0 ? 1 : 0;
    }
    CHECK(sampled.kept == sampled.ids);
    // A share p of 4,000 draws has the deviation √(p(1−p)/4000) ≤ 0.008: five of those.
    CHECK(counts[0] == 0);
    for (std::size_t e = 1; e < 5; ++e) CHECK(std::abs(counts[e] / kN - std::exp(row[e]) / rest) < 0.04);
    CHECK(std::abs(stayed / kN - 2 * std::exp(1.0) / all) < 0.04);
}

TEST_CASE("cpu and simt draw the same second choices") {
    Exec cpu, simt{.device = {DeviceKind::simt, 0}};
    auto z = tests::random_values(kN * kE, 5);
    for (Second second : {Second::all, Second::sampling, Second::random}) {
        Choices a = choices(cpu, z, second), b = choices(simt, z, second);
        CHECK(a.ids == b.ids);
        CHECK(a.kept == b.kept);
    }
}
