#include "moe/ops/biased_picks.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/kernels/expert_sums.h"
#include "moe/kernels/sequence_balance.h"
#include "moe/ops/top_ids.h"
#include "moe/ops/whole_pass.h"

namespace moe::ops {

using namespace engine;

namespace {

struct SequenceBalanceNode final : Node {
    Var logits_NE;
    Tensor sums;  // (sequences,2E)
    Size choices, T, rows_a_sum;
    kernels::Score score;
    double scale;

    SequenceBalanceNode(Var logits, Tensor sums_, Size choices_, Size T_, Size rows, kernels::Score score_, double scale_)
        : logits_NE(std::move(logits)), sums(std::move(sums_)), choices(choices_), T(T_), rows_a_sum(rows), score(score_), scale(scale_) {}
    const char* name() const override { return "sequence_balance"; }
    bool is_reached() const override { return true; }
    void backward(Exec& exec) override {
        GradSlot dz = logits_NE.grad_slot(exec);
        visit_sum(exec, logits_NE.dtype(), [&]<class D, class S>(On<D, S>) {
            kernels::sequence_balance_backward<D, S>(exec, dz.tensor.rows<S>(), dz.add, logits_NE.value().rows<S>(), sums.rows<S>(),
                                                     choices, T, rows_a_sum, score, scale);
        });
    }
};

}  // namespace

Picks biased_picks(Exec& exec, const Tensor& logits_NE, const Tensor& bias_E, kernels::GroupRule rule, Size K) {
    ProfileScope profile("biased_scores");
    Tensor keys(exec, logits_NE.shape(), logits_NE.dtype());
    visit_sum(exec, keys.dtype(), [&]<class D, class S>(On<D, S>) {
        kernels::biased_scores<D, S>(exec, keys.rows<S>(), logits_NE.rows<S>(), bias_E.data<S>(), rule);
    });
    return top_ids(exec, keys, K);
}

Tensor choice_counts(Exec& exec, const Picks& picks, Size experts, Dtype dtype) {
    Size K = picks.ids_NK.size(1), rows = picks.ids_NK.size(0) / exec.shards.count;
    Tensor leaves = shard_leaves(exec, experts, dtype);
    visit_sum(exec, dtype, [&]<class D, class S>(On<D, S>) {
        for (Size s = 0; s < exec.shards.count; ++s) {
            kernels::expert_sums<D, S>(exec, leaves.data<S>() + s * experts, picks.ids_NK.data<std::int32_t>() + s * rows * K, nullptr,
                                       rows, K, experts);
        }
    });
    return pass_sum(exec, leaves, 1);
}

Tensor moved_bias(Exec& exec, const Tensor& bias_E, const Tensor& counts_E, double target, double rate) {
    Tensor next(exec, bias_E.shape(), bias_E.dtype());
    visit_sum(exec, next.dtype(), [&]<class D, class S>(On<D, S>) {
        kernels::move_bias<D, S>(exec, next.data<S>(), bias_E.data<S>(), counts_E.data<S>(), bias_E.size(0), target, rate);
    });
    return next;
}

Tensor sequence_balance_loss(Tape& tape, const Var& logits_NE, const Picks& picks, kernels::Score score, Size T, double weight) {
    ProfileScope profile("sequence_balance");
    Exec& exec = tape.exec();
    Size N = logits_NE.shape().rows(), E = logits_NE.size(-1), K = picks.ids_NK.size(1), shards = exec.shards.count;
    bool whole = T == 0;
    Size rows_a_sum = whole ? N / shards : T;
    expect(N % (rows_a_sum * shards) == 0, "sequence_balance", "rows are no whole sequences: got {} rows in {} micro-shards, T = {}", N,
           shards, rows_a_sum);
    Tensor sums = packed_tensor(exec, {N / rows_a_sum, 2 * E}, logits_NE.dtype()), loss(exec, {1}, sums.dtype());
    Size sequences = whole ? 1 : rows_of_pass(exec, N) / T;
    visit_sum(exec, sums.dtype(), [&]<class D, class S>(On<D, S>) {
        kernels::sequence_sums<D, S>(exec, sums.rows<S>(), logits_NE.value().rows<S>(), picks.ids_NK.data<std::int32_t>(), K, rows_a_sum,
                                     score);
    });
    if (whole) {
        sums = pass_sum(exec, sums, 1).reshaped({1, 2 * E});
        T = rows_of_pass(exec, N);
        rows_a_sum = N;
        visit_sum(exec, sums.dtype(),
                  [&]<class D, class S>(On<D, S>) { kernels::sequence_loss<D, S>(exec, loss.data<S>(), sums.rows<S>(), K, T); });
    } else {
        Tensor leaves = shard_leaves(exec, 1, sums.dtype());
        Size here = sums.size(0) / shards;
        visit_sum(exec, sums.dtype(), [&]<class D, class S>(On<D, S>) {
            for (Size s = 0; s < shards; ++s)
                kernels::sequence_loss<D, S>(exec, leaves.data<S>() + s, sums.rows<S>().slice(s * here, here), K, T);
        });
        loss = pass_sum(exec, leaves, static_cast<double>(sequences));
    }
    if (weight != 0 && tape.records({logits_NE})) {
        tape.record(SequenceBalanceNode{logits_NE, sums, K, T, rows_a_sum, score, weight / static_cast<double>(sequences * T)});
    }
    return loss;
}

}  // namespace moe::ops
