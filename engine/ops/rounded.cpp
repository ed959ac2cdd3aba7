#include "engine/ops/rounded.h"

#include "engine/base/visit.h"
#include "engine/kernels/cast.h"

namespace engine::ops {

Tensor rounded(Exec& exec, const Tensor& wide, Dtype dtype) {
    if (wide.dtype() == dtype) return wide;
    Tensor result(exec, wide.shape(), dtype);
    visit_device(exec, [&]<class D>(D) { kernels::cast<D, bf16, float>(exec, result.rows<bf16>(), wide.rows<float>()); });
    return result;
}

}  // namespace engine::ops
