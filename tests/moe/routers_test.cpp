// Routers against slow double-precision implementations written straight from the formulas (LAYERS.md, rules 8–14).
#include "engine/base/threads.h"
#include "tests/support/devices.h"
#include "tests/support/router_reference.h"

using namespace engine;
using namespace tests;

namespace {

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

// What the row's selection compares, and its gate before capacity.
struct Scores {
    std::vector<double> keys, gates;  // (N,E)
};

Scores deepseek_scores(const LayerCase& c, const std::vector<double>& z, const Softmax& s, const Table& param, std::size_t N,
                       std::size_t E) {
    bool softmax = word(c, "score", "softmax") == "softmax";
    std::size_t groups = static_cast<std::size_t>(option(c, "n_groups", 1)), open = static_cast<std::size_t>(option(c, "topk_groups", 1)),
                width = E / groups;
    Scores result{std::vector<double>(N * E), std::vector<double>(N * E)};
    for (std::size_t n = 0; n < N; ++n) {
        std::vector<double> best(groups);
        for (std::size_t e = 0; e < E; ++e) {
            result.gates[n * E + e] = softmax ? s.p[n * E + e] : sigmoid(z[n * E + e]);
            result.keys[n * E + e] = result.gates[n * E + e] + param.at("param.router.bias")[e];
        }
        for (std::size_t g = 0; g < groups; ++g) {
            std::vector<double> own(result.keys.begin() + static_cast<long>(n * E + g * width),
                                    result.keys.begin() + static_cast<long>(n * E + (g + 1) * width));
            std::sort(own.rbegin(), own.rend());
            best[g] = softmax || width == 1 ? own[0] : own[0] + own[1];
        }
        std::vector<std::size_t> order = order_of(best.data(), groups);
        for (std::size_t i = open; i < groups; ++i) {
            for (std::size_t e = order[i] * width; e < (order[i] + 1) * width; ++e) result.keys[n * E + e] = -INFINITY;
        }
    }
    return result;
}

// Z + a after the iterations of rule 12, over groups of T rows.
std::vector<double> sinkhorn(const LayerCase& c, const std::vector<double>& z, std::size_t N, std::size_t E) {
    std::size_t T = word(c, "scope", "batch") == "batch" ? N : static_cast<std::size_t>(c.sequence_length);
    double sign = word(c, "sinkhorn", "correct") == "correct" ? 1 : -1;
    std::vector<double> keys(N * E);
    for (std::size_t first = 0; first < N; first += T) {
        std::vector<double> a(E, 0.0), b(T);
        for (int i = 0; i < static_cast<int>(option(c, "sinkhorn_iterations", 3)); ++i) {
            for (std::size_t t = 0; t < T; ++t) {
                double sum = 0;
                for (std::size_t e = 0; e < E; ++e) sum += std::exp(z[(first + t) * E + e] + sign * a[e]);
                b[t] = -std::log(sum);
            }
            for (std::size_t e = 0; e < E; ++e) {
                double sum = 0;
                for (std::size_t t = 0; t < T; ++t) sum += std::exp(z[(first + t) * E + e] + sign * b[t]);
                a[e] = -std::log(sum);
            }
        }
        for (std::size_t t = 0; t < T; ++t) {
            for (std::size_t e = 0; e < E; ++e) keys[(first + t) * E + e] = z[(first + t) * E + e] + a[e];
        }
    }
    return keys;
}

void add_deepseek_losses(Table& out, const LayerCase& c, const std::vector<double>& scores, const std::vector<double>& ids,
                         const Table& param, std::size_t N, std::size_t E, std::size_t K) {
    std::size_t T = c.sequence_length > 0 ? static_cast<std::size_t>(c.sequence_length) : N;
    double loss = 0;
    for (std::size_t first = 0; first < N; first += T) {
        for (std::size_t e = 0; e < E; ++e) {
            double count = 0, mean = 0;
            for (std::size_t n = first; n < first + T; ++n) {
                double sum = 0;
                for (std::size_t other = 0; other < E; ++other) sum += scores[n * E + other];
                mean += scores[n * E + e] / sum / static_cast<double>(T);
                for (std::size_t k = 0; k < K; ++k) count += ids[n * K + k] == static_cast<double>(e) ? 1 : 0;
            }
            loss += static_cast<double>(E) / static_cast<double>(K * T) * count * mean * static_cast<double>(T) / static_cast<double>(N);
        }
    }
    out["loss.balance"] = {loss};
    if (!c.training) return;
    std::vector<double>& next = out["next.router.bias"] = param.at("param.router.bias");
    for (std::size_t e = 0; e < E; ++e) {
        double over = static_cast<double>(N * K) / static_cast<double>(E) -
                      static_cast<double>(std::count(ids.begin(), ids.end(), static_cast<double>(e)));
        next[e] += option(c, "bias_rate", 0) * (over > 0 ? 1 : over < 0 ? -1 : 0);
    }
}

// gates, y and losses from ids.
Table reference(const LayerCase& c, const std::vector<double>& x, const Table& param) {
    std::size_t N = static_cast<std::size_t>(c.N), E = static_cast<std::size_t>(option(c, "n_experts", 0)),
                K = static_cast<std::size_t>(option(c, "k", c.method == "gshard" ? 2 : 1));
    std::vector<double> z = naive_product(x, param.at("param.router.w"), c.N, c.C, static_cast<Size>(E));
    Softmax s = softmax_rows(z, N, E);
    Scores scores{z, s.p};
    if (c.method == "deepseek") scores = deepseek_scores(c, z, s, param, N, E);
    if (c.method == "s-base" && c.training) scores.keys = sinkhorn(c, z, N, E);
    if (c.method == "s-base") std::transform(z.begin(), z.end(), scores.gates.begin(), sigmoid);
    Table out;
    std::vector<double> ids = out["ids"] = top_of_rows(scores.keys, N, E, K), kept = seated(ids, N, K, E, option(c, "capacity_factor", 0));
    std::vector<double>& gates = out["gates"];
    for (std::size_t n = 0; n < N; ++n) {
        auto p = [&](std::size_t k) { return scores.gates[n * E + static_cast<std::size_t>(ids[n * K + k])]; };
        auto has = [&](std::size_t k) { return kept[n * K + k] >= 0 ? 1.0 : 0.0; };
        double divisor = 1;
        if (c.method == "gshard" || c.method == "noisy-topk" || word(c, "renormalise", "false") == "true") {
            divisor = 0;
            for (std::size_t k = 0; k < K; ++k) divisor += word(c, "renormalise", "after") == "after" ? has(k) * p(k) : p(k);
        }
        for (std::size_t k = 0; k < K; ++k) gates.push_back(has(k) > 0 ? option(c, "route_scale", 1) * p(k) / divisor : 0);
    }
    if (c.method == "switch" || c.method == "gshard") add_balance(out, c, s, ids, N, E, K);
    if (c.method == "deepseek") add_deepseek_losses(out, c, scores.gates, ids, param, N, E, K);
    if (c.method == "noisy-topk") {
        std::vector<double> sums(E, 0.0);
        for (std::size_t i = 0; i < ids.size(); ++i) sums[static_cast<std::size_t>(ids[i])] += gates[i];
        double mean = std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(E), variance = 0;
        for (double sum : sums) variance += (sum - mean) * (sum - mean) / static_cast<double>(E);
        out["loss.cv"] = {variance / (mean * mean)};
    }
    out["y"] = naive_experts(c, x, param, kept, gates);
    if (option(c, "n_shared", 0) > 0) {
        LayerCase block = c;
        std::size_t cells = static_cast<std::size_t>(option(c, "n_shared", 0) * option(c, "expert_size", 0));
        block.options =
            "expert_size=" + std::to_string(cells) + " activation=" + word(c, "activation", "relu") + " glu=" + word(c, "glu", "false");
        Table shared{{"param.experts.w1", param.at("param.shared.w1")}, {"param.experts.w2", param.at("param.shared.w2")}};
        if (word(c, "glu", "false") == "true") shared["param.experts.w3"] = param.at("param.shared.w3");
        std::vector<double> more = naive_experts(block, x, shared, std::vector<double>(N, 0.0), std::vector<double>(N, 1.0));
        std::transform(more.begin(), more.end(), out["y"].begin(), out["y"].begin(), std::plus<double>());
    }
    return out;
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
    {"noisy-topk", 19, 7, "n_experts=5 expert_size=3 k=2 cv_weight=0.3 noise=false"},
    {"noisy-topk", 19, 7, "n_experts=5 expert_size=3 k=5 cv_weight=0.3", 0, {}, false},
    {"s-base", 23, 7, "n_experts=5 expert_size=3 k=2"},
    {"s-base", 150, 7, "n_experts=5 expert_size=3 k=1 sinkhorn=released sinkhorn_iterations=4"},
    {"s-base", 21, 7, "n_experts=5 expert_size=3 k=2 scope=sequence sinkhorn_iterations=1", 7},
    {"s-base", 23, 7, "n_experts=5 expert_size=3 k=2", 0, {}, false},
    {"deepseek", 19, 7, "n_experts=6 expert_size=3 k=2 n_shared=2 balance_weight=0.3 bias_rate=0.125 glu=true activation=silu"},
    {"deepseek", 20, 7,
     "n_experts=6 expert_size=3 k=2 score=sigmoid renormalise=true route_scale=2.5 bias_rate=0.125 n_groups=3 topk_groups=2", 5},
    {"deepseek", 20, 7, "n_experts=6 expert_size=3 k=3 score=softmax renormalise=true n_groups=2 topk_groups=1 n_shared=1", 10},
    {"deepseek", 19, 7, "n_experts=6 expert_size=3 k=2 score=sigmoid n_groups=6 topk_groups=3", 0, {}, false},
};

// Logits that differ, whatever a method's own initial values are; a bias in eighths.
Table spread_router(const LayerCase& c) {
    Table fixed;
    Size E = static_cast<Size>(option(c, "n_experts", 0));
    fixed["router.w"] = random_values(c.C * E, 21);
    for (double& value : fixed["router.w"]) value *= 1.5;
    std::vector<double>& bias = fixed["router.bias"] = random_values(E, 22);
    for (double& value : bias) value = std::round(4 * value) / 8;
    return fixed;
}

}  // namespace

TEST_CASE("routers in double equal their formulas: ids, gates, losses and output") {
    Exec exec;
    for (const LayerCase& c : kCases) {
        INFO(c.method << " " << c.options);
        auto x = random_values(c.N * c.C, 1);
        Table got = run_layer(exec, Dtype::f64, c, x, {}, spread_router(c));
        CHECK(worst_error(got, reference(c, x, got)) < 1e-12);
    }
}

TEST_CASE_DEVICES("routers in fp32 equal their formulas on every device") {
    for (const LayerCase& c : kCases) {
        INFO(c.method << " " << c.options);
        auto x = random_values(c.N * c.C, 1);
        Table got = run_layer(exec, Dtype::f32, c, x, {}, spread_router(c));
        // Chains of at most 13·7 products and 23 rows: (91 + 23 + 8)·2⁻²⁴ of the largest term, doubled for exp and log.
        CHECK(worst_error(got, reference(c, x, got)) < 1.5e-5);
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
