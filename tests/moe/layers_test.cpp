// Every row of the table against a slow double-precision implementation written straight from the formulas (sigma-moe.md 1.4–1.7).
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

double act(const std::string& kind, double x) {
    if (kind == "gelu") return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    if (kind == "silu") return x / (1 + std::exp(-x));
    return x > 0 ? x : 0;
}
double slope(const std::string& kind, double x) {
    if (kind == "gelu") return 0.5 * (1 + std::erf(x / std::sqrt(2.0))) + x * std::exp(-0.5 * x * x) / std::sqrt(2 * M_PI);
    if (kind == "silu") {
        double s = 1 / (1 + std::exp(-x));
        return s + x * s * (1 - s);
    }
    return x > 0 ? 1 : 0;
}

Table reference_experts(const Setting& s, const std::vector<double>& x, const std::vector<double>& dy, const Table& param) {
    std::size_t N = static_cast<std::size_t>(s.N), C = static_cast<std::size_t>(s.C), E = static_cast<std::size_t>(s.E),
                G = static_cast<std::size_t>(s.G), K = static_cast<std::size_t>(s.K);
    const auto &router = param.at("param.router.w"), &w1 = param.at("param.experts.w1"), &w2 = param.at("param.experts.w2");
    static const std::vector<double> none;
    const auto& w3 = s.glu ? param.at("param.experts.w3") : none;
    Table out;
    auto &y = out["y"], &ids = out["ids"], &gates = out["gates"], &dx = out["dx"], &drouter = out["grad.router.w"],
         &dw1 = out["grad.experts.w1"], &dw2 = out["grad.experts.w2"], &dw3 = out["grad.experts.w3"];
    y.assign(N * C, 0), ids.assign(N * K, 0), gates.assign(N * K, 0), dx.assign(N * C, 0), drouter.assign(C * E, 0),
        dw1.assign(E * C * G, 0), dw2.assign(E * G * C, 0), dw3.assign(s.glu ? E * C * G : 0, 0);
    std::vector<double> z(N * E), q(N * E), p(E), dz(N * E);
    for (std::size_t n = 0; n < N; ++n) {
        double sum = 0;
        for (std::size_t e = 0; e < E; ++e) {
            for (std::size_t c = 0; c < C; ++c) z[n * E + e] += x[n * C + c] * router[c * E + e];
            sum += std::exp(z[n * E + e]);
        }
        for (std::size_t e = 0; e < E; ++e) {
            q[n * E + e] = std::exp(z[n * E + e]) / sum;
            p[e] += q[n * E + e] / static_cast<double>(N);
        }
    }
    double loss = 0;
    for (double share : p) loss += share * std::log(share);
    out["loss.entropy"] = {loss};
    for (std::size_t n = 0; n < N; ++n) {
        std::vector<std::size_t> order(E);
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return z[n * E + a] > z[n * E + b]; });
        double chosen = 0;
        for (std::size_t k = 0; k < K; ++k) chosen += std::exp(z[n * E + order[k]]);
        std::vector<double> dgate(K);
        for (std::size_t k = 0; k < K; ++k) {
            std::size_t e = order[k];
            double logit = z[n * E + e];
            double gate = s.method == "sigma-moe"        ? 1 / (1 + std::exp(-logit))
                          : s.method == "softmax-before" ? q[n * E + e]
                                                         : std::exp(logit) / chosen;
            ids[n * K + k] = static_cast<double>(e);
            gates[n * K + k] = gate;
            for (std::size_t g = 0; g < G; ++g) {
                double u = 0, v = s.glu ? 0 : 1, back = 0;
                for (std::size_t c = 0; c < C; ++c) {
                    u += x[n * C + c] * w1[(e * C + c) * G + g];
                    if (s.glu) v += x[n * C + c] * w3[(e * C + c) * G + g];
                    back += dy[n * C + c] * w2[(e * G + g) * C + c];
                }
                double a = act(s.activation, u) * v;
                dgate[k] += a * back;
                double du = gate * back * slope(s.activation, u) * v, dv = gate * back * act(s.activation, u);
                for (std::size_t c = 0; c < C; ++c) {
                    y[n * C + c] += gate * a * w2[(e * G + g) * C + c];
                    dw2[(e * G + g) * C + c] += gate * a * dy[n * C + c];
                    dw1[(e * C + c) * G + g] += du * x[n * C + c];
                    dx[n * C + c] += du * w1[(e * C + c) * G + g];
                    if (s.glu) {
                        dw3[(e * C + c) * G + g] += dv * x[n * C + c];
                        dx[n * C + c] += dv * w3[(e * C + c) * G + g];
                    }
                }
            }
        }
        double mean = 0, entropy_mean = 0;
        for (std::size_t k = 0; k < K; ++k) mean += dgate[k] * gates[n * K + k];
        for (std::size_t e = 0; e < E; ++e) entropy_mean += q[n * E + e] * std::log(p[e]);
        for (std::size_t e = 0; e < E; ++e) {
            dz[n * E + e] = s.entropy_weight / static_cast<double>(N) * q[n * E + e] * (std::log(p[e]) - entropy_mean);
            if (s.method == "softmax-before") dz[n * E + e] -= q[n * E + e] * mean;
        }
        for (std::size_t k = 0; k < K; ++k) {
            double gate = gates[n * K + k];
            double& d = dz[n * E + order[k]];
            if (s.method == "sigma-moe") d += dgate[k] * gate * (1 - gate);
            if (s.method == "softmax-before") d += dgate[k] * gate;
            if (s.method == "softmax-after") d += gate * (dgate[k] - mean);
        }
        for (std::size_t e = 0; e < E; ++e) {
            for (std::size_t c = 0; c < C; ++c) {
                drouter[c * E + e] += dz[n * E + e] * x[n * C + c];
                dx[n * C + c] += dz[n * E + e] * router[c * E + e];
            }
        }
    }
    return out;
}

double worst(const Table& got, const Table& expected) {
    double error = 0;
    for (const auto& [name, values] : expected) {
        if (values.empty()) continue;
        INFO(name);
        REQUIRE(got.contains(name));
        error = std::max(error, tests::relative_error(got.at(name), values));
    }
    return error;
}

const Setting kSettings[] = {
    {"sigma-moe", 11, 13, 5, 7, 2},
    {"softmax-before", 11, 13, 5, 7, 2},
    {"softmax-after", 11, 13, 5, 7, 3},
    {"sigma-moe", 1, 3, 1, 1, 1},
    {"sigma-moe", 40, 8, 4, 33, 4},
    {"sigma-moe", 17, 9, 6, 5, 2, true, "silu"},
    {"softmax-after", 5, 16, 31, 3, 1, false, "gelu"},
};

}  // namespace

TEST_CASE("every mixture of experts in double equals its formula: outputs, losses and all gradients") {
    Exec exec;
    for (const Setting& s : kSettings) {
        auto x = random_values(s.N * s.C, 1), dy = random_values(s.N * s.C, 2);
        Table got = run(exec, Dtype::f64, s, x, dy);
        CHECK(worst(got, reference_experts(s, x, dy, got)) < 1e-10);
    }
}

TEST_CASE_DEVICES("every mixture of experts in fp32 equals its formula on every device") {
    for (const Setting& s : kSettings) {
        auto x = random_values(s.N * s.C, 1), dy = random_values(s.N * s.C, 2);
        Table got = run(exec, Dtype::f32, s, x, dy);
        CHECK(worst(got, reference_experts(s, x, dy, got)) < 1e-5);
    }
}

TEST_CASE_DEVICES("experts in bf16 stay within bf16's rounding") {
    Setting s{"sigma-moe", 24, 16, 4, 8, 4};  // K = E: no choice that rounding could change
    auto x = random_values(s.N * s.C, 1), dy = random_values(s.N * s.C, 2);
    Table got = run(exec, Dtype::bf16, s, x, dy);
    Table exact = reference_experts(s, x, dy, got);
    exact.erase("ids"), exact.erase("gates");
    // Inputs, hidden values and results carry 8 bits each, in chains of three products.
    CHECK(worst(got, exact) < 0.03);
}

TEST_CASE("sigma-moe with all experts and all scores 1 is the dense layer, and experts may be permuted") {
    Exec exec;
    Setting s{"sigma-moe", 9, 6, 3, 5, 3, false, "relu", 0.0}, d{"dense", 9, 6, 3, 5, 0};
    auto x = random_values(54, 1), dy = random_values(54, 2);
    // A router of zeros gives every expert the score σ(0) = ½; doubled values make it 1.
    Table experts = run(exec, Dtype::f64, s, x, dy, {{"router.w", std::vector<double>(18, 0.0)}});
    Table dense_weights;
    dense_weights["w1"].resize(6 * 15), dense_weights["w2"].resize(15 * 6);
    for (std::size_t e = 0; e < 3; ++e) {
        for (std::size_t c = 0; c < 6; ++c) {
            for (std::size_t g = 0; g < 5; ++g) {
                dense_weights["w1"][c * 15 + e * 5 + g] = experts["param.experts.w1"][(e * 6 + c) * 5 + g];
                dense_weights["w2"][(e * 5 + g) * 6 + c] = 0.5 * experts["param.experts.w2"][(e * 5 + g) * 6 + c];
            }
        }
    }
    CHECK(tests::relative_error(run(exec, Dtype::f64, d, x, dy, dense_weights)["y"], experts["y"]) < 1e-12);
}

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

TEST_CASE("equal scores go to the lower index") {
    Exec exec;
    Setting s{"sigma-moe", 3, 4, 6, 5, 4, false, "relu", 0.0};
    Table got = run(exec, Dtype::f32, s, random_values(12, 1), random_values(12, 2), {{"router.w", std::vector<double>(24, 0.0)}});
    CHECK(got["ids"] == std::vector<double>{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3});
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
