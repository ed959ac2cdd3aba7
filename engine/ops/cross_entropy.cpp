#include "engine/ops/cross_entropy.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "engine/kernels/cross_entropy.h"

namespace engine::ops {
namespace {

struct CrossEntropyNode final : Node {
    Var logits_NV;
    Tensor lse_N, targets_N;
    double weight;

    CrossEntropyNode(Var logits, Tensor lse, Tensor targets, double weight_)
        : logits_NV(std::move(logits)), lse_N(std::move(lse)), targets_N(std::move(targets)), weight(weight_) {}
    const char* name() const override { return "cross_entropy"; }
    bool is_reached() const override { return true; }
    void backward(Exec& exec) override {
        visit_sum(exec, logits_NV.dtype(), [&]<class D, class S>(On<D, S>) {
            kernels::cross_entropy_backward<D, S>(exec, logits_NV.value().rows<S>(), lse_N.data<S>(), targets_N.data<std::int32_t>(),
                                                  weight);
        });
        logits_NV.give_grad(exec, logits_NV.value());
    }
};

struct Losses {
    Tensor loss_N, lse_N;
};

Losses losses_of(Exec& exec, const Var& logits_NV, const Tensor& targets_N) {
    Size N = logits_NV.shape().rows();
    expect(is_floating(logits_NV.dtype()) && logits_NV.dtype() != Dtype::bf16, "cross_entropy",
           "logits must be wide: got {}, expected float32 or float64", dtype_name(logits_NV.dtype()));
    expect(targets_N.shape() == Shape{N}, "cross_entropy", "targets do not fit: got {}, expected ({})", targets_N.shape().text(), N);
    Losses result{Tensor(exec, {N}, logits_NV.dtype()), Tensor(exec, {N}, logits_NV.dtype())};
    visit_sum(exec, logits_NV.dtype(), [&]<class D, class S>(On<D, S>) {
        kernels::cross_entropy<D, S>(exec, result.loss_N.data<S>(), result.lse_N.data<S>(), logits_NV.value().rows<S>(),
                                     targets_N.data<std::int32_t>());
    });
    return result;
}

}  // namespace

Tensor row_losses(Tape& tape, const Var& logits_NV, const Tensor& targets_N) { return losses_of(tape.exec(), logits_NV, targets_N).loss_N; }

Tensor cross_entropy(Tape& tape, const Var& logits_NV, const Tensor& targets_N, double weight) {
    ProfileScope profile("cross_entropy");
    Exec& exec = tape.exec();
    Losses losses = losses_of(exec, logits_NV, targets_N);
    int shards = exec.shards.count;
    Tensor sums(exec, {shards}, logits_NV.dtype());
    Size rows = logits_NV.shape().rows() / shards;
    visit_sum(exec, logits_NV.dtype(), [&]<class D, class S>(On<D, S>) {
        for (int s = 0; s < shards; ++s) kernels::ordered_sum<D, S>(exec, sums.data<S>() + s, losses.loss_N.data<S>() + s * rows, rows);
    });
    if (tape.records({logits_NV})) tape.record(CrossEntropyNode{logits_NV, losses.lse_N, targets_N, weight});
    return sums;
}

}  // namespace engine::ops
