#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/cross_entropy.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr int kLossThreads = 128;

// One block a row.
template <class S>
__global__ void cross_entropy_kernel(S* loss, S* lse, Rows<const S> z, const std::int32_t* target) {
    Size n = blockIdx.x;
    const S* row = z.row(n);
    S most = -static_cast<S>(INFINITY);
    for (Size v = threadIdx.x; v < z.columns; v += blockDim.x) most = row[v] > most ? row[v] : most;
    most = block_max(most, -static_cast<S>(INFINITY));
    S sum = 0;
    for (Size v = threadIdx.x; v < z.columns; v += blockDim.x) sum += expf(row[v] - most);
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        lse[n] = most + logf(sum);
        loss[n] = target[n] >= 0 ? lse[n] - row[target[n]] : S(0);
    }
}

template <class S>
__global__ void cross_entropy_backward_kernel(Rows<S> z, const S* lse, const std::int32_t* target, S weight) {
    Size n = blockIdx.x;
    S scale = target[n] >= 0 ? weight : S(0);
    for (Size v = threadIdx.x; v < z.columns; v += blockDim.x) {
        z(n, v) = scale * expf(z(n, v) - lse[n]) - (v == target[n] ? scale : S(0));
    }
}

template <class S>
__global__ void ordered_sum_kernel(S* y, const S* x, Size count) {
    S sum = 0;
    for (Size i = threadIdx.x; i < count; i += blockDim.x) sum += x[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *y = sum;
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void cross_entropy(Exec& exec, S* loss, S* lse, Rows<const S> z, const std::int32_t* target) {
    if (z.rows == 0) return;
    launch("cross_entropy_kernel", cross_entropy_kernel<S>, dim3(static_cast<unsigned>(z.rows)), kLossThreads, 0, exec.stream, loss, lse, z,
           target);
}

template <class D, class S>
void cross_entropy_backward(Exec& exec, Rows<S> z, const S* lse, const std::int32_t* target, double weight) {
    if (z.rows == 0) return;
    launch("cross_entropy_backward_kernel", cross_entropy_backward_kernel<S>, dim3(static_cast<unsigned>(z.rows)), kLossThreads, 0,
           exec.stream, z, lse, target, static_cast<S>(weight));
}

template <class D, class S>
void ordered_sum(Exec& exec, S* y, const S* x, Size count) {
    launch("ordered_sum_kernel", ordered_sum_kernel<S>, dim3(1), kLossThreads, 0, exec.stream, y, x, count);
}

template void cross_entropy<Here, float>(Exec&, float*, float*, Rows<const float>, const std::int32_t*);
template void cross_entropy_backward<Here, float>(Exec&, Rows<float>, const float*, const std::int32_t*, double);
template void ordered_sum<Here, float>(Exec&, float*, const float*, Size);

}  // namespace engine::kernels
