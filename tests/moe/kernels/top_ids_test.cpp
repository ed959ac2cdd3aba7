#include "moe/kernels/top_ids.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/device_scalars.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

#include <numeric>

using namespace engine;

namespace {

std::vector<std::int32_t> picked(Exec& exec, const std::vector<double>& s, Size N, Size E, Size K) {
    Tensor scores = from_host(exec, {N, E}, Dtype::f32, s), ids(exec, {N, K}, Dtype::i32);
    visit_sum(exec, Dtype::f32, [&]<class D, class S>(On<D, S>) {
        moe::kernels::top_ids<D, S>(exec, ids.data<std::int32_t>(), nullptr, scores.rows<S>(), K);
    });
    return to_host<std::int32_t>(exec, ids);
}

}  // namespace

TEST_CASE_DEVICES("top_ids lists the k largest scores of a row, falling, equal ones by index") {
    struct Sizes {
        Size N, E, K;
    };
    // K up to 32 is inserted, more is sorted: both, and the border.
    for (auto [N, E, K] : {Sizes{1, 1, 1}, Sizes{67, 13, 5}, Sizes{3, 7, 7}, Sizes{5, 257, 32}, Sizes{5, 257, 33}, Sizes{2, 101, 101},
                           Sizes{4, 1031, 300}, Sizes{0, 3, 1}}) {
        auto s = tests::random_values(N * E, 1);
        for (double& value : s) value = std::round(8 * value) / 8;
        std::vector<std::int32_t> expected;
        for (Size n = 0; n < N; ++n) {
            std::vector<std::int32_t> order(static_cast<std::size_t>(E));
            std::iota(order.begin(), order.end(), 0);
            const double* row = s.data() + n * E;
            std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return row[a] > row[b]; });
            expected.insert(expected.end(), order.begin(), order.begin() + K);
        }
        CHECK(picked(exec, s, N, E, K) == expected);
    }
}

TEST_CASE_DEVICES("scores that are no numbers rank as minus infinity, and every id stays a valid one") {
    double nan = std::nan(""), inf = INFINITY;
    CHECK(picked(exec, {nan, 1, nan, 2, nan, nan, nan, nan, -inf, nan, inf, nan}, 3, 4, 3) ==
          std::vector<std::int32_t>{3, 1, 0, 0, 1, 2, 2, 0, 1});
}

TEST_CASE_DEVICES("a dropped expert comes last and is not kept; the same are dropped on every device") {
    tests::DeviceScalars scalars(exec, {.seed = 3, .step = 9});
    Size N = 200, E = 6, K = 4;
    auto s = tests::random_values(N * E, 4);
    Tensor scores = from_host(exec, {N, E}, Dtype::f32, s), ids(exec, {N, K}, Dtype::i32), kept(exec, {N, K}, Dtype::i32);
    visit_sum(exec, Dtype::f32, [&]<class D, class S>(On<D, S>) {
        moe::kernels::top_ids<D, S>(exec, ids.data<std::int32_t>(), kept.data<std::int32_t>(), scores.rows<S>(), K, {0.5f, 7, 11});
    });
    auto got = to_host<std::int32_t>(exec, ids), left = to_host<std::int32_t>(exec, kept);
    for (Size n = 0; n < N; ++n) {
        auto dropped = [&](Size e) { return random_bits(3, 9, 7, static_cast<std::uint64_t>((n + 11) * E + e)) < drop_threshold(0.5f); };
        std::vector<std::int32_t> order(static_cast<std::size_t>(E));
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
            return dropped(a) != dropped(b) ? !dropped(a) : s[static_cast<std::size_t>(n * E + a)] > s[static_cast<std::size_t>(n * E + b)];
        });
        for (Size k = 0; k < K; ++k) {
            std::size_t i = static_cast<std::size_t>(n * K + k);
            CHECK(got[i] == order[static_cast<std::size_t>(k)]);
            CHECK(left[i] == (dropped(got[i]) ? -1 : got[i]));
        }
    }
}
