#include "moe/kernels/expert_choice.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

#include <numeric>

using namespace engine;

namespace {

std::vector<std::int32_t> best_rows(Exec& exec, const std::vector<double>& p, Size N, Size E, Size seats) {
    Tensor scores = from_host(exec, {N, E}, Dtype::f32, p), rows(exec, {E, seats}, Dtype::i32);
    visit_sum(exec, Dtype::f32,
              [&]<class D, class S>(On<D, S>) { moe::kernels::best_rows<D, S>(exec, rows.data<std::int32_t>(), scores.rows<S>(), seats); });
    return to_host<std::int32_t>(exec, rows);
}

// By sorting.
std::vector<std::int32_t> sorted_rows(const std::vector<double>& p, Size N, Size E, Size seats) {
    std::vector<std::int32_t> rows, order(static_cast<std::size_t>(N));
    for (Size e = 0; e < E; ++e) {
        std::iota(order.begin(), order.end(), 0);
        auto like = [&](std::int32_t n) {
            float value = static_cast<float>(p[static_cast<std::size_t>(n * E + e)]);
            return value > 0 ? value : 0.0f;
        };
        std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) { return like(a) > like(b); });
        rows.insert(rows.end(), order.begin(), order.begin() + seats);
    }
    return rows;
}

}  // namespace

TEST_CASE_DEVICES("an expert's rows are those of a stable sort, for any number of rows and seats, with ties, zeros and NaN") {
    for (auto [N, E] : {std::pair<Size, Size>{1, 1}, {1, 5}, {7, 3}, {300, 2}, {1031, 3}}) {
        for (double steps : {1e6, 8.0}) {
            std::vector<double> p = tests::random_values(N * E, 3);
            for (double& value : p) value = std::round(std::abs(value) * steps) / steps;
            if (N > 7) p[0] = NAN, p[5] = 0, p[static_cast<std::size_t>(3 * E)] = 1e-42;  // below the smallest normal number
            for (Size seats : {Size{1}, (N + 1) / 2, N}) {
                INFO(N << " rows, " << seats << " seats, steps " << steps);
                CHECK(best_rows(exec, p, N, E, seats) == sorted_rows(p, N, E, seats));
            }
        }
    }
}
