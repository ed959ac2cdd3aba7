#include "moe/kernels/gates.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;
using moe::kernels::Gate;
using moe::kernels::GateRule;

namespace {

constexpr Size kN = 37, kE = 7, kK = 3;

// ids of a row: three different experts; some are not kept, in row 5 none is.
std::vector<std::int32_t> some_ids(bool kept) {
    std::vector<std::int32_t> ids;
    for (Size n = 0; n < kN; ++n) {
        for (Size k = 0; k < kK; ++k) {
            bool keep = !kept || (n != 5 && (n * 5 + k * 3) % 4 != 0);
            ids.push_back(keep ? static_cast<std::int32_t>((n + 2 * k) % kE) : -1);
        }
    }
    return ids;
}

// α of every choice, from the formulas.
std::vector<double> expected_gates(const std::vector<double>& z, GateRule rule) {
    auto ids = some_ids(false), kept = some_ids(true);
    std::vector<double> gates;
    for (Size n = 0; n < kN; ++n) {
        auto logit = [&](Size k) { return z[static_cast<std::size_t>(n * kE + ids[static_cast<std::size_t>(n * kK + k)])]; };
        auto keeps = [&](Size k) { return kept[static_cast<std::size_t>(n * kK + k)] >= 0; };
        auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
        double all = 0, chosen = 0, sigmoids = 0;
        for (Size e = 0; e < kE; ++e) all += std::exp(z[static_cast<std::size_t>(n * kE + e)]);
        for (Size k = 0; k < kK; ++k) {
            if (!rule.over_kept || keeps(k)) chosen += std::exp(logit(k));
            sigmoids += sigmoid(logit(k));
        }
        for (Size k = 0; k < kK; ++k) {
            double alpha = rule.gate == Gate::one              ? 1
                           : rule.gate == Gate::raw            ? logit(k)
                           : rule.gate == Gate::sigmoid        ? sigmoid(logit(k))
                           : rule.gate == Gate::softmax_all    ? std::exp(logit(k)) / all
                           : rule.gate == Gate::softmax_chosen ? std::exp(logit(k)) / chosen
                                                               : sigmoid(logit(k)) / sigmoids;
            gates.push_back(keeps(k) ? rule.scale * alpha : 0);
        }
    }
    return gates;
}

const GateRule kRules[] = {{Gate::one, false, 2.5},           {Gate::raw},
                           {Gate::sigmoid, false, 0.5},       {Gate::softmax_all, false, 3},
                           {Gate::softmax_chosen, false, 2},  {Gate::softmax_chosen, true},
                           {Gate::sigmoid_chosen, false, 2.5}};

}  // namespace

TEST_CASE_DEVICES("gates equal their formulas, and their gradient that of central differences, also where choices are not kept") {
    auto z = tests::random_values(kN * kE, 1), dgates = tests::random_values(kN * kK, 2);
    for (double& value : z) value *= 4;
    for (const GateRule& rule : kRules) {
        INFO(static_cast<int>(rule.gate));
        Tensor logits = from_host(exec, {kN, kE}, Dtype::f32, z), out(exec, {kN * kK}, Dtype::f32), dz(exec, {kN, kE}, Dtype::f32),
               ids = from_host(exec, {kN, kK}, Dtype::i32, some_ids(false)), kept = from_host(exec, {kN, kK}, Dtype::i32, some_ids(true)),
               grad = from_host(exec, {kN * kK}, Dtype::f32, dgates);
        visit_sum(exec, Dtype::f32, [&]<class D, class S>(On<D, S>) {
            moe::kernels::gates<D, S>(exec, out.data<S>(), logits.rows<S>(), ids.data<std::int32_t>(), kept.data<std::int32_t>(), kN, kK,
                                      rule);
            if (rule.gate == Gate::one) return;
            moe::kernels::gates_backward<D, S>(exec, dz.rows<S>(), grad.data<S>(), logits.rows<S>(), ids.data<std::int32_t>(),
                                               kept.data<std::int32_t>(), kK, rule);
        });
        // Sums of 7 exponentials, each right to a few units: 16·2⁻²⁴.
        CHECK(tests::relative_error(to_host<double>(exec, out), expected_gates(z, rule)) < 1e-6);
        if (rule.gate == Gate::one) continue;
        std::vector<double> numeric;
        for (std::size_t i = 0; i < z.size(); ++i) {
            auto moved = z;
            double sum = 0;
            for (double step : {1e-5, -1e-5}) {
                moved[i] = z[i] + step;
                auto gates = expected_gates(moved, rule);
                for (std::size_t j = 0; j < gates.size(); ++j) sum += dgates[j] * gates[j] / (2 * step);
            }
            numeric.push_back(sum);
        }
        CHECK(tests::relative_error(to_host<double>(exec, dz), numeric) < 2e-6);
    }
}
