#include "moe/ops/choose.h"

#include "engine/base/profile.h"
#include "moe/ops/visit_sum.h"

namespace moe::ops {

using namespace engine;

namespace {

struct ChooseNode final : Node {
    Var logits_NE;
    Choice choice;
    kernels::Gate gate;

    ChooseNode(Var logits, Choice choice_, kernels::Gate gate_) : logits_NE(std::move(logits)), choice(std::move(choice_)), gate(gate_) {}
    const char* name() const override { return "choose"; }
    bool is_reached() const override { return choice.gates_NK.has_grad(); }
    void backward(Exec& exec) override {
        Tensor dz(exec, logits_NE.shape(), logits_NE.dtype());
        visit_sum(exec, dz.dtype(), [&]<class D, class S>(On<D, S>) {
            kernels::choose_backward<D, S>(exec, dz.rows<S>(), choice.gates_NK.grad().data<S>(), choice.ids_NK.data<std::int32_t>(),
                                           choice.gates_NK.value().data<S>(), logits_NE.value().rows<S>(), choice.ids_NK.size(1), gate);
        });
        logits_NE.give_grad(exec, dz);
    }
};

}  // namespace

Choice choose(Tape& tape, const Var& logits_NE, Size K, kernels::Gate gate, float dropout, std::uint32_t site) {
    ProfileScope profile("choose");
    Size N = logits_NE.shape().rows(), E = logits_NE.size(-1);
    expect(K >= 1 && K <= E, "ffn", "k must be between 1 and n_experts: got k = {}, n_experts = {}; hint: set ffn.k", K, E);
    Exec& exec = tape.exec();
    bool recorded = tape.records({logits_NE}) && gate != kernels::Gate::one;
    // Arrays of N·K without padding between rows.
    Choice choice{Tensor(exec, {N * K}, Dtype::i32).reshaped({N, K}),
                  Var(Tensor(exec, {N * K}, logits_NE.dtype()).reshaped({N, K}), recorded)};
    kernels::ChoiceDropout drop;
    if (tape.training() && dropout > 0) {
        expect(exec.scalars != nullptr, "choose", "no seed and step for expert dropout: the exec has no scalars");
        drop = {dropout, site, N / exec.shards.count * exec.shards.first};
    }
    visit_sum(exec, logits_NE.dtype(), [&]<class D, class S>(On<D, S>) {
        kernels::choose<D, S>(exec, choice.ids_NK.data<std::int32_t>(), choice.gates_NK.value().data<S>(), logits_NE.value().rows<S>(), K,
                              gate, drop);
    });
    if (recorded) tape.record(ChooseNode{logits_NE, choice, gate});
    return choice;
}

}  // namespace moe::ops
