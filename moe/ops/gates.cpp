#include "moe/ops/gates.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"

namespace moe::ops {

using namespace engine;

namespace {

struct GatesNode final : Node {
    Var logits_NE, gates_NK;
    Picks picks;
    kernels::GateRule rule;

    GatesNode(Var logits, Var gates, Picks picks_, kernels::GateRule rule_)
        : logits_NE(std::move(logits)), gates_NK(std::move(gates)), picks(std::move(picks_)), rule(rule_) {}
    const char* name() const override { return "gates"; }
    bool is_reached() const override { return gates_NK.has_grad(); }
    void backward(Exec& exec) override {
        Tensor dz(exec, logits_NE.shape(), logits_NE.dtype());
        visit_sum(exec, dz.dtype(), [&]<class D, class S>(On<D, S>) {
            kernels::gates_backward<D, S>(exec, dz.rows<S>(), gates_NK.grad().data<S>(), logits_NE.value().rows<S>(),
                                          picks.ids_NK.data<std::int32_t>(), picks.kept_NK.data<std::int32_t>(), picks.ids_NK.size(1),
                                          rule);
        });
        logits_NE.give_grad(exec, dz);
    }
};

}  // namespace

Var gates(Tape& tape, const Var& logits_NE, const Picks& picks, kernels::GateRule rule, Dtype dtype) {
    ProfileScope profile("gates");
    Exec& exec = tape.exec();
    Size N = picks.ids_NK.size(0), K = picks.ids_NK.size(1);
    bool constant = rule.gate == kernels::Gate::one;
    expect(constant || logits_NE.defined(), "gates", "the gate is a function of logits, and the selector has none");
    bool recorded = !constant && tape.records({logits_NE});
    // An array of N·K without padding between rows.
    Var gates_NK(packed_tensor(exec, {N, K}, dtype), recorded);
    visit_sum(exec, dtype, [&]<class D, class S>(On<D, S>) {
        kernels::gates<D, S>(exec, gates_NK.value().data<S>(), constant ? Rows<const S>{} : logits_NE.value().rows<S>(),
                             picks.ids_NK.data<std::int32_t>(), picks.kept_NK.data<std::int32_t>(), N, K, rule);
    });
    if (recorded) tape.record(GatesNode{logits_NE, gates_NK, picks, rule});
    return gates_NK;
}

}  // namespace moe::ops
