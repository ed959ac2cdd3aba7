#include "moe/kernels/balanced_assignment.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;

namespace {

std::vector<std::int32_t> assigned(Exec& exec, const std::vector<double>& z, Size N, Size E) {
    Tensor logits = from_host(exec, {N, E}, Dtype::f32, z), ids(exec, {N}, Dtype::i32);
    visit_sum(exec, Dtype::f32, [&]<class D, class S>(On<D, S>) {
        moe::kernels::balanced_assignment<D, S>(exec, ids.data<std::int32_t>(), logits.rows<S>());
    });
    return to_host<std::int32_t>(exec, ids);
}

// The best that moving rows around any cycle of experts would gain: 0 where the assignment is an optimum.
double gain_of_best_cycle(const std::vector<double>& z, const std::vector<std::int32_t>& ids, Size E) {
    std::size_t width = static_cast<std::size_t>(E);
    std::vector<double> gain(width * width, -INFINITY);
    for (std::size_t n = 0; n < ids.size(); ++n) {
        std::size_t from = static_cast<std::size_t>(ids[n]);
        for (std::size_t to = 0; to < width; ++to)
            gain[from * width + to] = std::max(gain[from * width + to], z[n * width + to] - z[n * width + from]);
    }
    for (std::size_t via = 0; via < width; ++via) {
        for (std::size_t from = 0; from < width; ++from) {
            for (std::size_t to = 0; to < width; ++to)
                gain[from * width + to] = std::max(gain[from * width + to], gain[from * width + via] + gain[via * width + to]);
        }
    }
    double best = 0;
    for (std::size_t e = 0; e < width; ++e) best = std::max(best, gain[e * width + e]);
    return best;
}

void check_shares(const std::vector<std::int32_t>& ids, Size N, Size E) {
    std::vector<Size> used(static_cast<std::size_t>(E));
    for (std::int32_t id : ids) ++used.at(static_cast<std::size_t>(id));
    for (Size e = 0; e < E; ++e) CHECK(used[static_cast<std::size_t>(e)] == N / E + (e < N % E ? 1 : 0));
}

// Scores as fp32 has them.
std::vector<double> scores(Size count, std::uint64_t salt, double steps) {
    std::vector<double> z = tests::random_values(count, salt);
    for (double& value : z) value = static_cast<double>(static_cast<float>(std::round(value * steps) / steps));
    return z;
}

}  // namespace

TEST_CASE_DEVICES("a balanced assignment fills every share, and no cycle of exchanges would better it") {
    struct Sizes {
        Size N, E;
    };
    for (auto [N, E] : {Sizes{1, 1}, Sizes{7, 1}, Sizes{3, 5}, Sizes{64, 8}, Sizes{211, 7}, Sizes{97, 40}, Sizes{300, 2}}) {
        // Many different scores; few, so that most tie; and equal ones.
        for (double steps : {1e6, 4.0, 0.1}) {
            INFO(N << " rows, " << E << " experts, steps " << steps);
            std::vector<double> z = scores(N * E, 3, steps);
            std::vector<std::int32_t> ids = assigned(exec, z, N, E);
            check_shares(ids, N, E);
            // Rounding to 2³⁶ steps of a range of 2 costs at most N·2⁻³⁶.
            CHECK(gain_of_best_cycle(z, ids, E) <= static_cast<double>(N) * 0x1p-36);
        }
    }
}

TEST_CASE_DEVICES("one expert that every row likes best, and scores that are no numbers, still end in shares") {
    Size N = 60, E = 4;
    std::vector<double> z = scores(N * E, 5, 1e6);
    for (Size n = 0; n < N; ++n) z[static_cast<std::size_t>(n * E + 2)] += 100;
    std::vector<std::int32_t> ids = assigned(exec, z, N, E);
    check_shares(ids, N, E);
    CHECK(gain_of_best_cycle(z, ids, E) < 1e-5);  // the range is 102 here, and fp32 rounds 100 + z
    for (std::size_t i = 0; i < z.size(); i += 3) z[i] = i % 2 == 0 ? NAN : -INFINITY;
    check_shares(assigned(exec, z, N, E), N, E);
    check_shares(assigned(exec, std::vector<double>(z.size(), NAN), N, E), N, E);
}

TEST_CASE("cpu and simt assign the same experts, whatever ties") {
    Exec cpu, simt{.device = {DeviceKind::simt, 0}};
    for (double steps : {1e6, 4.0, 0.1}) {
        std::vector<double> z = scores(130 * 6, 9, steps);
        CHECK(assigned(cpu, z, 130, 6) == assigned(simt, z, 130, 6));
    }
}
