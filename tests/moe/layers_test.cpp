// Layers of the table as modules: shards, threads, choices, compositions. tests/apps/layer_reference_test.cpp holds them to their formulas.
#include "engine/autograd/gradient_check.h"
#include "engine/base/threads.h"
#include "engine/tensor/transfer.h"
#include "moe/methods/table.h"
#include "nn/parameter_store.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace engine;
using tests::random_values;

namespace {

using Table = std::map<std::string, std::vector<double>>;

struct Setting {
    std::string method;
    Size N, C, E, G, K;
    bool glu = false;
    std::string activation = "relu";
    double entropy_weight = 0.3;
};

nn::OptionTable options_of(const Setting& s) {
    nn::OptionTable options("ffn");
    bool experts = moe::method_named(s.method).memory == moe::Memory::experts;
    options.set("activation", s.activation);
    if (s.glu) options.set("glu", true);
    if (experts) {
        options.set("n_experts", s.E);
        options.set("expert_size", s.G);
        options.set("k", s.K);
        options.set("entropy_weight", s.entropy_weight);
    } else {
        options.set("hidden", s.E * s.G);
        if (s.method == "topk") options.set("k", s.K);
    }
    return options;
}

// Runs the layer; every tensor by its name in LAYERS: y, ids, gates, loss.entropy, dx, grad.*, param.*
Table run(Exec& exec, Dtype dtype, const Setting& s, const std::vector<double>& x, const std::vector<double>& dy, const Table& fixed = {}) {
    auto layer = moe::make_feed_forward(moe::method_named(s.method), options_of(s), {s.C, 0, 2});
    nn::ParameterStore store(exec, *layer, dtype, 17, true);
    Table out;
    for (const auto& place : store.places()) {
        nn::Parameter& p = *place.parameter;
        if (fixed.contains(p.name)) copy_from_host(exec, p.var.value(), fixed.at(p.name));
        out["param." + p.name] = to_host<double>(exec, p.var.value());
    }
    Tape tape(exec);
    Var input(from_host(exec, {s.N, s.C}, dtype, x), true);
    nn::FeedForwardResult result = layer->forward(tape, input, {});
    out["y"] = to_host<double>(exec, result.y_NC.value());
    if (result.routing.ids.defined()) {
        out["ids"] = to_host<double>(exec, result.routing.ids);
        out["gates"] = to_host<double>(exec, result.routing.gates);
    }
    for (const auto& loss : result.losses) out["loss." + loss.name] = to_host<double>(exec, loss.value);
    result.y_NC.give_grad(exec, from_host(exec, {s.N, s.C}, dtype, dy));
    tape.backward();
    out["dx"] = to_host<double>(exec, input.grad());
    store.end_pass(exec);
    for (const auto& place : store.places()) out["grad." + place.parameter->name] = to_host<double>(exec, place.parameter->var.grad());
    return out;
}

}  // namespace

TEST_CASE("an expert with no tokens has gradients of exact zero, and all tokens may go to one") {
    Exec exec;
    Setting s{"sigma-moe", 8, 4, 3, 5, 1, false, "relu", 0.0};
    std::vector<double> x(32, 1.0), router(12, 0.0);
    for (std::size_t c = 0; c < 4; ++c) router[c * 3 + 1] = 1.0;
    Table got = run(exec, Dtype::f32, s, x, random_values(32, 2), {{"router.w", router}});
    for (double id : got["ids"]) CHECK(id == 1.0);
    for (std::size_t i = 0; i < 20; ++i) {
        CHECK(got["grad.experts.w1"][i] == 0.0);
        CHECK(got["grad.experts.w2"][40 + i] == 0.0);
    }
}

TEST_CASE("a layer has the same bits at any number of threads, and earlier rows do not see later ones") {
    Exec exec;
    for (const char* method : {"sigma-moe", "softmax-before", "softmax-after"}) {
        Setting s{method, 97, 24, 8, 16, 2};
        auto x = random_values(s.N * s.C, 1), dy = random_values(s.N * s.C, 2);
        set_threads(1);
        Table one = run(exec, Dtype::f32, s, x, dy);
        for (int count : {2, 3}) {
            set_threads(count);
            CHECK(run(exec, Dtype::f32, s, x, dy) == one);
        }
        set_threads(2);
        auto moved = x;
        for (std::size_t c = 0; c < 24; ++c) moved[50 * 24 + c] += 3.0;
        auto y = run(exec, Dtype::f32, s, moved, dy)["y"];
        CHECK(std::equal(y.begin(), y.begin() + 50 * 24, one["y"].begin()));
        CHECK_FALSE(std::equal(y.begin(), y.end(), one["y"].begin()));
    }
}

TEST_CASE("four micro-shards of experts give the tree of four separate batches, bit for bit") {
    Exec exec;
    Setting s{"sigma-moe", 40, 12, 4, 8, 2, false, "relu", 0.0}, part = s;
    part.N = 10;
    auto x = random_values(480, 1), dy = random_values(480, 2);
    std::vector<Table> shard;
    for (long i = 0; i < 4; ++i) {
        shard.push_back(run(exec, Dtype::f32, part, {x.begin() + i * 120, x.begin() + (i + 1) * 120},
                            {dy.begin() + i * 120, dy.begin() + (i + 1) * 120}));
    }
    exec.shards = {0, 4, 4};
    Table whole = run(exec, Dtype::f32, s, x, dy);
    for (const char* name : {"grad.router.w", "grad.experts.w1", "grad.experts.w2"}) {
        for (std::size_t i = 0; i < whole[name].size(); ++i) {
            auto f = [&](std::size_t j) { return static_cast<float>(shard[j][name][i]); };
            CHECK(whole[name][i] == (f(0) + f(1)) + (f(2) + f(3)));
        }
    }
}

TEST_CASE("dense and topk have the gradients of central differences, and topk keeps exactly k") {
    Exec exec;
    for (const char* method : {"dense", "topk"}) {
        Setting s{method, 6, 5, 1, 9, 3, true, "gelu"};
        auto layer = moe::make_feed_forward(moe::method_named(method), options_of(s), {5, 0, 1});
        nn::ParameterStore store(exec, *layer, Dtype::f64, 3, true);
        std::vector<Var> inputs = {Var(from_host(exec, {6, 5}, Dtype::f64, random_values(30, 1)), true)};
        for (const auto& place : store.places()) inputs.push_back(place.parameter->var);
        CHECK(gradient_error(exec, inputs, [&](Tape& tape) { return layer->forward(tape, inputs[0], {}).y_NC; }) < 1e-7);
    }
    Setting s{"topk", 6, 5, 1, 9, 3};
    Table got = run(exec, Dtype::f32, s, random_values(30, 1), random_values(30, 2));
    CHECK(got["ids"].size() == 18);
    CHECK(got["gates"] == std::vector<double>(18, 1.0));
}

TEST_CASE_DEVICES("a composition that is no row of the table works: top-k experts, gate 1, no balance") {
    moe::Method row{"mine", moe::Selector::top_experts, moe::Gate::one, moe::Memory::experts, moe::Balance::none, "", ""};
    nn::OptionTable options("ffn");
    options.set("n_experts", Size{4}), options.set("expert_size", Size{8}), options.set("k", Size{2});
    auto layer = moe::make_feed_forward(row, options, {6, 0, 1});
    nn::ParameterStore store(exec, *layer, Dtype::f32, 3, true);
    // Gradient descent towards a fixed target.
    auto x = random_values(60, 1), target = random_values(60, 2);
    double first = 0, last = 0;
    for (int step = 0; step < 60; ++step) {
        store.begin_pass();
        Tape tape(exec);
        Var y = layer->forward(tape, Var(from_host(exec, {10, 6}, Dtype::f32, x)), {}).y_NC;
        auto got = to_host<double>(exec, y.value());
        last = 0;
        for (std::size_t i = 0; i < got.size(); ++i) {
            got[i] -= target[i];
            last += got[i] * got[i];
        }
        if (step == 0) first = last;
        y.give_grad(exec, from_host(exec, {10, 6}, Dtype::f32, got));
        tape.backward();
        for (const auto& place : store.places()) {
            auto values = to_host<double>(exec, place.parameter->var.value()),
                 grads = to_host<double>(
                     exec, place.parameter->var.has_grad() ? place.parameter->var.grad() : zeros(exec, place.parameter->shape, Dtype::f32));
            for (std::size_t i = 0; i < values.size(); ++i) values[i] -= 0.05 * grads[i];
            copy_from_host(exec, place.parameter->var.value(), values);
        }
    }
    CHECK(last < 0.5 * first);
}

TEST_CASE("impossible options are refused with the rule") {
    nn::OptionTable options("ffn");
    options.set("n_experts", Size{16}), options.set("expert_size", Size{8}), options.set("k", Size{20});
    CHECK_THROWS_WITH(moe::make_feed_forward(moe::method_named("sigma-moe"), options, {6, 0, 1}),
                      "[ffn] k must be between 1 and n_experts: got k = 20, n_experts = 16; hint: set ffn.k");
    CHECK_THROWS(moe::method_named("sigma-mo"));
}
