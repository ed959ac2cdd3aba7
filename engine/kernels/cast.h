#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace engine::kernels {

// y = x in another dtype: bf16 rounds to nearest even. Memory-bound. From and To are T and Sum<T> in either order.
template <class D, class To, class From>
void cast(Exec& exec, Rows<To> y, Rows<const From> x);

}  // namespace engine::kernels
