#pragma once
#include "engine/base/visit.h"

namespace moe::ops {

// visit for kernels that exist for Sum types only.
template <class F>
void visit_sum(engine::Exec& exec, engine::Dtype dtype, F&& f) {
    engine::visit(exec, dtype, [&]<class D, class S>(engine::On<D, S>) {
        if constexpr (!std::is_same_v<S, engine::bf16>) f(engine::On<D, S>{});
    });
}

}  // namespace moe::ops
