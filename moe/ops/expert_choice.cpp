#include "moe/ops/expert_choice.h"

#include "engine/base/error.h"
#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/kernels/expert_choice.h"
#include "moe/kernels/potentials.h"
#include "moe/ops/whole_pass.h"

#include <algorithm>
#include <cmath>

namespace moe::ops {

using namespace engine;

namespace {

struct ExpertChoiceNode final : Node {
    Var logits_NE, gates_NE;
    Tensor p_NE, kept_NE;
    bool over_rows;

    ExpertChoiceNode(Var logits, Var gates, Tensor p, Tensor kept, bool over_rows_)
        : logits_NE(std::move(logits)), gates_NE(std::move(gates)), p_NE(std::move(p)), kept_NE(std::move(kept)), over_rows(over_rows_) {}
    const char* name() const override { return "expert_choice"; }
    bool is_reached() const override { return gates_NE.has_grad(); }
    void backward(Exec& exec) override {
        Tensor dz(exec, logits_NE.shape(), logits_NE.dtype()), sums_E;
        const std::int32_t* kept = kept_NE.data<std::int32_t>();
        if (over_rows) sums_E = sums_over_rows(exec);
        visit_sum(exec, dz.dtype(), [&]<class D, class S>(On<D, S>) {
            kernels::expert_choice_backward<D, S>(exec, dz.rows<S>(), p_NE.rows<S>(), kept, gates_NE.grad().data<S>(),
                                                  over_rows ? sums_E.data<S>() : nullptr);
        });
        logits_NE.give_grad(exec, dz);
    }
    Tensor sums_over_rows(Exec& exec) const {
        Size E = p_NE.size(1), rows = p_NE.size(0) / exec.shards.count;
        Tensor leaves = shard_leaves(exec, E, p_NE.dtype());
        visit_sum(exec, leaves.dtype(), [&]<class D, class S>(On<D, S>) {
            for (Size s = 0; s < exec.shards.count; ++s) {
                kernels::expert_choice_sums<D, S>(exec, leaves.data<S>() + s * E, p_NE.rows<S>().slice(s * rows, rows),
                                                  kept_NE.data<std::int32_t>() + s * rows * E, gates_NE.grad().data<S>() + s * rows * E);
            }
        });
        return pass_sum(exec, leaves, 1);
    }
};

}  // namespace

ExpertChoice expert_choice(Tape& tape, const Var& logits_NE, double factor, bool over_rows) {
    ProfileScope profile("expert_choice");
    Exec& exec = tape.exec();
    Size N = logits_NE.shape().rows(), E = logits_NE.size(-1), rows = rows_of_pass(exec, N);
    double fair = std::ceil(static_cast<double>(rows) * factor / static_cast<double>(E));
    Size seats = static_cast<Size>(std::clamp(fair, 1.0, static_cast<double>(rows)));
    Tensor z = whole_pass(exec, logits_NE.value()), p(exec, {rows, E}, z.dtype());
    bool recorded = tape.records({logits_NE});
    ExpertChoice choice;
    choice.picks = {Tensor(exec, {N, E}, Dtype::i32), {}, std::min(N * E, E * std::min(seats, N))};
    choice.picks.kept_NK = choice.picks.ids_NK;
    choice.gates_NE = Var(packed_tensor(exec, {N, E}, z.dtype()), recorded);
    choice.rows_ES = Tensor(exec, {E, seats}, Dtype::i32);
    choice.gates_ES = packed_tensor(exec, {E, seats}, z.dtype());
    Tensor potentials(exec, {over_rows ? E : rows}, z.dtype());
    visit_sum(exec, z.dtype(), [&]<class D, class S>(On<D, S>) {
        if (over_rows) {
            kernels::column_potentials<D, S>(exec, potentials.data<S>(), z.rows<S>(), nullptr, rows, 1);
        } else {
            kernels::row_potentials<D, S>(exec, potentials.data<S>(), z.rows<S>(), nullptr, rows, 1);
        }
        kernels::add_potentials<D, S>(exec, p.rows<S>(), z.rows<S>(), over_rows ? potentials.data<S>() : nullptr,
                                      over_rows ? nullptr : potentials.data<S>(), rows, true);
        kernels::best_rows<D, S>(exec, choice.rows_ES.data<std::int32_t>(), p.rows<S>(), seats);
        kernels::gather_gates<D, S>(exec, choice.gates_ES.data<S>(), choice.rows_ES.data<std::int32_t>(), p.rows<S>(), seats);
    });
    p = own_rows(exec, p);
    visit_sum(exec, z.dtype(), [&]<class D, class S>(On<D, S>) {
        kernels::spread_rows<D, S>(exec, choice.picks.kept_NK.data<std::int32_t>(), choice.gates_NE.value().data<S>(),
                                   choice.rows_ES.data<std::int32_t>(), p.rows<S>(), first_row(exec, N), seats);
    });
    if (recorded) tape.record(ExpertChoiceNode{logits_NE, choice.gates_NE, p, choice.picks.kept_NK, over_rows});
    return choice;
}

}  // namespace moe::ops
