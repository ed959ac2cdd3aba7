#include "moe/ops/router_losses.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/kernels/fraction_mean.h"
#include "moe/kernels/row_lse.h"
#include "moe/ops/whole_pass.h"

namespace moe::ops {

using namespace engine;

namespace {

struct FractionMeanNode final : Node {
    Var logits_NE;
    Tensor lse_N, means_2E;
    double scale;

    FractionMeanNode(Var logits, Tensor lse, Tensor means, double scale_)
        : logits_NE(std::move(logits)), lse_N(std::move(lse)), means_2E(std::move(means)), scale(scale_) {}
    const char* name() const override { return "fraction_mean"; }
    bool is_reached() const override { return true; }
    void backward(Exec& exec) override {
        GradSlot dz = logits_NE.grad_slot(exec);
        visit_sum(exec, logits_NE.dtype(), [&]<class D, class S>(On<D, S>) {
            kernels::fraction_mean_backward<D, S>(exec, dz.tensor.rows<S>(), dz.add, logits_NE.value().rows<S>(), lse_N.data<S>(),
                                                  means_2E.data<S>() + logits_NE.size(-1), scale);
        });
    }
};

struct ZLossNode final : Node {
    Var logits_NE;
    Tensor lse_N;
    double scale;

    ZLossNode(Var logits, Tensor lse, double scale_) : logits_NE(std::move(logits)), lse_N(std::move(lse)), scale(scale_) {}
    const char* name() const override { return "z_loss"; }
    bool is_reached() const override { return true; }
    void backward(Exec& exec) override {
        GradSlot dz = logits_NE.grad_slot(exec);
        visit_sum(exec, logits_NE.dtype(), [&]<class D, class S>(On<D, S>) {
            kernels::z_loss_backward<D, S>(exec, dz.tensor.rows<S>(), dz.add, logits_NE.value().rows<S>(), lse_N.data<S>(), scale);
        });
    }
};

}  // namespace

Tensor row_lse(Exec& exec, const Tensor& logits_NE) {
    Tensor lse_N(exec, {logits_NE.shape().rows()}, logits_NE.dtype());
    visit_sum(exec, lse_N.dtype(), [&]<class D, class S>(On<D, S>) { kernels::row_lse<D, S>(exec, lse_N.data<S>(), logits_NE.rows<S>()); });
    return lse_N;
}

Tensor fraction_mean_loss(Tape& tape, const Var& logits_NE, const Tensor& lse_N, const Picks& picks, double scale, double weight) {
    ProfileScope profile("fraction_mean");
    Exec& exec = tape.exec();
    Size N = logits_NE.shape().rows(), E = logits_NE.size(-1), K = picks.ids_NK.size(1), rows = N / exec.shards.count;
    double all_rows = static_cast<double>(rows_of_pass(exec, N));
    Tensor leaves = shard_leaves(exec, 2 * E, logits_NE.dtype()), loss(exec, {1}, logits_NE.dtype());
    visit_sum(exec, logits_NE.dtype(), [&]<class D, class S>(On<D, S>) {
        for (Size s = 0; s < exec.shards.count; ++s) {
            kernels::fraction_mean_leaf<D, S>(exec, leaves.data<S>() + s * 2 * E, logits_NE.value().rows<S>().slice(s * rows, rows),
                                              lse_N.data<S>() + s * rows, picks.ids_NK.data<std::int32_t>() + s * rows * K, K);
        }
    });
    Tensor means_2E = pass_sum(exec, leaves, all_rows);
    visit_sum(exec, loss.dtype(),
              [&]<class D, class S>(On<D, S>) { kernels::fraction_mean_loss<D, S>(exec, loss.data<S>(), means_2E.data<S>(), E, scale); });
    if (weight != 0 && tape.records({logits_NE})) tape.record(FractionMeanNode{logits_NE, lse_N, means_2E, weight * scale / all_rows});
    return loss;
}

Tensor z_loss(Tape& tape, const Var& logits_NE, const Tensor& lse_N, double weight) {
    ProfileScope profile("z_loss");
    Exec& exec = tape.exec();
    Size N = logits_NE.shape().rows(), rows = N / exec.shards.count;
    double all_rows = static_cast<double>(rows_of_pass(exec, N));
    Tensor leaves = shard_leaves(exec, 1, logits_NE.dtype());
    visit_sum(exec, logits_NE.dtype(), [&]<class D, class S>(On<D, S>) {
        for (Size s = 0; s < exec.shards.count; ++s)
            kernels::z_loss_leaf<D, S>(exec, leaves.data<S>() + s, lse_N.data<S>() + s * rows, rows);
    });
    if (weight != 0 && tape.records({logits_NE})) tape.record(ZLossNode{logits_NE, lse_N, weight / all_rows});
    return pass_sum(exec, leaves, all_rows);
}

}  // namespace moe::ops
