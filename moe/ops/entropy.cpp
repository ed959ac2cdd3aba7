#include "moe/ops/entropy.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/kernels/entropy.h"
#include "moe/ops/whole_pass.h"

namespace moe::ops {

using namespace engine;

namespace {

struct EntropyNode final : Node {
    Var logits_NE;
    Tensor log_p_E;
    double scale;

    EntropyNode(Var logits, Tensor log_p, double scale_) : logits_NE(std::move(logits)), log_p_E(std::move(log_p)), scale(scale_) {}
    const char* name() const override { return "entropy"; }
    bool is_reached() const override { return scale != 0; }
    void backward(Exec& exec) override {
        GradSlot dz = logits_NE.grad_slot(exec);
        visit_sum(exec, logits_NE.dtype(), [&]<class D, class S>(On<D, S>) {
            kernels::entropy_backward<D, S>(exec, dz.tensor.rows<S>(), dz.add, logits_NE.value().rows<S>(), log_p_E.data<S>(), scale);
        });
    }
};

}  // namespace

Tensor entropy_loss(Tape& tape, const Var& logits_NE, double weight) {
    ProfileScope profile("entropy");
    Exec& exec = tape.exec();
    Size N = logits_NE.shape().rows(), E = logits_NE.size(-1), shards = exec.shards.count;
    Tensor leaves = shard_leaves(exec, 2 * E, logits_NE.dtype());
    Tensor loss(exec, {1}, logits_NE.dtype()), log_p_E(exec, {E}, logits_NE.dtype());
    double rows = static_cast<double>(rows_of_pass(exec, N));
    visit_sum(exec, logits_NE.dtype(), [&]<class D, class S>(On<D, S>) {
        for (Size s = 0; s < shards; ++s) {
            S* leaf = leaves.data<S>() + s * 2 * E;
            kernels::entropy_leaf<D, S>(exec, leaf, leaf + E, logits_NE.value().rows<S>().slice(s * (N / shards), N / shards));
        }
    });
    Tensor all = whole_pass(exec, leaves);
    visit_sum(exec, logits_NE.dtype(), [&]<class D, class S>(On<D, S>) {
        kernels::entropy_finish<D, S>(exec, log_p_E.data<S>(), loss.data<S>(), all.rows<S>(), E, rows);
    });
    if (tape.records({logits_NE})) tape.record(EntropyNode{logits_NE, log_p_E, weight / rows});
    return loss;
}

}  // namespace moe::ops
