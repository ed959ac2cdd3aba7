#include "moe/ops/key_gates.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"

namespace moe::ops {

using namespace engine;

namespace {

struct KeyGatesNode final : Node {
    Var scores, gates;
    Size group;
    kernels::KeyGate kind;

    KeyGatesNode(Var scores_, Var gates_, Size group_, kernels::KeyGate kind_)
        : scores(std::move(scores_)), gates(std::move(gates_)), group(group_), kind(kind_) {}
    const char* name() const override { return "key_gates"; }
    bool is_reached() const override { return gates.has_grad(); }
    void backward(Exec& exec) override {
        Tensor dscores(exec, scores.shape(), scores.dtype());
        visit_sum(exec, scores.dtype(), [&]<class D, class S>(On<D, S>) {
            kernels::key_gates_backward<D, S>(exec, dscores.rows<S>(), gates.grad().rows<S>(), gates.value().rows<S>(), group, kind);
        });
        scores.give_grad(exec, dscores);
    }
};

}  // namespace

Var key_gates(Tape& tape, const Var& scores_NJ, Size group, kernels::KeyGate kind) {
    ProfileScope profile("key_gates");
    Size N = scores_NJ.shape().rows(), J = scores_NJ.size(-1);
    expect(group >= 1 && J % group == 0, "key_gates", "groups do not fit: got {} of {} scores", group, J);
    Exec& exec = tape.exec();
    bool recorded = tape.records({scores_NJ});
    Var gates(packed_tensor(exec, {N, J}, scores_NJ.dtype()), recorded);
    visit_sum(exec, scores_NJ.dtype(), [&]<class D, class S>(On<D, S>) {
        kernels::key_gates<D, S>(exec, gates.value().rows<S>(), scores_NJ.value().rows<S>(), group, kind);
    });
    if (recorded) tape.record(KeyGatesNode{scores_NJ, gates, group, kind});
    return gates;
}

}  // namespace moe::ops
