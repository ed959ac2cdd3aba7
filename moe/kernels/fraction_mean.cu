#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/fraction_mean.h"
#include "moe/kernels/fraction_mean_row.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr int kFractionThreads = 128;

// One block an expert.
template <class S>
__global__ void fraction_mean_leaf_kernel(S* leaf, Rows<const S> z, const S* lse, const std::int32_t* ids, Size K) {
    Size e = blockIdx.x;
    S share = 0;
    std::int32_t count = 0;
    for (Size n = threadIdx.x; n < z.rows; n += blockDim.x) {
        share += std::exp(z(n, e) - lse[n]);
        count += ids[n * K] == e ? 1 : 0;
    }
    share = engine::block_sum(share);
    count = engine::block_sum(count);
    if (threadIdx.x != 0) return;
    leaf[e] = share;
    leaf[z.columns + e] = static_cast<S>(count);
}

template <class S>
__global__ void fraction_mean_loss_kernel(S* loss, const S* means, Size E, S scale) {
    S sum = 0;
    for (Size e = threadIdx.x; e < E; e += blockDim.x) sum += means[E + e] * means[e];
    sum = engine::block_sum(sum);
    if (threadIdx.x == 0) *loss = scale * sum;
}

// One thread a row.
template <class S>
__global__ void fraction_mean_backward_kernel(Rows<S> dz, bool add, Rows<const S> z, const S* lse, const S* f, S scale) {
    Size n = engine::element_index();
    if (n < z.rows) fraction_row_backward(dz.row(n), add, z.row(n), lse[n], f, z.columns, scale);
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void fraction_mean_leaf(Exec& exec, S* leaf, Rows<const S> z, const S* lse, const std::int32_t* ids, Size K) {
    engine::launch("fraction_mean_leaf_kernel", fraction_mean_leaf_kernel<S>, dim3(static_cast<unsigned>(z.columns)), kFractionThreads, 0,
                   exec.stream, leaf, z, lse, ids, K);
}

template <class D, class S>
void fraction_mean_loss(Exec& exec, S* loss, const S* means, Size E, double scale) {
    engine::launch("fraction_mean_loss_kernel", fraction_mean_loss_kernel<S>, dim3(1), kFractionThreads, 0, exec.stream, loss, means, E,
                   static_cast<S>(scale));
}

template <class D, class S>
void fraction_mean_backward(Exec& exec, Rows<S> dz, bool add, Rows<const S> z, const S* lse, const S* f, double scale) {
    engine::launch("fraction_mean_backward_kernel", fraction_mean_backward_kernel<S>, engine::element_grid(z.rows), engine::kElementThreads,
                   0, exec.stream, dz, add, z, lse, f, static_cast<S>(scale));
}

template void fraction_mean_leaf<Here, float>(Exec&, float*, Rows<const float>, const float*, const std::int32_t*, Size);
template void fraction_mean_loss<Here, float>(Exec&, float*, const float*, Size, double);
template void fraction_mean_backward<Here, float>(Exec&, Rows<float>, bool, Rows<const float>, const float*, const float*, double);

}  // namespace moe::kernels
