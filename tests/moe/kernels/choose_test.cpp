#include "moe/kernels/choose.h"

#include "engine/base/philox.h"
#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

#include <numeric>

using namespace engine;
using moe::kernels::ChoiceDropout;
using moe::kernels::Gate;

namespace {

struct Case {
    Size N, E, K;
    float rate;
};

constexpr StepScalars kScalars{.seed = 3, .step = 9};

// The K largest that were not dropped, then the dropped ones, each by (score, index).
std::vector<std::size_t> order_of(const double* z, const Case& c, Size n, const ChoiceDropout& dropout, std::vector<bool>& dropped) {
    std::vector<std::size_t> order(static_cast<std::size_t>(c.E));
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t e = 0; e < order.size(); ++e) {
        auto element = static_cast<std::uint64_t>((dropout.first_row + n) * c.E) + e;
        dropped[e] = random_bits(kScalars.seed, kScalars.step, dropout.site, element) < drop_threshold(dropout.rate);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return dropped[a] != dropped[b] ? dropped[b] : z[a] > z[b]; });
    return order;
}

}  // namespace

TEST_CASE_DEVICES("choose takes the largest scores, drops experts by their counters, and its gates have their formulas' gradients") {
    Tensor scalars(exec, {sizeof(StepScalars) / 8}, Dtype::i64);
    std::vector<std::int64_t> words(sizeof(StepScalars) / 8);
    memcpy(words.data(), static_cast<const void*>(&kScalars), sizeof kScalars);
    copy_from_host(exec, scalars, words);
    exec.scalars = static_cast<const StepScalars*>(scalars.address());
    for (Gate gate : {Gate::one, Gate::sigmoid, Gate::softmax_all, Gate::softmax_chosen}) {
        for (const Case& c : {Case{1, 1, 1, 0}, Case{9, 7, 3, 0}, Case{67, 16, 16, 0}, Case{70, 5, 3, 0.4f}}) {
            ChoiceDropout dropout{c.rate, 8, 1000};
            // Quarters, so that scores are often equal.
            auto z = tests::random_values(c.N * c.E, 1), dgates = tests::random_values(c.N * c.K, 2);
            for (double& value : z) value = std::round(8 * value) / 4;
            Tensor tz = from_host(exec, {c.N, c.E}, Dtype::f32, z), tg = from_host(exec, {c.N * c.K}, Dtype::f32, dgates),
                   ids(exec, {c.N * c.K}, Dtype::i32), gates(exec, {c.N * c.K}, Dtype::f32), dz(exec, {c.N, c.E}, Dtype::f32);
            visit_device(exec, [&]<class D>(D) {
                moe::kernels::choose<D, float>(exec, ids.data<std::int32_t>(), gates.data<float>(), tz.rows<float>(), c.K, gate, dropout);
                moe::kernels::choose_backward<D, float>(exec, dz.rows<float>(), tg.data<float>(), ids.data<std::int32_t>(),
                                                        gates.data<float>(), tz.rows<float>(), c.K, gate);
            });
            std::vector<std::int32_t> expected_ids;
            std::vector<double> expected_gates, expected_dz(z.size());
            for (Size n = 0; n < c.N; ++n) {
                const double* row = z.data() + n * c.E;
                double* out = expected_dz.data() + n * c.E;
                std::vector<bool> dropped(static_cast<std::size_t>(c.E));
                std::vector<std::size_t> order = order_of(row, c, n, dropout, dropped);
                double all = 0, chosen = 0, mean = 0;
                for (Size e = 0; e < c.E; ++e) all += std::exp(row[e]);
                for (Size k = 0; k < c.K; ++k) chosen += std::exp(row[order[static_cast<std::size_t>(k)]]);
                for (Size k = 0; k < c.K; ++k) {
                    std::size_t e = order[static_cast<std::size_t>(k)];
                    double value = gate == Gate::one           ? 1
                                   : gate == Gate::sigmoid     ? 1 / (1 + std::exp(-row[e]))
                                   : gate == Gate::softmax_all ? std::exp(row[e]) / all
                                                               : std::exp(row[e]) / chosen;
                    if (dropped[e]) value = 0;
                    double g = dgates[static_cast<std::size_t>(n * c.K + k)];
                    expected_ids.push_back(static_cast<std::int32_t>(e));
                    expected_gates.push_back(value);
                    mean += g * value;
                    if (gate == Gate::sigmoid) out[e] += g * value * (1 - value);
                    if (gate == Gate::softmax_all || gate == Gate::softmax_chosen) out[e] += g * value;
                }
                for (Size e = 0; e < c.E; ++e) {
                    if (gate == Gate::softmax_all) out[e] -= mean * std::exp(row[e]) / all;
                }
                for (Size k = 0; gate == Gate::softmax_chosen && k < c.K; ++k) {
                    std::size_t e = order[static_cast<std::size_t>(k)];
                    out[e] -= mean * expected_gates[static_cast<std::size_t>(n * c.K + k)];
                }
            }
            CHECK(to_host<std::int32_t>(exec, ids) == expected_ids);
            // Exponentials to 2 ulp, sums over at most 16, a division: some 30 roundings of values up to 1.
            CHECK(tests::relative_error(to_host<double>(exec, gates), expected_gates) <= 30 * 0x1p-24);
            if (c.E > 1 && gate != Gate::one) CHECK(tests::relative_error(to_host<double>(exec, dz), expected_dz) <= 60 * 0x1p-24);
            if (gate == Gate::one) CHECK(to_host<double>(exec, dz) == expected_dz);
        }
    }
    exec.scalars = nullptr;
}
