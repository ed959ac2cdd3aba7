#include "moe/ops/sinkhorn.h"

#include "engine/base/error.h"
#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/kernels/potentials.h"
#include "moe/ops/whole_pass.h"

namespace moe::ops {

using namespace engine;

Tensor sinkhorn_scores(Exec& exec, const Tensor& logits_NE, SinkhornRule rule) {
    ProfileScope profile("sinkhorn");
    Tensor all = rule.group == 0 ? whole_pass(exec, logits_NE) : logits_NE;
    Size rows = all.shape().rows(), E = all.size(-1), T = rule.group == 0 ? rows : rule.group;
    expect(rows % T == 0, "sinkhorn", "rows are no whole sequences: got {} rows, T = {}", rows, T);
    Tensor a(exec, {rows / T * E}, all.dtype()), b(exec, {rows}, all.dtype()), scores(exec, all.shape(), all.dtype());
    int sign = rule.released ? -1 : 1;
    visit_sum(exec, all.dtype(), [&]<class D, class S>(On<D, S>) {
        for (int i = 0; i < rule.iterations; ++i) {
            kernels::row_potentials<D, S>(exec, b.data<S>(), all.rows<S>(), i == 0 ? nullptr : a.data<S>(), T, sign);
            kernels::column_potentials<D, S>(exec, a.data<S>(), all.rows<S>(), b.data<S>(), T, sign);
        }
        kernels::add_potentials<D, S>(exec, scores.rows<S>(), all.rows<S>(), a.data<S>(), nullptr, T, false);
    });
    return rule.group == 0 ? own_rows(exec, scores) : scores;
}

}  // namespace moe::ops
