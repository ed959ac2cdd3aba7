#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/cast.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

template <class To, class From>
__global__ void cast_kernel(Rows<To> y, Rows<const From> x) {
    Size i = element_index();
    if (i < y.rows * y.columns) y(i / y.columns, i % y.columns) = store<To>(load(x(i / y.columns, i % y.columns)));
}

}  // namespace ENGINE_DEVICE

template <class D, class To, class From>
void cast(Exec& exec, Rows<To> y, Rows<const From> x) {
    Size elements = y.rows * y.columns;
    if (elements == 0) return;
    launch("cast_kernel", cast_kernel<To, From>, element_grid(elements), kElementThreads, 0, exec.stream, y, x);
}

template void cast<Here, bf16, float>(Exec&, Rows<bf16>, Rows<const float>);
template void cast<Here, float, bf16>(Exec&, Rows<float>, Rows<const bf16>);

}  // namespace engine::kernels
