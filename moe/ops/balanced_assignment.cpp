#include "moe/ops/balanced_assignment.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/kernels/balanced_assignment.h"
#include "moe/ops/whole_pass.h"

namespace moe::ops {

using namespace engine;

Picks balanced_assignment(Exec& exec, const Tensor& logits_NE) {
    ProfileScope profile("balanced_assignment");
    Tensor all = whole_pass(exec, logits_NE), owners(exec, {all.shape().rows(), 1}, Dtype::i32);
    visit_sum(exec, all.dtype(),
              [&]<class D, class S>(On<D, S>) { kernels::balanced_assignment<D, S>(exec, owners.data<std::int32_t>(), all.rows<S>()); });
    Tensor ids = own_rows(exec, owners);
    return {ids, ids, ids.size(0)};
}

}  // namespace moe::ops
