// Choices that look at the whole pass: BASE's balanced assignment and expert choice (LAYERS.md, rules 12 and 13).
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/router_reference.h"

using namespace engine;
using namespace tests;

namespace {

// The largest sum of logits over all assignments with `seats` of each expert left, rows from n on.
double best_sum(const std::vector<double>& z, std::size_t n, std::size_t N, std::vector<int>& seats) {
    if (n == N) return 0;
    double best = -INFINITY;
    for (std::size_t e = 0; e < seats.size(); ++e) {
        if (seats[e] == 0) continue;
        --seats[e];
        best = std::max(best, z[n * seats.size() + e] + best_sum(z, n + 1, N, seats));
        ++seats[e];
    }
    return best;
}

std::vector<int> seats_of(std::size_t N, std::size_t E) {
    std::vector<int> seats(E, static_cast<int>(N / E));
    for (std::size_t e = 0; e < N % E; ++e) ++seats[e];
    return seats;
}

}  // namespace

TEST_CASE_DEVICES("base in training gives every expert its share and reaches the largest sum of logits; in evaluation each row its best") {
    for (const char* options : {"n_experts=3 expert_size=2", "n_experts=4 expert_size=2 residual_mix=true", "n_experts=1 expert_size=2"}) {
        for (Size rows : {1, 4, 9, 10}) {
            LayerCase c{"base", rows, 5, options};
            auto x = random_values(c.N * c.C, 1);
            Table moved = moved_values(c), got = run_layer(exec, Dtype::f32, c, x, {}, moved);
            std::size_t N = static_cast<std::size_t>(c.N), E = static_cast<std::size_t>(option(c, "n_experts", 0));
            std::vector<double> z = naive_product(x, got["param.router.w"], c.N, c.C, static_cast<Size>(E)), gates, y;
            std::vector<int> seats = seats_of(N, E), used(E, 0);
            double sum = 0;
            for (std::size_t n = 0; n < N; ++n) {
                std::size_t e = static_cast<std::size_t>(got["ids"][n]);
                ++used[e];
                sum += z[n * E + e];
                gates.push_back(sigmoid(z[n * E + e]));
            }
            CHECK(used == seats);
            CHECK(sum == doctest::Approx(best_sum(z, 0, N, seats)).epsilon(1e-6));
            CHECK(relative_error(got["gates"], gates) < 1e-6);
            y = naive_experts(c, x, got, got["ids"], gates);
            for (std::size_t i = 0; word(c, "residual_mix", "false") == "true" && i < y.size(); ++i)
                y[i] += (1 - gates[i / static_cast<std::size_t>(c.C)]) * x[i];
            CHECK(relative_error(got["y"], y) < 1e-5);
            c.training = false;
            CHECK(run_layer(exec, Dtype::f32, c, x, {}, moved)["ids"] == top_of_rows(z, N, E, 1));
        }
    }
}

TEST_CASE_DEVICES("every expert takes the rows that it likes best, by softmax over experts or over rows, ties to the earlier row") {
    for (const char* options :
         {"n_experts=4 expert_size=3", "n_experts=5 expert_size=3 softmax_over=tokens capacity_factor=1.3 glu=true activation=silu",
          "n_experts=3 expert_size=2 capacity_factor=100", "n_experts=7 expert_size=2 capacity_factor=0.1"}) {
        LayerCase c{"expert-choice", 23, 6, options};
        INFO(options);
        auto x = random_values(c.N * c.C, 1);
        for (std::size_t i = 0; i < 6; ++i) x[5 * 6 + i] = x[17 * 6 + i];  // two equal rows
        Table moved = moved_values(c), got = run_layer(exec, Dtype::f32, c, x, {}, moved);
        std::size_t N = 23, E = static_cast<std::size_t>(option(c, "n_experts", 0));
        std::vector<double> z = naive_product(x, got["param.router.w"], 23, 6, static_cast<Size>(E)), p = softmax_rows(z, N, E).p;
        if (word(c, "softmax_over", "experts") == "tokens") {
            for (std::size_t e = 0; e < E; ++e) {
                double sum = 0;
                for (std::size_t n = 0; n < N; ++n) sum += std::exp(z[n * E + e]);
                for (std::size_t n = 0; n < N; ++n) p[n * E + e] = std::exp(z[n * E + e]) / sum;
            }
        }
        std::size_t seats =
            static_cast<std::size_t>(std::min(23.0, std::ceil(23 * option(c, "capacity_factor", 2) / static_cast<double>(E))));
        std::vector<double> rows, gates, ids(N * E, -1.0), row_gates(N * E, 0.0);
        for (std::size_t e = 0; e < E; ++e) {
            std::vector<double> column(N);
            for (std::size_t n = 0; n < N; ++n) column[n] = p[n * E + e];
            column[5] = column[17];
            std::vector<std::size_t> order = order_of(column.data(), N);
            for (std::size_t s = 0; s < seats; ++s) {
                rows.push_back(static_cast<double>(order[s]));
                gates.push_back(column[order[s]]);
                ids[order[s] * E + e] = static_cast<double>(e);
                row_gates[order[s] * E + e] = column[order[s]];
            }
        }
        CHECK(got["ids"] == rows);
        CHECK(relative_error(got["gates"], gates) < 1e-6);
        CHECK(relative_error(got["y"], naive_experts(c, x, got, ids, row_gates)) < 1e-5);
    }
}

TEST_CASE("expert choice refuses a capacity of zero, and k") {
    auto make = [](const char* options) {
        return moe::make_feed_forward(moe::method_named("expert-choice"), options_of(options), {6, 0, 1});
    };
    CHECK_THROWS(make("n_experts=4 expert_size=8 capacity_factor=0"));
    CHECK_THROWS(make("n_experts=4 expert_size=8 k=2"));
}

TEST_CASE("groups, and k within the open ones, are refused with the nearest valid value") {
    auto make = [](const char* options) { return moe::make_feed_forward(moe::method_named("deepseek"), options_of(options), {6, 0, 1}); };
    CHECK_THROWS_WITH(
        make("n_experts=12 expert_size=8 k=2 n_groups=5 topk_groups=1"),
        "[ffn] n_groups must divide n_experts and be at most 64: got n_groups = 5, n_experts = 12; hint: set ffn.n_groups = 6");
    CHECK_THROWS_WITH(make("n_experts=12 expert_size=8 k=5 n_groups=3 topk_groups=1"),
                      "[ffn] k must be between 1 and the experts of the open groups: got k = 5, topk_groups·n_experts/n_groups = 4; hint: "
                      "set ffn.k = 4");
    CHECK_THROWS_WITH(make("n_experts=12 expert_size=8 k=2 n_groups=3"), "[ffn] option topk_groups is missing; hint: it has no default");
}
