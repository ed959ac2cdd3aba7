// Routers against slow double-precision implementations written straight from the formulas (LAYERS.md, rules 8–14).
#include "engine/base/threads.h"
#include "tests/support/devices.h"
#include "tests/support/moe_layers.h"
#include "tests/support/random.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace engine;
using namespace tests;

namespace {

// A row's experts by falling score, ties to the lower index.
std::vector<std::size_t> order_of(const double* scores, std::size_t E) {
    std::vector<std::size_t> order(E);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
    return order;
}

struct Softmax {
    std::vector<double> p, lse;
};
Softmax softmax_rows(const std::vector<double>& z, std::size_t N, std::size_t E) {
    Softmax result{std::vector<double>(N * E), std::vector<double>(N)};
    for (std::size_t n = 0; n < N; ++n) {
        double sum = 0;
        for (std::size_t e = 0; e < E; ++e) sum += std::exp(z[n * E + e]);
        for (std::size_t e = 0; e < E; ++e) result.p[n * E + e] = std::exp(z[n * E + e]) / sum;
        result.lse[n] = std::log(sum);
    }
    return result;
}

// ids (N,K) → the same, −1 where the expert has no seat left; first choices first.
std::vector<double> seated(const std::vector<double>& ids, std::size_t N, std::size_t K, std::size_t E, double factor) {
    std::vector<double> kept = ids;
    if (factor == 0) return kept;
    double seats = std::ceil(factor * static_cast<double>(K * N) / static_cast<double>(E));
    std::vector<double> taken(E, 0.0);
    for (std::size_t k = 0; k < K; ++k) {
        for (std::size_t n = 0; n < N; ++n) {
            double& id = kept[n * K + k];
            if (id >= 0 && ++taken[static_cast<std::size_t>(id)] > seats) id = -1;
        }
    }
    return kept;
}

void add_balance(Table& out, const LayerCase& c, const Softmax& s, const std::vector<double>& ids, std::size_t N, std::size_t E,
                 std::size_t K) {
    double balance = 0, z = 0;
    for (std::size_t e = 0; e < E; ++e) {
        double f = 0, mean = 0;
        for (std::size_t n = 0; n < N; ++n) {
            f += (ids[n * K] == static_cast<double>(e) ? 1.0 : 0.0) / static_cast<double>(N);
            mean += s.p[n * E + e] / static_cast<double>(N);
        }
        balance += f * mean * (word(c, "balance_scale", "paper") == "paper" ? static_cast<double>(E) : 1.0 / static_cast<double>(E));
    }
    for (double lse : s.lse) z += lse * lse / static_cast<double>(N);
    out["loss.balance"] = {balance};
    out["loss.z"] = {z};
}

Table reference(const LayerCase& c, const std::vector<double>& x, const Table& param) {
    std::size_t N = static_cast<std::size_t>(c.N), E = static_cast<std::size_t>(option(c, "n_experts", 0)),
                K = static_cast<std::size_t>(option(c, "k", c.method == "gshard" ? 2 : 1));
    std::vector<double> z = naive_product(x, param.at("param.router.w"), c.N, c.C, static_cast<Size>(E));
    Softmax s = softmax_rows(z, N, E);
    Table out;
    auto &ids = out["ids"], &gates = out["gates"];
    ids.resize(N * K), gates.assign(N * K, 0.0);
    for (std::size_t n = 0; n < N; ++n) {
        std::vector<std::size_t> order = order_of(&z[n * E], E);
        for (std::size_t k = 0; k < K; ++k) ids[n * K + k] = static_cast<double>(order[k]);
    }
    std::vector<double> kept = seated(ids, N, K, E, option(c, "capacity_factor", 0));
    for (std::size_t n = 0; n < N; ++n) {
        auto p = [&](std::size_t k) { return s.p[n * E + static_cast<std::size_t>(ids[n * K + k])]; };
        auto has = [&](std::size_t k) { return kept[n * K + k] >= 0 ? 1.0 : 0.0; };
        for (std::size_t k = 0; k < K; ++k) {
            double divisor = 1;
            if (c.method == "gshard") {
                divisor = word(c, "renormalise", "after") == "before" ? p(0) + p(1) : has(0) * p(0) + has(1) * p(1);
            }
            gates[n * K + k] = has(k) > 0 ? p(k) / divisor : 0;
        }
    }
    add_balance(out, c, s, ids, N, E, K);
    out["y"] = naive_experts(c, x, param, kept, gates);
    return out;
}

double worst(const Table& got, const Table& expected) {
    double error = 0;
    for (const auto& [name, values] : expected) {
        INFO(name);
        REQUIRE(got.contains(name));
        double here = relative_error(got.at(name), values);
        if (name == "ids") REQUIRE(got.at(name) == values);
        CHECK(here < 1e-4);
        error = std::max(error, here);
    }
    return error;
}

const LayerCase kCases[] = {
    {"switch", 11, 13, "n_experts=5 expert_size=7 balance_weight=0.3 z_weight=0.2"},
    {"switch", 23, 6, "n_experts=4 expert_size=3 k=2 balance_weight=0.3 balance_scale=released capacity_factor=1.0"},
    {"switch", 17, 6, "n_experts=3 expert_size=5 capacity_factor=0.5 activation=gelu glu=true z_weight=0.01"},
    {"switch", 1, 3, "n_experts=1 expert_size=1 balance_weight=1"},
    {"switch", 8, 5, "n_experts=3 expert_size=2 k=3 capacity_factor=0.01"},
    {"gshard", 19, 7, "n_experts=5 expert_size=3 balance_weight=0.3 z_weight=0.1"},
    {"gshard", 19, 7, "n_experts=5 expert_size=3 balance_weight=0.3 renormalise=before capacity_factor=0.7"},
    {"gshard", 23, 7, "n_experts=4 expert_size=3 renormalise=after capacity_factor=0.5 activation=silu"},
    {"gshard", 2, 4, "n_experts=2 expert_size=3"},
};

}  // namespace

TEST_CASE("routers in double equal their formulas: ids, gates, losses and output") {
    Exec exec;
    for (const LayerCase& c : kCases) {
        INFO(c.method << " " << c.options);
        auto x = random_values(c.N * c.C, 1);
        Table got = run_layer(exec, Dtype::f64, c, x, {});
        CHECK(worst(got, reference(c, x, got)) < 1e-12);
    }
}

TEST_CASE_DEVICES("routers in fp32 equal their formulas on every device") {
    for (const LayerCase& c : kCases) {
        INFO(c.method << " " << c.options);
        auto x = random_values(c.N * c.C, 1);
        Table got = run_layer(exec, Dtype::f32, c, x, {});
        // Chains of at most 13·7 products and 23 rows: (91 + 23 + 8)·2⁻²⁴ of the largest term, doubled for exp and log.
        CHECK(worst(got, reference(c, x, got)) < 1.5e-5);
    }
}

TEST_CASE("a uniform router has E·Σ f·P = 1, and all rows to one expert with certainty E") {
    Exec exec;
    for (const char* method : {"switch", "gshard"}) {
        LayerCase c{method, 12, 4, "n_experts=4 expert_size=3 balance_weight=1"};
        auto x = random_values(48, 1);
        // Powers of two: exact.
        CHECK(run_layer(exec, Dtype::f32, c, x, {}, {{"router.w", std::vector<double>(16, 0.0)}})["loss.balance"] ==
              std::vector<double>{1});
        std::vector<double> router(16, 0.0), ones(48, 1.0);
        for (std::size_t i = 0; i < 4; ++i) router[4 * i + 2] = 100;
        CHECK(run_layer(exec, Dtype::f32, c, ones, {}, {{"router.w", router}})["loss.balance"] == std::vector<double>{4});
    }
}

TEST_CASE("switch's released balance is 1/E² of the paper's") {
    Exec exec;
    LayerCase paper{"switch", 12, 4, "n_experts=4 expert_size=3"}, released = paper;
    released.options += " balance_scale=released";
    auto x = random_values(48, 1);
    CHECK(run_layer(exec, Dtype::f64, paper, x, {})["loss.balance"][0] ==
          doctest::Approx(16 * run_layer(exec, Dtype::f64, released, x, {})["loss.balance"][0]).epsilon(1e-14));
}

TEST_CASE("a row whose choices all lost their seats is 0 and has no gradient; a lone survivor of gshard has gate 1") {
    Exec exec;
    // One expert is everybody's first choice, another everybody's second; two seats each.
    std::vector<double> router(4 * 3, 0.0), x(24, 1.0);
    for (std::size_t c = 0; c < 4; ++c) router[c * 3 + 1] = 0.5, router[c * 3 + 2] = 0.25;
    LayerCase c{"gshard", 6, 4, "n_experts=3 expert_size=5 capacity_factor=0.5 balance_weight=0 activation=identity"};
    Table got = run_layer(exec, Dtype::f32, c, x, random_values(24, 2), {{"router.w", router}});
    for (std::size_t i = 2 * 4; i < 24; ++i) {
        CHECK(got["y"][i] == 0);
        CHECK(got["dx"][i] == 0);
    }
    for (std::size_t n = 2; n < 6; ++n) {
        CHECK(got["ids"][2 * n] == 1);
        CHECK(got["ids"][2 * n + 1] == 2);
        CHECK(got["gates"][2 * n] == 0);
    }
    // x picks a row of the router. All rows want expert 0, one seat each: row 0 has both its seats, row 1 none, row 2 its second.
    LayerCase after{"gshard", 3, 3, "n_experts=3 expert_size=3 capacity_factor=0.5"}, before = after;
    before.options += " renormalise=before";
    std::vector<double> rows{1, 0, 0, 0, 1, 0, 0, 0, 1}, towards{1, 0, 0.5, 1, 0, 0.5, 1, 0.5, 0};
    double first = 1 / (1 + std::exp(-0.5));
    for (const LayerCase& each : {after, before}) {
        Table kept = run_layer(exec, Dtype::f64, each, rows, {}, {{"router.w", towards}});
        CHECK(kept["gates"][0] == doctest::Approx(first));
        CHECK(kept["gates"][1] == doctest::Approx(1 - first));
        CHECK((kept["gates"][2] == 0 && kept["gates"][3] == 0 && kept["gates"][4] == 0));
    }
    CHECK(run_layer(exec, Dtype::f64, after, rows, {}, {{"router.w", towards}})["gates"][5] == 1);
    CHECK(run_layer(exec, Dtype::f64, before, rows, {}, {{"router.w", towards}})["gates"][5] == doctest::Approx(1 - first));
}

TEST_CASE("impossible routers are refused with the rule") {
    auto make = [](const char* method, const char* options) {
        return moe::make_feed_forward(moe::method_named(method), options_of(options), {6, 0, 1});
    };
    CHECK_THROWS_WITH(make("gshard", "n_experts=4 expert_size=8 k=3"),
                      "[ffn] k is fixed for this method: got k = 3, expected 2; hint: leave ffn.k out");
    CHECK_THROWS_WITH(make("gshard", "n_experts=1 expert_size=8"),
                      "[ffn] k must be between 1 and n_experts: got k = 2, n_experts = 1; hint: set ffn.k");
    CHECK_THROWS_WITH(make("switch", "n_experts=4 expert_size=8 capacity_factor=-1"),
                      "[ffn] option capacity_factor is out of range: got -1, expected 0 to 1000000");
    CHECK_THROWS(make("sigma-moe", "n_experts=4 expert_size=8 k=2 capacity_factor=1.0"));
    CHECK_THROWS(make("gshard", "n_experts=4 expert_size=8 balance_scale=paper"));
}
