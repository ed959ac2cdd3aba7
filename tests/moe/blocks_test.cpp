// Blocks chosen by their own keys or by token ids (LAYERS.md, rules 15 and 16), beside their formulas and METHODS.md's identities.
#include "engine/tensor/transfer.h"
#include "moe/selectors/token_table.h"
#include "tests/support/devices.h"
#include "tests/support/router_reference.h"

#include <set>

using namespace engine;
using namespace tests;

namespace {

// The blocks' scores (N,E) of avg-k and vanilla-m.
std::vector<double> block_scores(const LayerCase& c, const std::vector<double>& x, const std::vector<double>& w1) {
    std::size_t N = static_cast<std::size_t>(c.N), C = static_cast<std::size_t>(c.C),
                E = static_cast<std::size_t>(option(c, "n_experts", 0)), G = static_cast<std::size_t>(option(c, "expert_size", 0));
    std::string reduce = word(c, "reduce", "mean");
    bool post = word(c, "on", "pre") == "post";
    std::vector<double> scores(N * E);
    for (std::size_t n = 0; n < N; ++n) {
        for (std::size_t e = 0; e < E; ++e) {
            for (std::size_t g = 0; g < G; ++g) {
                double cell = 0;
                for (std::size_t ch = 0; ch < C; ++ch) cell += x[n * C + ch] * w1[(e * C + ch) * G + g];
                if (post) cell = naive_activation(word(c, "activation", "relu"), cell);
                scores[n * E + e] += (reduce == "mean-abs" ? std::abs(cell) : cell) / (reduce == "sum" ? 1.0 : static_cast<double>(G));
            }
        }
    }
    return scores;
}

Table reference(const LayerCase& c, const std::vector<double>& x, const Table& param) {
    std::size_t N = static_cast<std::size_t>(c.N), E = static_cast<std::size_t>(option(c, "n_experts", 0)),
                K = static_cast<std::size_t>(option(c, "k", 0));
    std::vector<double> scores = block_scores(c, x, param.at("param.experts.w1")), all = softmax_rows(scores, N, E).p;
    std::string gate = word(c, "gate", "none");
    Table out;
    const std::vector<double>& ids = out["ids"] = top_of_rows(scores, N, E, K);
    for (std::size_t n = 0; n < N; ++n) {
        double chosen = 0;
        auto at = [&](std::size_t k) { return n * E + static_cast<std::size_t>(ids[n * K + k]); };
        for (std::size_t k = 0; k < K; ++k) chosen += all[at(k)];
        for (std::size_t k = 0; k < K; ++k) {
            out["gates"].push_back(gate == "none"             ? 1
                                   : gate == "raw"            ? scores[at(k)]
                                   : gate == "sigmoid"        ? sigmoid(scores[at(k)])
                                   : gate == "softmax-chosen" ? all[at(k)] / chosen
                                                              : all[at(k)]);
        }
    }
    out["y"] = naive_experts(c, x, param, ids, out["gates"]);
    return out;
}

const LayerCase kCases[] = {
    {"avg-k", 17, 9, "n_experts=7 expert_size=5 k=3"},
    {"avg-k", 17, 9, "n_experts=7 expert_size=33 k=2 gate=raw glu=true activation=silu"},
    {"avg-k", 17, 9, "n_experts=7 expert_size=1 k=7 gate=sigmoid"},
    {"avg-k", 17, 9, "n_experts=40 expert_size=2 k=35 gate=softmax-chosen"},
    {"avg-k", 1, 3, "n_experts=3 expert_size=4 k=1 gate=softmax-all"},
    {"vanilla-m", 17, 9, "n_experts=7 expert_size=5 k=3 activation=gelu"},
    {"vanilla-m", 17, 9, "n_experts=7 expert_size=5 k=3 reduce=sum on=post glu=true activation=gelu"},
    {"vanilla-m", 17, 9, "n_experts=37 expert_size=1 k=33 reduce=mean-abs"},
    {"vanilla-m", 17, 9, "n_experts=7 expert_size=5 k=3 reduce=mean-abs on=post activation=silu"},
};

}  // namespace

TEST_CASE_DEVICES("blocks scored by their keys equal their formulas on every device, and exactly enough in double") {
    for (const LayerCase& c : kCases) {
        INFO(c.method << " " << c.options);
        auto x = random_values(c.N * c.C, 1);
        Table moved = moved_values(c), got = run_layer(exec, Dtype::f32, c, x, {}, moved);
        // Chains of at most 9·33 products and sums over 40: some 350·2⁻²⁴ of the largest term.
        CHECK(worst_error(got, reference(c, x, got)) < 2e-5);
        if (exec.device.kind != DeviceKind::cpu) continue;
        got = run_layer(exec, Dtype::f64, c, x, {}, moved);
        CHECK(worst_error(got, reference(c, x, got)) < 1e-12);
    }
}

TEST_CASE_DEVICES("avg-k with blocks of one cell is vanilla-m, to the bit") {
    LayerCase avg{"avg-k", 24, 8, "n_experts=19 expert_size=1 k=5"}, vanilla = avg;
    vanilla.method = "vanilla-m";
    auto x = random_values(24 * 8, 1), dy = random_values(24 * 8, 2);
    Table moved = moved_values(avg);
    CHECK(run_layer(exec, Dtype::f32, avg, x, dy, moved) == run_layer(exec, Dtype::f32, vanilla, x, dy, moved));
}

TEST_CASE("vanilla-m by the mean of pre-activations is avg-k") {
    Exec exec;
    LayerCase avg{"avg-k", 24, 8, "n_experts=9 expert_size=6 k=4"}, vanilla = avg;
    vanilla.method = "vanilla-m";
    auto x = random_values(24 * 8, 1), dy = random_values(24 * 8, 2);
    Table moved = moved_values(avg), a = run_layer(exec, Dtype::f64, avg, x, dy, moved),
          v = run_layer(exec, Dtype::f64, vanilla, x, dy, moved);
    CHECK(a["ids"] == v["ids"]);
    for (const char* name : {"y", "dx", "grad.experts.w1", "grad.experts.w2"}) CHECK(relative_error(a[name], v[name]) < 1e-13);
}

TEST_CASE("all blocks without a gate are the dense wide layer") {
    Exec exec;
    auto x = random_values(24 * 8, 1);
    for (const char* method : {"avg-k", "vanilla-m"}) {
        LayerCase blocks{method, 24, 8, "n_experts=5 expert_size=6 k=5"}, dense{"dense", 24, 8, "hidden=30"};
        Table moved = moved_values(blocks), wide;
        wide["w1"].resize(8 * 30), wide["w2"] = moved["experts.w2"];
        for (std::size_t e = 0; e < 5; ++e) {
            for (std::size_t c = 0; c < 8; ++c) {
                for (std::size_t g = 0; g < 6; ++g) wide["w1"][c * 30 + e * 6 + g] = moved["experts.w1"][(e * 8 + c) * 6 + g];
            }
        }
        CHECK(relative_error(run_layer(exec, Dtype::f64, blocks, x, {}, moved)["y"], run_layer(exec, Dtype::f64, dense, x, {}, wide)["y"]) <
              1e-13);
    }
}

TEST_CASE("blocks that were not chosen get gradients of exact zero, but under softmax-all their keys do not") {
    Exec exec;
    for (const char* gate : {"none", "raw", "sigmoid", "softmax-chosen", "softmax-all"}) {
        LayerCase c{"avg-k", 3, 6, std::string("n_experts=9 expert_size=4 k=2 activation=gelu gate=") + gate};
        Table got = run_layer(exec, Dtype::f32, c, random_values(18, 1), random_values(18, 2), moved_values(c));
        std::set<double> chosen(got["ids"].begin(), got["ids"].end());
        for (std::size_t e = 0; e < 9; ++e) {
            if (chosen.contains(static_cast<double>(e))) continue;
            auto zero = [&](const char* name) {
                auto first = got[name].begin() + static_cast<long>(e * 24);
                return std::all_of(first, first + 24, [](double v) { return v == 0; });
            };
            CHECK(zero("grad.experts.w2"));
            CHECK(zero("grad.experts.w1") == (gate != std::string("softmax-all")));
        }
    }
}

TEST_CASE_DEVICES("hash methods read the table's rows, in its order, and a block named twice counts twice") {
    LayerCase c{"rand-hash", 5, 4, "n_experts=3 expert_size=2 k=2 vocab=4", 0, {3, 0, 2, 3, 1}};
    Table moved = moved_values(c);
    moved["hash.table"] = {0, 1, 2, 2, 1, 0, 2, 1};
    auto x = random_values(20, 1);
    Table got = run_layer(exec, Dtype::f32, c, x, random_values(20, 2), moved);
    CHECK(got["ids"] == std::vector<double>{2, 1, 0, 1, 1, 0, 2, 1, 2, 2});
    CHECK(got["gates"] == std::vector<double>(10, 1.0));
    CHECK_FALSE(got.contains("grad.hash.table"));
    CHECK(relative_error(got["y"], naive_experts(c, x, got, got["ids"], got["gates"])) < 1e-5);
}

TEST_CASE("a balanced table gives every expert as many ids, by count where counts are known; a random one different experts") {
    for (Size k : {1, 3}) {
        auto table = moe::balanced_table(50, k, 7, {}, 5);
        std::vector<int> loads(7, 0);
        for (Size id = 0; id < 50; ++id) {
            std::set<double> row(table.begin() + id * k, table.begin() + (id + 1) * k);
            CHECK(static_cast<Size>(row.size()) == k);
            for (double e : row) ++loads[static_cast<std::size_t>(e)];
        }
        CHECK(*std::max_element(loads.begin(), loads.end()) - *std::min_element(loads.begin(), loads.end()) <= 1);
        auto random = moe::random_table(50, k, 7, 5);
        for (Size id = 0; id < 50; ++id)
            CHECK(static_cast<Size>(std::set<double>(random.begin() + id * k, random.begin() + (id + 1) * k).size()) == k);
        CHECK(moe::random_table(50, k, 7, 6) != random);
    }
    // Ids 2, 0, 3, 1 by falling count, 9 against 5 + 3 + 1.
    auto uneven = moe::balanced_table(4, 1, 2, {5, 1, 9, 3}, 0);
    CHECK(uneven[0] == 1 - uneven[2]);
    CHECK(uneven[1] == uneven[0]);
    CHECK(uneven[3] == uneven[0]);
    // Loads of Zipf's counts differ by less than the smallest id dealt could even out: one count of a rare id.
    std::vector<std::int64_t> counts;
    for (std::int64_t rank = 1; rank <= 2000; ++rank) counts.push_back(100000 / rank);
    auto zipf = moe::balanced_table(2000, 2, 5, counts, 3);
    std::vector<std::int64_t> loads(5);
    for (std::size_t i = 0; i < zipf.size(); ++i) loads[static_cast<std::size_t>(zipf[i])] += counts[i / 2];
    CHECK(*std::max_element(loads.begin(), loads.end()) - *std::min_element(loads.begin(), loads.end()) <= 50);
}

TEST_CASE("hash methods refuse rows without token ids, and ids and experts out of range") {
    Exec exec;
    auto x = random_values(12, 1);
    CHECK_THROWS_WITH(run_layer(exec, Dtype::f32, {"hash", 3, 4, "n_experts=3 expert_size=2 k=1 vocab=4"}, x, {}),
                      "[hash] hash methods need one token id a row: got none, expected (3); hint: give token_ids");
    CHECK_THROWS_WITH(run_layer(exec, Dtype::f32, {"hash", 3, 4, "n_experts=3 expert_size=2 k=1 vocab=4", 0, {0, 4, 1}}, x, {}),
                      "[hash] token id 1 is out of range: got 4, expected 0 to 3");
    CHECK_THROWS(run_layer(exec, Dtype::f32, {"hash", 3, 4, "n_experts=3 expert_size=2 k=1 vocab=4", 0, {0, 3, 1}}, x, {},
                           {{"hash.table", {0, 3, 0, 0}}}));
    CHECK_THROWS(moe::make_feed_forward(moe::method_named("hash"), options_of("n_experts=3 expert_size=2 k=1"), {4, 0, 1}));
}
