#include "moe/ops/whole_pass.h"

#include "engine/base/visit.h"
#include "moe/kernels/tree_rows.h"

namespace moe::ops {

using namespace engine;

Tensor whole_pass(Exec& exec, const Tensor& rows) {
    if (rank_count(exec) == 1) return rows;
    Tensor whole = rows_like(exec, rows_of_pass(exec, rows.shape().rows()), rows);
    gather_shares(exec, whole, rows.reshaped({rows.shape().rows(), rows.shape().columns()}));
    return whole;
}

Tensor own_rows(Exec& exec, const Tensor& whole) {
    if (rank_count(exec) == 1) return whole;
    Shards own = own_share(exec);
    Size rows = whole.shape().rows() / own.total;
    return whole.row_range(own.first * rows, own.count * rows);
}

Size first_row(const Exec& exec, Size rows) { return rows / exec.shards.count * exec.shards.first; }

Tensor pass_sum(Exec& exec, const Tensor& leaves_SW, double divisor) {
    Tensor all = whole_pass(exec, leaves_SW), sum(exec, {all.size(-1)}, all.dtype());
    visit_sum(exec, all.dtype(),
              [&]<class D, class S>(On<D, S>) { kernels::tree_rows<D, S>(exec, sum.data<S>(), all.rows<S>(), divisor); });
    return sum;
}

Tensor shard_leaves(Exec& exec, Size width, Dtype dtype) { return packed_tensor(exec, {exec.shards.count, width}, dtype); }

}  // namespace moe::ops
