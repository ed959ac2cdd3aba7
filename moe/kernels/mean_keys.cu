#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/mean_keys.h"

namespace moe::kernels {

using engine::Here;
using engine::load;

inline namespace ENGINE_DEVICE {

constexpr int kMeanThreads = 128;

// One warp a mean.
template <class T>
__global__ void mean_keys_kernel(Rows<Sum<T>> m, Rows<const T> w1) {
    Size row = (static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
    if (row >= w1.rows) return;
    Sum<T> sum = 0;
    for (Size g = threadIdx.x % 32; g < w1.columns; g += 32) sum += load(w1(row, g));
    sum = engine::warp_sum(sum);
    if (threadIdx.x % 32 == 0) m(row / m.columns, row % m.columns) = sum / static_cast<Sum<T>>(w1.columns);
}

// One thread an element.
template <class S>
__global__ void mean_keys_backward_kernel(Rows<S> dw1, bool add, Rows<const S> dm) {
    Size i = engine::element_index();
    if (i >= dw1.rows * dw1.columns) return;
    Size row = i / dw1.columns, g = i % dw1.columns;
    S share = dm(row / dm.columns, row % dm.columns) / static_cast<S>(dw1.columns);
    dw1(row, g) = (add ? dw1(row, g) : S(0)) + share;
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void mean_keys(Exec& exec, Rows<Sum<T>> m, Rows<const T> w1) {
    constexpr Size kRows = kMeanThreads / 32;
    engine::launch("mean_keys_kernel", mean_keys_kernel<T>, dim3(static_cast<unsigned>((w1.rows + kRows - 1) / kRows)), kMeanThreads, 0,
                   exec.stream, m, w1);
}

template <class D, class S>
void mean_keys_backward(Exec& exec, Rows<S> dw1, bool add, Rows<const S> dm) {
    engine::launch("mean_keys_backward_kernel", mean_keys_backward_kernel<S>, engine::element_grid(dw1.rows * dw1.columns),
                   engine::kElementThreads, 0, exec.stream, dw1, add, dm);
}

template void mean_keys<Here, float>(Exec&, Rows<float>, Rows<const float>);
template void mean_keys<Here, engine::bf16>(Exec&, Rows<float>, Rows<const engine::bf16>);
template void mean_keys_backward<Here, float>(Exec&, Rows<float>, bool, Rows<const float>);

}  // namespace moe::kernels
