// Equations between layers that hold whatever their weights, through `moegrad layer`.
#include "tests/support/layer_program.h"
#include "tests/support/random.h"

#include <algorithm>

#include <doctest/doctest.h>

using engine::Shape;
using engine::Size;
using tests::Array;
using tests::Arrays;
using tests::random_array;
using tests::relative_error;

namespace {

constexpr Size N = 9, C = 6, E = 3, G = 5;

std::string experts(const std::string& method, Size E_, Size K) {
    return "method = \"" + method + "\"\nchannels = 6\ndtype = \"float64\"\nexpert_size = 5\nn_experts = " + std::to_string(E_) +
           "\nk = " + std::to_string(K) + "\n";
}
const std::string kDense = "method = \"dense\"\nchannels = 6\ndtype = \"float64\"\nhidden = ";

Arrays inputs(Size E_) {
    return {{"x", random_array({N, C}, 1)},
            {"dy", random_array({N, C}, 2)},
            {"router.w", random_array({C, E_}, 3)},
            {"experts.w1", random_array({E_, C, G}, 4)},
            {"experts.w2", random_array({E_, G, C}, 5)}};
}

// w1 (E,C,G) → (C,E·G): the experts beside each other as one block; w2 (E,G,C) is (E·G,C) already.
std::vector<double> beside(const std::vector<double>& w1, Size experts) {
    std::vector<double> result(w1.size());
    for (Size e = 0; e < experts; ++e) {
        for (Size c = 0; c < C; ++c) {
            for (Size g = 0; g < G; ++g) {
                result[static_cast<std::size_t>((c * experts + e) * G + g)] = w1[static_cast<std::size_t>((e * C + c) * G + g)];
            }
        }
    }
    return result;
}

void check_dense(const std::string& method, Size experts_, Arrays in) {
    Arrays sparse = tests::run_layer(experts(method, experts_, experts_), in);
    Arrays block = {{"x", in["x"]}, {"dy", in["dy"]}};
    block["w1"] = {{C, experts_ * G}, beside(in["experts.w1"].values, experts_)};
    block["w2"] = {{experts_ * G, C}, in["experts.w2"].values};
    Arrays dense = tests::run_layer(kDense + std::to_string(experts_ * G) + "\n", block);
    CHECK(sparse["gates"].values == std::vector<double>(sparse["gates"].values.size(), 1.0));
    CHECK(relative_error(sparse["y"].values, dense["y"].values) < 1e-14);
    CHECK(relative_error(sparse["dx"].values, dense["dx"].values) < 1e-14);
    CHECK(relative_error(beside(sparse["grad.experts.w1"].values, experts_), dense["grad.w1"].values) < 1e-14);
    CHECK(relative_error(sparse["grad.experts.w2"].values, dense["grad.w2"].values) < 1e-14);
}

}  // namespace

TEST_CASE("sigma-moe with all experts chosen and all scores 1 is the dense layer, gradients included") {
    Arrays in = inputs(E);
    // One channel is always 1 and sends 40 to every expert: σ(40) is 1 in double.
    for (Size n = 0; n < N; ++n) in["x"].values[static_cast<std::size_t>(n * C)] = 1;
    std::fill(in["router.w"].values.begin(), in["router.w"].values.end(), 0.0);
    std::fill_n(in["router.w"].values.begin(), E, 40.0);
    check_dense("sigma-moe", E, in);
}

TEST_CASE("one expert under a softmax is the dense layer") {
    check_dense("softmax-before", 1, inputs(1));
    check_dense("softmax-after", 1, inputs(1));
}

TEST_CASE("experts in another order are the same layer") {
    const std::vector<Size> order = {2, 0, 1};  // expert i of the new layer is expert order[i] of the old
    for (const char* method : {"sigma-moe", "softmax-before", "softmax-after"}) {
        Arrays in = inputs(E), other = in;
        auto moved = [&](const std::vector<double>& all) {
            std::vector<double> result;
            Size each = static_cast<Size>(all.size()) / E;
            for (Size e : order) result.insert(result.end(), all.begin() + e * each, all.begin() + (e + 1) * each);
            return result;
        };
        for (const char* name : {"experts.w1", "experts.w2"}) other[name].values = moved(in[name].values);
        for (Size c = 0; c < C; ++c) {
            for (Size e = 0; e < E; ++e) {
                other["router.w"].values[static_cast<std::size_t>(c * E + e)] =
                    in["router.w"].values[static_cast<std::size_t>(c * E + order[static_cast<std::size_t>(e)])];
            }
        }
        std::string toml = experts(method, E, 2) + "entropy_weight = 0.2\n";
        Arrays a = tests::run_layer(toml, in), b = tests::run_layer(toml, other);
        for (double& id : b["ids"].values) id = static_cast<double>(order[static_cast<std::size_t>(id)]);
        CHECK(a["ids"] == b["ids"]);
        for (const char* name : {"y", "dx", "gates", "loss.entropy"}) CHECK(relative_error(b[name].values, a[name].values) < 1e-14);
        for (const char* name : {"grad.experts.w1", "grad.experts.w2"}) {
            CHECK(relative_error(b[name].values, moved(a[name].values)) < 1e-14);
        }
    }
}

TEST_CASE("equal scores go to the lower index, in every kind of choice") {
    Arrays in = inputs(4);
    std::fill(in["router.w"].values.begin(), in["router.w"].values.end(), 0.0);
    for (const char* method : {"sigma-moe", "softmax-before", "softmax-after"}) {
        std::vector<double> ids = tests::run_layer(experts(method, 4, 3), in)["ids"].values;
        for (std::size_t i = 0; i < ids.size(); ++i) CHECK(ids[i] == static_cast<double>(i % 3));
    }
    // Scores that σ would saturate to the same 1 stay apart.
    for (Size c = 0; c < C; ++c) in["router.w"].values[static_cast<std::size_t>(c * 4 + 3)] = 50 + static_cast<double>(c);
    for (double& x : in["x"].values) x = 1;
    for (Size c = 0; c < C; ++c) in["router.w"].values[static_cast<std::size_t>(c * 4 + 2)] = 51 + static_cast<double>(c);
    Arrays out = tests::run_layer(experts("sigma-moe", 4, 2), in);
    for (std::size_t i = 0; i < out["ids"].values.size(); ++i) {
        CHECK(out["ids"].values[i] == (i % 2 == 0 ? 2 : 3));
        CHECK(out["gates"].values[i] == 1);
    }
    // ReLU leaves zeros: the k-th largest may be one of many.
    Arrays zeros = {{"x", random_array({N, C}, 1)}, {"w1", {{C, 7}, std::vector<double>(42, 0.0)}}};
    std::vector<double> cells = tests::run_layer("method = \"topk\"\nchannels = 6\nhidden = 7\nk = 3\n", zeros)["ids"].values;
    for (std::size_t i = 0; i < cells.size(); ++i) CHECK(cells[i] == static_cast<double>(i % 3));
}

TEST_CASE("an xl-attention window with memory gives the bits of the last rows of one long window") {
    const std::string toml = "method = \"xl-attention\"\nchannels = 6\nheads = 2\nhead_size = 3\n";
    Array whole = random_array({2, 9, C}, 1), first{{2, 5, C}, {}}, last{{2, 4, C}, {}};
    std::vector<double> expected, y = tests::run_layer(toml, {{"x", whole}})["y"].values;
    for (Size b = 0; b < 2; ++b) {
        auto at = [&](std::vector<double>& v, Size t) { return v.begin() + (b * 9 + t) * C; };
        first.values.insert(first.values.end(), at(whole.values, 0), at(whole.values, 5));
        last.values.insert(last.values.end(), at(whole.values, 5), at(whole.values, 9));
        expected.insert(expected.end(), at(y, 5), at(y, 9));
    }
    CHECK(tests::run_layer(toml, {{"x", last}, {"memory", first}})["y"].values == expected);
}

TEST_CASE("dropout acts in training only, follows the seed, and a dropped expert has gate 0") {
    std::string toml = experts("sigma-moe", 4, 3);
    Arrays in = inputs(4);
    Arrays plain = tests::run_layer(toml, in);
    CHECK(tests::run_layer(toml + "expert_dropout = 0.5\nmode = \"eval\"\n", in) == plain);
    CHECK(tests::run_layer(toml + "hidden_dropout = 0.5\nmode = \"eval\"\n", in) == plain);
    Arrays dropped = tests::run_layer(toml + "expert_dropout = 0.5\n", in);
    CHECK(dropped["y"] != plain["y"]);
    CHECK(std::count(dropped["gates"].values.begin(), dropped["gates"].values.end(), 0.0) > 0);
    CHECK(dropped["loss.entropy"] == plain["loss.entropy"]);
    CHECK(tests::run_layer(toml + "expert_dropout = 0.5\n", in) == dropped);
    CHECK(tests::run_layer(toml + "expert_dropout = 0.5\nseed = 1\n", in)["y"] != dropped["y"]);
    CHECK(tests::run_layer(toml + "hidden_dropout = 0.5\n", in)["y"] != plain["y"]);
}
