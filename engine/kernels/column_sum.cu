#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/column_sum.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// One thread a column; neighbours read neighbours.
template <class T>
__global__ void column_sum_kernel(Sum<T>* y, Rows<const T> x, bool add) {
    Size c = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (c >= x.columns) return;
    Sum<T> sum = add ? y[c] : Sum<T>(0);
    for (Size n = 0; n < x.rows; ++n) sum += load(x(n, c));
    y[c] = sum;
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void column_sum(Exec& exec, Sum<T>* y, Rows<const T> x, bool add) {
    if (x.columns == 0) return;
    constexpr int kThreads = 128;
    dim3 grid(static_cast<unsigned>((x.columns + kThreads - 1) / kThreads));
    launch("column_sum_kernel", column_sum_kernel<T>, grid, kThreads, 0, exec.stream, y, x, add);
}

template void column_sum<Here, float>(Exec&, float*, Rows<const float>, bool);
template void column_sum<Here, bf16>(Exec&, float*, Rows<const bf16>, bool);

}  // namespace engine::kernels
