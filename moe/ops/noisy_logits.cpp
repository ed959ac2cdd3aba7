#include "moe/ops/noisy_logits.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/kernels/expert_sums.h"
#include "moe/kernels/noisy_logits.h"
#include "moe/ops/whole_pass.h"

namespace moe::ops {

using namespace engine;

namespace {

struct NoisyLogitsNode final : Node {
    Var logits_NE, deviations_NE, noisy_NE;
    std::uint32_t site;

    NoisyLogitsNode(Var logits, Var deviations, Var noisy, std::uint32_t site_)
        : logits_NE(std::move(logits)), deviations_NE(std::move(deviations)), noisy_NE(std::move(noisy)), site(site_) {}
    const char* name() const override { return "noisy_logits"; }
    bool is_reached() const override { return noisy_NE.has_grad(); }
    void backward(Exec& exec) override {
        if (deviations_NE.needs_grad()) {
            Tensor ds(exec, deviations_NE.shape(), deviations_NE.dtype());
            visit_sum(exec, ds.dtype(), [&]<class D, class S>(On<D, S>) {
                kernels::noisy_logits_backward<D, S>(exec, ds.rows<S>(), noisy_NE.grad().rows<S>(), deviations_NE.value().rows<S>(), site,
                                                     first_row(exec, ds.shape().rows()));
            });
            deviations_NE.give_grad(exec, ds);
        }
        if (logits_NE.needs_grad()) logits_NE.give_grad(exec, noisy_NE.grad());
    }
};

struct GateVariationNode final : Node {
    Var gates_NK;
    Tensor kept_NK, slope_E;
    double weight;

    GateVariationNode(Var gates, Tensor kept, Tensor slope, double weight_)
        : gates_NK(std::move(gates)), kept_NK(std::move(kept)), slope_E(std::move(slope)), weight(weight_) {}
    const char* name() const override { return "gate_variation"; }
    bool is_reached() const override { return true; }
    void backward(Exec& exec) override {
        Size count = gates_NK.shape().elements();
        Tensor d = packed_tensor(exec, gates_NK.shape(), gates_NK.dtype());
        visit_sum(exec, d.dtype(), [&]<class D, class S>(On<D, S>) {
            kernels::spread_slope<D, S>(exec, d.data<S>(), slope_E.data<S>(), kept_NK.data<std::int32_t>(), count, weight);
        });
        gates_NK.give_grad(exec, d);
    }
};

}  // namespace

Var noisy_logits(Tape& tape, const Var& logits_NE, const Var& deviations_NE, std::uint32_t site) {
    ProfileScope profile("noisy_logits");
    Exec& exec = tape.exec();
    expect(logits_NE.shape() == deviations_NE.shape(), "noisy_logits", "deviations do not fit: got {}, expected {}",
           deviations_NE.shape().text(), logits_NE.shape().text());
    expect(exec.scalars != nullptr, "noisy_logits", "no seed and step for the noise: the exec has no scalars");
    bool recorded = tape.records({logits_NE, deviations_NE});
    Var noisy(Tensor(exec, logits_NE.shape(), logits_NE.dtype()), recorded);
    visit_sum(exec, logits_NE.dtype(), [&]<class D, class S>(On<D, S>) {
        kernels::noisy_logits<D, S>(exec, noisy.value().rows<S>(), logits_NE.value().rows<S>(), deviations_NE.value().rows<S>(), site,
                                    first_row(exec, logits_NE.shape().rows()));
    });
    if (recorded) tape.record(NoisyLogitsNode{logits_NE, deviations_NE, noisy, site});
    return noisy;
}

Tensor gate_variation(Tape& tape, const Var& gates_NK, const Tensor& kept_NK, Size experts, double weight) {
    ProfileScope profile("gate_variation");
    Exec& exec = tape.exec();
    Size K = kept_NK.size(1), rows = kept_NK.size(0) / exec.shards.count;
    Tensor leaves = shard_leaves(exec, experts, gates_NK.dtype()), loss(exec, {1}, gates_NK.dtype()),
           slope_E(exec, {experts}, gates_NK.dtype());
    visit_sum(exec, gates_NK.dtype(), [&]<class D, class S>(On<D, S>) {
        for (Size s = 0; s < exec.shards.count; ++s) {
            kernels::expert_sums<D, S>(exec, leaves.data<S>() + s * experts, kept_NK.data<std::int32_t>() + s * rows * K,
                                       gates_NK.value().data<S>() + s * rows * K, rows, K, experts);
        }
    });
    Tensor sums = pass_sum(exec, leaves, 1);
    visit_sum(exec, gates_NK.dtype(), [&]<class D, class S>(On<D, S>) {
        kernels::squared_variation<D, S>(exec, loss.data<S>(), slope_E.data<S>(), sums.data<S>(), experts);
    });
    if (weight != 0 && tape.records({gates_NK})) tape.record(GateVariationNode{gates_NK, kept_NK, slope_E, weight});
    return loss;
}

}  // namespace moe::ops
