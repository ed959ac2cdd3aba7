// The rows of product keys and of low-rank keys against slow double-precision code written straight from their formulas, and the identities
// of METHODS.md. Gradients are held by every_row_test.cpp; here a few are formed from the formula as well.
#include "engine/tensor/transfer.h"
#include "nn/parameter_store.h"
#include "tests/support/devices.h"
#include "tests/support/moe_layers.h"
#include "tests/support/random.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace engine;
using namespace tests;

namespace {

std::size_t at(Size i) { return static_cast<std::size_t>(i); }

struct Chosen {
    std::vector<double> ids, gates, y;
};

// The query of every row, (N,H·D), or x.
std::vector<double> queries(const LayerCase& c, const std::vector<double>& x, const Table& p) {
    if (c.method == "pkm-relu") return x;
    Size columns = static_cast<Size>(option(c, "heads", 0) * option(c, "query_size", 0));
    auto q = naive_product(x, p.at("param.query.w"), c.N, c.C, columns);
    for (std::size_t i = 0; i < q.size(); ++i) q[i] += p.at("param.query.b")[i % at(columns)];
    std::string norm = word(c, "query_norm", "none");
    if (norm == "none") return q;
    auto normalise = [&](auto&& index, Size count, auto&& statistics) {
        double mean = 0, variance = 0;
        for (Size i = 0; i < count; ++i) mean += q[index(i)] / static_cast<double>(count);
        for (Size i = 0; i < count; ++i) variance += std::pow(q[index(i)] - mean, 2) / static_cast<double>(count);
        statistics(mean, variance);
        for (Size i = 0; i < count; ++i) {
            std::size_t f = index(i) % at(columns);
            q[index(i)] =
                (q[index(i)] - mean) / std::sqrt(variance + 1e-5) * p.at("param.query_norm.weight")[f] + p.at("param.query_norm.bias")[f];
        }
    };
    if (norm == "layer") {
        for (Size n = 0; n < c.N; ++n) normalise([&](Size i) { return at(n * columns + i); }, columns, [](double&, double&) {});
    } else {
        for (Size f = 0; f < columns; ++f) {
            normalise([&](Size i) { return at(i * columns + f); }, c.N,
                      [&](double& mean, double& variance) {
                          if (c.training) return;
                          mean = p.at("param.query_norm.mean")[at(f)], variance = p.at("param.query_norm.var")[at(f)];
                      });
        }
    }
    return q;
}

Chosen product_keys(const LayerCase& c, const std::vector<double>& x, const Table& p) {
    Size H = static_cast<Size>(option(c, "heads", 0)), P = static_cast<Size>(option(c, "sub_keys", 0)),
         K = static_cast<Size>(option(c, "k", 0)), M = P * P;
    bool own = c.method != "pkm-relu", shared = c.method == "peer" && word(c, "share_subkeys", "true") == "true";
    Size D = own ? static_cast<Size>(option(c, "query_size", 0)) : c.C;
    auto q = queries(c, x, p);
    const auto &subkeys = p.at("param.subkeys"), &values = p.at("param.values");
    std::string gate = own ? word(c, "gate", "softmax") : "relu";
    bool has_keys = p.contains("param.keys"), glu = p.contains("param.gate_keys");
    std::string kind = word(c, "activation", c.method == "peer" ? "gelu" : "relu");
    Chosen out;
    out.y.assign(at(c.N * c.C), 0);
    for (Size n = 0; n < c.N; ++n) {
        std::vector<double> scores;
        for (Size h = 0; h < H; ++h) {
            std::vector<double> score(at(M));
            for (Size slot = 0; slot < M; ++slot) {
                for (Size part = 0; part < 2; ++part) {
                    Size row = ((shared ? 0 : h) * 2 + part) * P + (part == 0 ? slot / P : slot % P);
                    for (Size d = 0; d < D / 2; ++d) {
                        Size column = n * (own ? H * D : D) + (own ? h * D : 0) + part * (D / 2) + d;
                        score[at(slot)] += q[at(column)] * subkeys[at(row * (D / 2) + d)];
                    }
                }
            }
            std::vector<Size> order(at(M));
            std::iota(order.begin(), order.end(), 0);
            std::stable_sort(order.begin(), order.end(), [&](Size a, Size b) { return score[at(a)] > score[at(b)]; });
            for (Size k = 0; k < K; ++k) {
                out.ids.push_back(static_cast<double>(order[at(k)]));
                scores.push_back(score[at(order[at(k)])]);
            }
        }
        Size group = word(c, "softmax_scope", "head") == "all" ? H * K : K;
        for (Size i = 0; i < H * K; ++i) {
            double sum = 0, alpha = std::max(scores[at(i)], 0.0);
            for (Size j = i / group * group; j < i / group * group + group; ++j) sum += std::exp(scores[at(j)]);
            if (gate == "softmax") alpha = std::exp(scores[at(i)]) / sum;
            if (gate == "sigmoid") alpha = 1 / (1 + std::exp(-scores[at(i)]));
            if (word(c, "multiply_gate", "true") == "false") alpha = 1;
            out.gates.push_back(alpha);
            Size slot = static_cast<Size>(out.ids[at(n * H * K + i)]);
            auto dot = [&](const std::vector<double>& table) {
                double total = 0;
                for (Size f = 0; f < c.C; ++f) total += x[at(n * c.C + f)] * table[at(slot * c.C + f)];
                return total;
            };
            double cell = has_keys ? naive_activation(kind, dot(p.at("param.keys"))) : 1;
            if (glu) cell *= dot(p.at("param.gate_keys"));
            for (Size f = 0; f < c.C; ++f) out.y[at(n * c.C + f)] += alpha * cell * values[at(slot * c.C + f)];
        }
    }
    if (c.method == "memory-plus") {
        auto g = naive_product(x, p.at("param.swilu.w"), c.N, c.C, c.C);
        for (std::size_t i = 0; i < g.size(); ++i) out.y[i] *= g[i] / (1 + std::exp(-g[i]));
        out.y = naive_product(out.y, p.at("param.out.w"), c.N, c.C, c.C);
    }
    return out;
}

const LayerCase kCases[] = {
    {"pkm", 1, 3, "sub_keys=1 heads=1 k=1 query_size=2"},
    {"pkm", 11, 13, "sub_keys=7 heads=3 k=5 query_size=6"},
    {"pkm", 11, 13, "sub_keys=5 heads=2 k=25 query_size=10 query_norm=batch softmax_scope=all"},
    {"pkm", 11, 13, "sub_keys=5 heads=2 k=7 query_size=10 query_norm=batch gate=sigmoid", 0, {}, false},
    {"pkm", 9, 4, "sub_keys=8 heads=2 k=3 query_size=4 query_norm=layer gate=relu"},
    {"pkm-relu", 9, 6, "sub_keys=8 heads=3 k=4"},
    {"pkm-ffn", 9, 7, "sub_keys=6 heads=2 k=4 query_size=8"},
    {"pkm-ffn", 9, 7, "sub_keys=6 heads=2 k=4 query_size=8 multiply_gate=false activation=silu"},
    {"peer", 9, 7, "sub_keys=6 heads=4 k=4 query_size=8 query_norm=batch"},
    {"peer", 40, 16, "sub_keys=4 heads=2 k=16 query_size=6 share_subkeys=false glu=true"},
    {"memory-plus", 9, 8, "sub_keys=6 heads=2 k=4 query_size=4 query_norm=batch"},
};

Table some(const LayerCase& c, Exec& exec, Dtype dtype) {
    return run_layer(exec, dtype, c, random_values(c.N * c.C, 1), random_values(c.N * c.C, 2));
}

}  // namespace

TEST_CASE("every method of product keys in double equals its formula, with a search through all slots") {
    Exec exec;
    for (const LayerCase& c : kCases) {
        INFO(c.method << " " << c.options);
        Table got = some(c, exec, Dtype::f64);
        Chosen exact = product_keys(c, random_values(c.N * c.C, 1), got);
        CHECK(got["ids"] == exact.ids);
        CHECK(relative_error(got["gates"], exact.gates) < 1e-12);
        CHECK(relative_error(got["y"], exact.y) < 1e-12);
    }
}

TEST_CASE_DEVICES("every method of product keys in bf16 stays within bf16's rounding of its formula") {
    // Every slot is chosen, so that no rounding changes the choice.
    for (const char* method : {"pkm", "pkm-ffn", "peer", "memory-plus"}) {
        LayerCase c{method, 12, 16, "sub_keys=3 heads=2 k=9 query_size=8 softmax_scope=all"};
        Table got = some(c, exec, Dtype::bf16);
        Exec cpu;
        auto x = to_host<double>(cpu, from_host(cpu, {12, 16}, Dtype::bf16, random_values(192, 1)));
        // Query, hidden values and results carry 8 bits each, in chains of up to five.
        CHECK(relative_error(got["y"], product_keys(c, x, got).y) < 0.04);
    }
}

TEST_CASE("lorkm in double equals its formula, and with k of all cells a dense layer with keys down·up") {
    Exec exec;
    for (LayerCase c :
         {LayerCase{"lorkm", 7, 5, "cells=13 rank=3 k=4"}, LayerCase{"lorkm", 7, 5, "cells=13 rank=3 k=13 activation=gelu"}}) {
        Table got = some(c, exec, Dtype::f64);
        auto x = random_values(35, 1), s = naive_product(naive_product(x, got["param.keys.down"], 7, 5, 3), got["param.keys.up"], 7, 3, 13);
        std::vector<double> ids, y(35);
        Size K = static_cast<Size>(option(c, "k", 0));
        for (Size n = 0; n < 7; ++n) {
            std::vector<Size> order(13);
            std::iota(order.begin(), order.end(), 0);
            std::stable_sort(order.begin(), order.end(), [&](Size a, Size b) { return s[at(n * 13 + a)] > s[at(n * 13 + b)]; });
            for (Size k = 0; k < K; ++k) {
                Size m = order[at(k)];
                ids.push_back(static_cast<double>(m));
                for (Size f = 0; f < 5; ++f)
                    y[at(n * 5 + f)] +=
                        naive_activation(word(c, "activation", "relu"), s[at(n * 13 + m)]) * got["param.values"][at(m * 5 + f)];
            }
        }
        CHECK(got["ids"] == ids);
        CHECK(relative_error(got["y"], y) < 1e-12);
        CHECK(got["gates"] == std::vector<double>(ids.size(), 1.0));
    }
}

TEST_CASE("peer with one head of all experts and a softmax is the dense weighted sum of all experts") {
    Exec exec;
    LayerCase c{"peer", 6, 5, "sub_keys=4 heads=1 k=16 query_size=6"};
    Table got = some(c, exec, Dtype::f64);
    auto x = random_values(30, 1), q = queries(c, x, got), hidden = std::vector<double>(), y = std::vector<double>(30);
    for (Size n = 0; n < 6; ++n) {
        std::vector<double> p(16);
        double sum = 0;
        for (Size m = 0; m < 16; ++m) {
            double score = 0;
            for (Size d = 0; d < 3; ++d) {
                score += q[at(n * 6 + d)] * got["param.subkeys"][at(m / 4 * 3 + d)] +
                         q[at(n * 6 + 3 + d)] * got["param.subkeys"][at((4 + m % 4) * 3 + d)];
            }
            sum += p[at(m)] = std::exp(score);
        }
        for (Size m = 0; m < 16; ++m) {
            double u = 0;
            for (Size f = 0; f < 5; ++f) u += x[at(n * 5 + f)] * got["param.keys"][at(m * 5 + f)];
            for (Size f = 0; f < 5; ++f)
                y[at(n * 5 + f)] += p[at(m)] / sum * naive_activation("gelu", u) * got["param.values"][at(m * 5 + f)];
        }
    }
    CHECK(relative_error(got["y"], y) < 1e-12);
}

TEST_CASE("pkm-relu as released is a dense layer of all slots whose heads are summed before the activation, and ignores k") {
    Exec exec;
    LayerCase c{"pkm-relu", 300, 6, "sub_keys=4 heads=3 k=2 released=true"};
    Table got = some(c, exec, Dtype::f64);
    auto x = random_values(300 * 6, 1), y = std::vector<double>(300 * 6);
    for (Size n = 0; n < 300; ++n) {
        for (Size m = 0; m < 16; ++m) {
            double score = 0;
            for (Size h = 0; h < 3; ++h) {
                for (Size d = 0; d < 3; ++d) {
                    score += x[at(n * 6 + d)] * got["param.subkeys"][at((h * 8 + m / 4) * 3 + d)] +
                             x[at(n * 6 + 3 + d)] * got["param.subkeys"][at((h * 8 + 4 + m % 4) * 3 + d)];
                }
            }
            for (Size f = 0; f < 6; ++f) y[at(n * 6 + f)] += std::max(score, 0.0) * got["param.values"][at(m * 6 + f)];
        }
    }
    CHECK(relative_error(got["y"], y) < 1e-12);
    CHECK_FALSE(got.contains("ids"));
    c.options = "sub_keys=4 heads=3 released=true";
    CHECK(some(c, exec, Dtype::f64)["y"] == got["y"]);
}

TEST_CASE("parameters that did not matter have gradients of exact zero: product keys without their gate, rows that nobody chose") {
    Exec exec;
    LayerCase c{"pkm-ffn", 3, 5, "sub_keys=5 heads=1 k=2 query_size=4 multiply_gate=false"};
    Table got = some(c, exec, Dtype::f32);
    for (const char* name : {"grad.subkeys", "grad.query.w", "grad.query.b"}) {
        CHECK(got.at(name) == std::vector<double>(got.at(name).size(), 0.0));
    }
    for (Size m = 0; m < 25; ++m) {
        if (std::find(got["ids"].begin(), got["ids"].end(), static_cast<double>(m)) != got["ids"].end()) continue;
        for (Size f = 0; f < 5; ++f) {
            CHECK(got["grad.values"][at(m * 5 + f)] == 0.0);
            CHECK(got["grad.keys"][at(m * 5 + f)] == 0.0);
        }
    }
}

TEST_CASE("several layers may share one table of values, which then sums their gradients") {
    Exec exec;
    nn::OptionTable options = options_of("sub_keys=3 heads=2 k=4 query_size=4");
    const moe::Method& method = moe::method_named("memory-plus");
    struct Both : nn::Module {
        std::unique_ptr<nn::FeedForward> first, second;
        Both(const moe::Method& method, const nn::OptionTable& options) {
            first = moe::make_feed_forward(method, options, {6, 0, 2});
            second = moe::make_feed_forward(method, options, {6, 1, 2, moe::value_table(*first)});
            add(*first, "0"), add(*second, "1");
        }
    } layers(method, options);
    nn::ParameterStore store(exec, layers, Dtype::f32, 1, true);
    const auto& places = store.places();
    auto named = [](const char* name) { return [name](const auto& place) { return place.parameter->name == name; }; };
    auto values = std::ranges::find_if(places, named("0.values"));
    REQUIRE(values != places.end());
    CHECK(std::ranges::none_of(places, named("1.values")));
    auto gradient = [&](bool one, bool two) {
        store.begin_pass();
        Tape tape(exec);
        Var x(from_host(exec, {5, 6}, Dtype::f32, random_values(30, 1)));
        for (nn::FeedForward* layer : {one ? layers.first.get() : nullptr, two ? layers.second.get() : nullptr}) {
            if (layer != nullptr)
                layer->forward(tape, x, {}).y_NC.give_grad(exec, from_host(exec, {5, 6}, Dtype::f32, random_values(30, 2)));
        }
        tape.backward();
        store.end_pass(exec);
        store.add_uses(exec);
        return to_host<float>(exec, store.view(store.gradient(), *values));
    };
    auto first = gradient(true, false), second = gradient(false, true), both = gradient(true, true);
    CHECK(first != second);
    for (std::size_t i = 0; i < both.size(); ++i) CHECK(both[i] == first[i] + second[i]);
}

TEST_CASE("impossible options of product keys are refused with the rule and the nearest valid value") {
    auto make = [](const char* method, const char* options, Size C = 6) {
        moe::make_feed_forward(moe::method_named(method), options_of(options), {C, 0, 1});
    };
    CHECK_THROWS_WITH(make("pkm", "sub_keys=3 heads=1 k=10 query_size=4"),
                      "[ffn] k must be between 1 and the cells, sub_keys²: got k = 10, 9 cells; hint: set ffn.k");
    CHECK_THROWS_WITH(make("pkm", "sub_keys=3 heads=1 k=2 query_size=5"),
                      "[ffn] query_size must be even, it is cut into halves: got 5; hint: the nearest is 6");
    CHECK_THROWS_WITH(make("pkm-relu", "sub_keys=3 heads=1 k=2", 7),
                      "[ffn] channels must be even, the input is cut into halves as the query: got 7; hint: the nearest is 8");
    CHECK_THROWS_WITH(make("lorkm", "cells=3 rank=1 k=4"), "[ffn] k must be between 1 and cells: got k = 4, cells = 3; hint: set ffn.k");
    CHECK_THROWS(make("pkm", "sub_keys=3 heads=1 k=2"));
    CHECK_THROWS(make("pkm", "sub_keys=3 heads=1 k=2 query_size=4 glu=true"));
    CHECK_THROWS(make("pkm-relu", "sub_keys=3 heads=1 k=2 query_size=4"));
    CHECK_THROWS(make("pkm", "sub_keys=3 heads=1 k=2 query_size=4 share_subkeys=true"));
}
