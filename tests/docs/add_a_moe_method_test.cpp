// The code of docs/add_a_moe_method.md, compiled and run. What the page shows must stand here, line for line (tests/docs/quotes_test.cpp).
#include "engine/autograd/gradient_check.h"
#include "engine/base/error.h"
#include "engine/base/visit.h"
#include "engine/ops/linear.h"
#include "engine/tensor/transfer.h"
#include "moe/ops/experts.h"
#include "moe/ops/top_ids.h"
#include "tests/docs/kernels/softplus_gate.h"
#include "tests/support/devices.h"
#include "tests/support/moe_layers.h"
#include "tests/support/random.h"

using namespace engine;
using namespace tests;

namespace {

// σ-MoE's experts and gate, kept spread by Switch's loss, with a limit of seats.
const moe::Method kSigmaSwitch = {
    .name = "sigma-switch",
    .selector = moe::Selector::top_experts,
    .gate = moe::Gate::sigmoid,
    .memory = moe::Memory::experts,
    .balance = moe::Balance::fraction_mean,
    .formula = "y = Σ_top-k σ(z_e)·act(x·w1_e)·w2_e",
    .source = "docs/add_a_moe_method.md",
    .leaks = moe::Leaks::with_capacity,
    .extras = {.capacity = true},
};

LayerCase sigma_switch(const std::string& more) {
    return {.method = "sigma-switch", .N = 12, .C = 5, .options = "n_experts=4 expert_size=3 k=2 " + more, .row = &kSigmaSwitch};
}

}  // namespace

TEST_CASE("the page's row has the gradients of central differences, with and without its losses and seats") {
    for (const char* more : {"", "balance_weight=0.3 z_weight=0.2 activation=gelu", "capacity_factor=0.6 glu=true"}) {
        LayerCase layer = sigma_switch(more);
        INFO(layer.options);
        CHECK(layer_gradient_error(layer, random_values(layer.N * layer.C, 1), random_values(layer.N * layer.C, 2)) < 1e-7);
    }
}

TEST_CASE("the page's row is the formula it states") {
    Exec exec;
    LayerCase layer = sigma_switch("");
    auto x = random_values(layer.N * layer.C, 1);
    Table got = run_layer(exec, Dtype::f64, layer, x, {});
    std::vector<double> logits = naive_product(x, got["param.router.w"], layer.N, layer.C, 4), gates;
    for (std::size_t i = 0; i < got["ids"].size(); ++i) {
        double z = logits[i / 2 * 4 + static_cast<std::size_t>(got["ids"][i])];
        gates.push_back(1 / (1 + std::exp(-z)));
    }
    CHECK(relative_error(got["gates"], gates) < 1e-14);
    // Sums of at most 5 products, then of 6: 16 roundings of 2⁻⁵³.
    CHECK(relative_error(got["y"], naive_experts(layer, x, got, got["ids"], gates)) < 1e-14);
}

TEST_CASE_DEVICES("the page's row in fp32 equals the same row in double") {
    Exec cpu;
    LayerCase layer = sigma_switch("balance_weight=0.3 capacity_factor=0.6");
    auto x = random_values(layer.N * layer.C, 1), dy = random_values(layer.N * layer.C, 2);
    Table exact = run_layer(cpu, Dtype::f64, layer, x, dy), got = run_layer(exec, Dtype::f32, layer, x, dy);
    CHECK(got["ids"] == exact["ids"]);
    // Sums of at most 12 rows of products of 5·3 terms: 200·2⁻²⁴, as in tests/moe/every_row_test.cpp.
    for (const char* name : {"y", "gates", "dx", "grad.router.w", "grad.experts.w1", "grad.experts.w2"}) {
        CHECK(relative_error(got[name], exact[name]) < 2.5e-5);
    }
}

namespace {

struct SoftplusGateNode final : Node {
    Var logits_NE, gates_NK;
    Tensor ids_NK;

    SoftplusGateNode(Var logits, Var gates, Tensor ids)
        : logits_NE(std::move(logits)), gates_NK(std::move(gates)), ids_NK(std::move(ids)) {}
    const char* name() const override { return "softplus_gate"; }
    bool is_reached() const override { return gates_NK.has_grad(); }
    void backward(Exec& exec) override {
        Tensor dz(exec, logits_NE.shape(), logits_NE.dtype());
        visit_sum(exec, dz.dtype(), [&]<class D, class S>(On<D, S>) {
            walk::softplus_gate_backward<D, S>(exec, dz.rows<S>(), gates_NK.grad().rows<S>(), logits_NE.value().rows<S>(),
                                               ids_NK.data<std::int32_t>());
        });
        logits_NE.give_grad(exec, dz);
    }
};

// α = softplus(z) of the experts chosen: (N,K) in the logits' dtype. logits (N,E) of Sum dtype, ids (N,K) int32.
Var softplus_gate(Tape& tape, const Var& logits_NE, const Tensor& ids_NK) {
    Exec& exec = tape.exec();
    expect(ids_NK.size(0) == logits_NE.size(0), "softplus_gate", "ids must have a row a token: got {}, expected {}", ids_NK.size(0),
           logits_NE.size(0));
    bool recorded = tape.records({logits_NE});
    Var gates_NK(packed_tensor(exec, ids_NK.shape(), logits_NE.dtype()), recorded);
    visit_sum(exec, logits_NE.dtype(), [&]<class D, class S>(On<D, S>) {
        walk::softplus_gate<D, S>(exec, gates_NK.value().rows<S>(), logits_NE.value().rows<S>(), ids_NK.data<std::int32_t>());
    });
    if (recorded) tape.record(SoftplusGateNode{logits_NE, gates_NK, ids_NK});
    return gates_NK;
}

// Σ_top-2 softplus(z_e)·relu(x·w1_e)·w2_e: score, choose, weigh, combine.
Var softplus_experts(Tape& tape, const Var& x_NC, const Var& router_CE, const Var& w1_ECG, const Var& w2_EGC) {
    Var logits_NE = engine::ops::linear_wide(tape, x_NC, router_CE);
    moe::ops::Picks picks = moe::ops::top_ids(tape.exec(), logits_NE.value(), 2);
    Var gates_NK = softplus_gate(tape, logits_NE, picks.ids_NK);
    return moe::ops::experts(tape, x_NC, picks, gates_NK, w1_ECG, w2_EGC, Var(), engine::ops::Activation::relu);
}

}  // namespace

TEST_CASE("the page's gate has the gradients of central differences, inside a layer") {
    Exec exec;
    auto leaf = [&](const Shape& shape, std::uint64_t salt) {
        return Var(from_host(exec, shape, Dtype::f64, random_values(shape.elements(), salt)), true);
    };
    Var x = leaf({7, 5}, 1), router = leaf({5, 4}, 2), w1 = leaf({4, 5, 3}, 3), w2 = leaf({4, 3, 5}, 4);
    CHECK(gradient_error(exec, {x, router, w1, w2}, [&](Tape& tape) { return softplus_experts(tape, x, router, w1, w2); }) < 1e-7);
}

TEST_CASE_DEVICES("the page's kernel equals its formula in double precision, for odd, tiny and empty shapes and for large logits") {
    for (auto [N, E, K] : {std::array<Size, 3>{0, 3, 1}, {1, 1, 1}, {7, 5, 3}, {131, 17, 17}}) {
        auto z = random_values(N * E, 1), dgates = random_values(N * K, 2);
        for (double& value : z) value *= 90;  // exp overflows a float from 89 on
        std::vector<std::int32_t> ids;
        for (Size i = 0; i < N * K; ++i) ids.push_back(static_cast<std::int32_t>((i / K + i) % E));
        std::vector<double> gates, dz(z.size(), 0.0);
        for (std::size_t i = 0; i < ids.size(); ++i) {
            std::size_t at = i / static_cast<std::size_t>(K) * static_cast<std::size_t>(E) + static_cast<std::size_t>(ids[i]);
            gates.push_back(z[at] > 0 ? z[at] + std::log1p(std::exp(-z[at])) : std::log1p(std::exp(z[at])));
            dz[at] += dgates[i] / (1 + std::exp(-z[at]));
        }
        Tensor z_NE = from_host(exec, {N, E}, Dtype::f32, z), ids_NK = from_host(exec, {N, K}, Dtype::i32, ids);
        Tensor dgates_NK = from_host(exec, {N, K}, Dtype::f32, dgates), gates_NK(exec, {N * K}, Dtype::f32),
               dz_NE(exec, {N, E}, Dtype::f32);
        gates_NK = gates_NK.reshaped({N, K});
        visit_sum(exec, Dtype::f32, [&]<class D, class S>(On<D, S>) {
            walk::softplus_gate<D, S>(exec, gates_NK.rows<S>(), z_NE.rows<S>(), ids_NK.data<std::int32_t>());
            walk::softplus_gate_backward<D, S>(exec, dz_NE.rows<S>(), dgates_NK.rows<S>(), z_NE.rows<S>(), ids_NK.data<std::int32_t>());
        });
        // The logit's own rounding and that of exp, log and the sum: 8·2⁻²⁴ of the largest.
        CHECK((N == 0 || relative_error(to_host<double>(exec, gates_NK), gates) < 5e-7));
        CHECK((N == 0 || relative_error(to_host<double>(exec, dz_NE), dz) < 5e-7));
    }
}
