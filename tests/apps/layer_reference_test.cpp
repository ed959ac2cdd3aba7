// Every layer through `moegrad layer`, file to file, against slow double-precision implementations (tests/support/reference).
#include "moe/methods/table.h"
#include "tests/support/devices.h"
#include "tests/support/layer_program.h"
#include "tests/support/random.h"
#include "tests/support/reference/layers.h"

#include <algorithm>
#include <cmath>

using engine::Shape;
using engine::Size;
using tests::Array;
using tests::Arrays;

namespace {

struct LayerCase {
    Shape x;
    nn::OptionTable options;
    Size memory = 0;
};

// x's shape, then name and value in turn.
LayerCase layer_case(Shape x, const char* method, std::vector<std::pair<std::string, nn::OptionValue>> options, Size memory = 0) {
    LayerCase result{x, nn::OptionTable("case"), memory};
    result.options.set("method", std::string(method));
    result.options.set("channels", x.columns());
    for (auto& [name, value] : options) result.options.set(name, value);
    return result;
}

std::vector<std::pair<std::string, nn::OptionValue>> experts(Size E, Size G, Size K) {
    return {{"n_experts", E}, {"expert_size", G}, {"k", K}, {"entropy_weight", 0.3}};
}

// Windows as long as the context and shorter; one position; one value a half; chunks beside each other.
void add_mixers(std::vector<LayerCase>& all) {
    for (bool tanh : {false, true}) {
        all.push_back(layer_case({1, 1, 3}, "gmlp", {{"hidden", Size{4}}, {"context", Size{1}}, {"tanh", tanh}}));
        all.push_back(layer_case({3, 7, 5}, "gmlp", {{"hidden", Size{26}}, {"context", Size{11}}, {"tanh", tanh}}));
        all.push_back(layer_case({2, 61, 6}, "gmlp", {{"hidden", Size{34}}, {"context", Size{61}}, {"tanh", tanh}}));
        all.push_back(layer_case({3, 7, 5}, "smlp", {{"hidden", Size{66}}, {"context", Size{7}}, {"n_experts", Size{3}}, {"tanh", tanh}}));
        for (double partial : {0.01, 0.2, 0.5}) {
            all.push_back(
                layer_case({5, 29, 7}, "smlp", {{"hidden", Size{70}}, {"context", Size{31}}, {"n_experts", Size{5}}, {"tanh", tanh}}));
            all.back().options.set("routing", std::string("partial-prediction")), all.back().options.set("partial", partial);
        }
    }
}

using Options = std::vector<std::pair<std::string, nn::OptionValue>>;

// Routers: capacities, groups, scopes, one expert, more experts than rows, a table that names a block twice, evaluation.
void add_routers(std::vector<LayerCase>& all) {
    auto add = [&](Shape x, const char* method, Size E, Size G, Options options) {
        options.insert(options.end(), {{"n_experts", E}, {"expert_size", G}});
        all.push_back(layer_case(x, method, options));
    };
    auto size = [](Size value) { return nn::OptionValue(value); };
    auto word = [](const char* value) { return nn::OptionValue(std::string(value)); };
    add({13, 7}, "noisy-topk", 5, 3, {{"k", size(2)}, {"cv_weight", 0.3}, {"noise", false}});
    add({13, 7}, "noisy-topk", 5, 3, {{"k", size(5)}, {"cv_weight", 0.3}, {"mode", word("eval")}, {"glu", true}});
    add({1, 3}, "noisy-topk", 1, 2, {{"k", size(1)}, {"noise", false}});
    add({13, 7}, "switch", 5, 3, {{"balance_weight", 0.3}, {"z_weight", 0.2}});
    add({13, 7}, "switch", 5, 3, {{"k", size(3)}, {"balance_weight", 0.3}, {"balance_scale", word("released")}, {"capacity_factor", 0.6}});
    for (const char* renormalise : {"before", "after"}) {
        add({17, 7}, "gshard", 5, 3, {{"balance_weight", 0.3}, {"renormalise", word(renormalise)}, {"capacity_factor", 0.7}});
        add({2, 4}, "gshard", 2, 3, {{"z_weight", 0.3}, {"renormalise", word(renormalise)}});
    }
    add({8, 7}, "base", 4, 3, {});
    add({9, 5}, "base", 4, 3, {{"residual_mix", true}, {"glu", true}, {"activation", word("silu")}});
    add({2, 5}, "base", 7, 3, {{"k", size(1)}});
    add({19, 7}, "base", 5, 3, {{"mode", word("eval")}, {"residual_mix", true}});
    add({13, 7}, "s-base", 5, 3, {{"k", size(2)}});
    add({3, 7, 5}, "s-base", 5, 3, {{"k", size(1)}, {"scope", word("sequence")}, {"sinkhorn_iterations", size(1)}});
    add({70, 7}, "s-base", 3, 3, {{"k", size(2)}, {"sinkhorn", word("released")}, {"sinkhorn_iterations", size(2)}});
    add({13, 7}, "s-base", 5, 3, {{"k", size(2)}, {"mode", word("eval")}});
    for (const char* method : {"hash", "rand-hash"}) {
        add({23, 5}, method, 5, 3, {{"k", size(1)}, {"vocab", size(7)}});
        add({11, 6}, method, 4, 33, {{"k", size(3)}, {"vocab", size(11)}, {"activation", word("gelu")}, {"glu", true}});
    }
    add({13, 7}, "expert-choice", 5, 3, {});
    add({13, 7}, "expert-choice", 5, 3, {{"capacity_factor", 1.3}, {"softmax_over", word("tokens")}, {"glu", true}});
    add({13, 7}, "expert-choice", 5, 3, {{"capacity_factor", 0.1}});
    add({11, 7}, "expert-choice", 3, 3, {{"capacity_factor", 100.0}, {"softmax_over", word("tokens")}});
    add({1, 3}, "expert-choice", 3, 2, {{"mode", word("eval")}});
    add({13, 7}, "deepseek", 6, 3, {{"k", size(2)}, {"n_shared", size(2)}, {"balance_weight", 0.3}, {"bias_rate", 0.125}, {"glu", true}});
    for (const char* score : {"softmax", "sigmoid"}) {
        for (bool renormalise : {false, true}) {
            add({13, 7}, "deepseek", 8, 3,
                {{"k", size(3)}, {"score", word(score)}, {"renormalise", renormalise}, {"route_scale", 2.5}, {"balance_weight", 0.3}});
            add({12, 7}, "deepseek", 8, 3,
                {{"k", size(2)}, {"score", word(score)}, {"renormalise", renormalise}, {"n_groups", size(4)}, {"topk_groups", size(2)}});
        }
    }
    add({13, 7}, "deepseek", 6, 3, {{"k", size(2)}, {"bias_rate", 0.125}, {"mode", word("eval")}});
    for (const char* gate : {"none", "raw", "sigmoid", "softmax-chosen", "softmax-all"}) {
        add({13, 7}, "avg-k", 5, 3, {{"k", size(2)}, {"gate", word(gate)}, {"activation", word("gelu")}});
        add({7, 5}, "avg-k", 11, 33, {{"k", size(3)}, {"gate", word(gate)}, {"glu", true}});
    }
    add({1, 3}, "avg-k", 3, 1, {{"k", size(3)}});
    for (const char* on : {"pre", "post"}) {
        for (const char* reduce : {"mean", "sum", "mean-abs"})
            add({13, 7}, "vanilla-m", 5, 3, {{"k", size(2)}, {"on", word(on)}, {"reduce", word(reduce)}, {"activation", word("gelu")}});
    }
    add({13, 7}, "vanilla-m", 37, 1, {{"k", size(33)}, {"glu", true}, {"on", word("post")}, {"activation", word("silu")}});
}

// Odd and prime sizes; K from 1 to E; E = 1; one row; more experts than rows, so that some have none.
std::vector<LayerCase> cases() {
    std::vector<LayerCase> all;
    for (const char* method : {"sigma-moe", "softmax-before", "softmax-after"}) {
        for (Size K = 1; K <= 5; ++K) all.push_back(layer_case({11, 13}, method, experts(5, 7, K)));
        all.push_back(layer_case({1, 3}, method, experts(1, 1, 1)));
        all.push_back(layer_case({3, 5}, method, experts(17, 3, 2)));
        all.push_back(layer_case({40, 8}, method, experts(4, 33, 4)));
        all.push_back(layer_case({17, 9}, method, experts(6, 5, 2)));
        all.back().options.set("glu", true), all.back().options.set("activation", std::string("silu"));
        all.push_back(layer_case({70, 9}, method, experts(3, 5, 2)));
        all.back().options.set("activation", std::string("gelu"));
    }
    for (const char* activation : {"relu", "gelu", "gelu-tanh", "silu", "identity"}) {
        for (bool glu : {false, true}) {
            bool bias = !glu;
            all.push_back(layer_case({7, 5}, "dense", {{"hidden", Size{11}}, {"activation", activation}, {"glu", glu}, {"bias", bias}}));
            all.push_back(layer_case({7, 5}, "topk",
                                     {{"hidden", Size{11}}, {"k", Size{3}}, {"activation", activation}, {"glu", glu}, {"bias", bias}}));
        }
    }
    all.push_back(layer_case({1, 1}, "dense", {{"hidden", Size{1}}, {"bias", true}, {"glu", true}}));
    for (Size K : {1, 2, 7, 13}) all.push_back(layer_case({9, 4}, "topk", {{"hidden", Size{13}}, {"k", K}, {"activation", "gelu"}}));
    for (const char* method : {"layer-norm", "rms-norm"}) {
        all.push_back(layer_case({1, 3}, method, {}));
        all.push_back(layer_case({67, 19}, method, {{"eps", 1e-3}}));
    }
    for (bool rope : {false, true}) {
        all.push_back(layer_case({1, 1, 4}, "attention", {{"heads", Size{2}}, {"rope", rope}}));
        all.push_back(layer_case({3, 7, 12}, "attention", {{"heads", Size{3}}, {"rope", rope}, {"bias", true}}));
        all.push_back(layer_case({1, 61, 6}, "attention", {{"heads", Size{1}}, {"rope", rope}, {"bias", true}}));
    }
    for (Size memory : {0, 1, 5}) {
        all.push_back(layer_case({1, 1, 2}, "xl-attention", {{"heads", Size{1}}, {"head_size", Size{1}}}, memory));
        all.push_back(layer_case({3, 7, 6}, "xl-attention", {{"heads", Size{2}}, {"head_size", Size{5}}}, memory));
    }
    add_mixers(all);
    add_routers(all);
    return all;
}

// What X holds as whole numbers.
const std::vector<std::string> kIntegers = {"token_ids", "hash.table"};

bool leaks(const LayerCase& c) {
    for (const moe::Method& method : moe::methods()) {
        if (method.name == c.options.word("method")) return !moe::leak_note(method, c.options).empty();
    }
    return false;
}

std::string toml_of(const nn::OptionTable& options) {
    std::string text;
    for (const auto& [name, value] : options.values()) text += name + " = " + nn::option_text(value) + "\n";
    return text;
}

double rounded(double value, const std::string& dtype) {
    if (dtype == "float64") return value;
    float single = static_cast<float>(value);
    return dtype == "bfloat16" ? static_cast<double>(engine::to_float(engine::to_bf16(single))) : single;
}

// x, dy, memory and every parameter, at random: values that the dtype holds exactly.
Arrays inputs_of(const LayerCase& c, const std::string& dtype) {
    Arrays in = {{"x", {c.x, {}}}, {"dy", {c.x, {}}}};
    bool reads_ids = c.options.contains("vocab");
    for (Size n = 0; reads_ids && n < c.x.rows(); ++n) {
        in["token_ids"].shape = {c.x.rows()};
        in["token_ids"].values.push_back(static_cast<double>((n * n + 3 * n) % c.options.size("vocab")));
    }
    if (c.memory > 0) in["memory"] = {{c.x[0], c.memory, c.x[2]}, {}};
    auto fill = [&, salt = std::uint64_t{1}](Array& array, double size) mutable {
        array.values = tests::random_values(array.shape.elements(), salt++);
        for (double& value : array.values) value = rounded(size * value, dtype);
    };
    Arrays given;
    for (auto& [name, array] : in) {
        if (name != "token_ids") fill(array, 1);
        if (name == "x" || name == "token_ids") given[name] = array;
    }
    for (auto& [name, array] : tests::run_layer(toml_of(c.options), given, kIntegers)) {
        if (!name.starts_with("param.")) continue;
        Array parameter{array.shape, {}};
        if (name == "param.hash.table") {
            parameter = array;
            parameter.values[0] = parameter.values[static_cast<std::size_t>(parameter.shape[1] - 1)];  // a block named twice, where k > 1
            in["hash.table"] = parameter;
            continue;
        }
        // Weights, not biases, shrink with their inputs: hidden values stay near 1, where activations bend.
        Size inputs = array.shape.dims() >= 2 ? array.shape[-2] : 1;
        fill(parameter, 1.5 / std::sqrt(static_cast<double>(inputs)));
        in[name.substr(6)] = parameter;
    }
    return in;
}

// The largest max|a − b|/max|b| over the reference's tensors; both sides must have the same ones.
double worst(const Arrays& got, const Arrays& expected) {
    double error = 0;
    for (const auto& [name, array] : expected) {
        INFO(name);
        REQUIRE(got.contains(name));
        CHECK(got.at(name).shape == array.shape);
        if (name == "ids") {
            CHECK(got.at(name).values == array.values);
        } else {
            error = std::max(error, tests::relative_error(got.at(name).values, array.values));
        }
    }
    for (const auto& [name, array] : got) CHECK_MESSAGE((name.starts_with("param.") || expected.contains(name)), name);
    return error;
}

Arrays run(LayerCase c, const Arrays& in, const std::string& dtype, const std::string& device) {
    c.options.set("dtype", dtype);
    c.options.set("device", device);
    return tests::run_layer(toml_of(c.options), in, kIntegers);
}

void check_float32(const std::string& device) {
    for (const LayerCase& c : cases()) {
        INFO(toml_of(c.options));
        Arrays in = inputs_of(c, "float32");
        CHECK(worst(run(c, in, "float32", device), tests::reference::layer(c.options, in)) < 1e-5);
    }
}

}  // namespace

TEST_CASE("every layer in float64 equals its formula: results, choices, losses and all gradients") {
    for (const LayerCase& c : cases()) {
        INFO(toml_of(c.options));
        Arrays in = inputs_of(c, "float64");
        CHECK(worst(run(c, in, "float64", "cpu"), tests::reference::layer(c.options, in)) < 1e-10);
    }
}

TEST_CASE("every layer in float32 equals its formula [cpu]") { check_float32("cpu"); }
TEST_CASE("every layer in float32 equals its formula [simt]") { check_float32("simt"); }

TEST_CASE("every layer in bfloat16 equals its formula on the rounded inputs, within bf16's rounding of what lies between [cpu, simt]") {
    for (const LayerCase& c : cases()) {
        std::string method = c.options.word("method");
        // Cells are chosen by hidden values that were rounded: only the choice of all of them is the same.
        if (method == "topk" && c.options.size("k") < c.options.size("hidden")) continue;
        for (const char* device : {"cpu", "simt"}) {
            INFO(toml_of(c.options));
            Arrays in = inputs_of(c, "bfloat16"), got = run(c, in, "bfloat16", device), expected = tests::reference::layer(c.options, in);
            // A sum that cancels almost wholly; tests/engine/ops/xl_attention_test.cpp holds it against its terms.
            got.erase("grad.scale"), expected.erase("grad.scale");
            // Their order is that of rounded values.
            if (method == "topk") got.erase("ids"), expected.erase("ids");
            // A chain rounds at most six times (products, activation, turned queries, softmax's values, their gradients, the result), each
            // by 2⁻⁹ of a sum's terms, which are at most four times the largest sum.
            CHECK(worst(got, expected) < 6 * 4 * 0x1p-9);
        }
    }
}

TEST_CASE("in every layer a later row changes no bit of an earlier row's result") {
    for (const LayerCase& c : cases()) {
        if (leaks(c)) continue;  // tests/moe/every_row_test.cpp holds them to it
        INFO(toml_of(c.options));
        Arrays in = inputs_of(c, "float32"), moved = in;
        Size channels = c.x.columns();
        for (Size i = 0; i < channels; ++i) moved["x"].values[moved["x"].values.size() - 1 - static_cast<std::size_t>(i)] += 0.5;
        std::vector<double> before = run(c, in, "float32", "cpu")["y"].values, after = run(c, moved, "float32", "cpu")["y"].values;
        CHECK(std::equal(before.begin(), before.end() - channels, after.begin()));
    }
}
