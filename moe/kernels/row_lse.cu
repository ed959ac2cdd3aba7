#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/entropy_row.h"
#include "moe/kernels/row_lse.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr int kZThreads = 256;

// One thread a row.
template <class S>
__global__ void log_sum_exp_kernel(S* lse, Rows<const S> z) {
    Size n = engine::element_index();
    if (n < z.rows) lse[n] = log_sum_exp(z.row(n), z.columns);
}

template <class S>
__global__ void z_loss_leaf_kernel(S* leaf, const S* lse, Size rows) {
    S sum = 0;
    for (Size n = threadIdx.x; n < rows; n += blockDim.x) sum += lse[n] * lse[n];
    sum = engine::block_sum(sum);
    if (threadIdx.x == 0) *leaf = sum;
}

// One thread an element.
template <class S>
__global__ void z_loss_backward_kernel(Rows<S> dz, bool add, Rows<const S> z, const S* lse, S scale) {
    Size i = engine::element_index();
    if (i >= z.rows * z.columns) return;
    Size n = i / z.columns, e = i % z.columns;
    dz(n, e) = (add ? dz(n, e) : S(0)) + scale * S(2) * lse[n] * std::exp(z(n, e) - lse[n]);
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void row_lse(Exec& exec, S* lse, Rows<const S> z) {
    engine::launch("log_sum_exp_kernel", log_sum_exp_kernel<S>, engine::element_grid(z.rows), engine::kElementThreads, 0, exec.stream, lse,
                   z);
}

template <class D, class S>
void z_loss_leaf(Exec& exec, S* leaf, const S* lse, Size rows) {
    engine::launch("z_loss_leaf_kernel", z_loss_leaf_kernel<S>, dim3(1), kZThreads, 0, exec.stream, leaf, lse, rows);
}

template <class D, class S>
void z_loss_backward(Exec& exec, Rows<S> dz, bool add, Rows<const S> z, const S* lse, double scale) {
    engine::launch("z_loss_backward_kernel", z_loss_backward_kernel<S>, engine::element_grid(z.rows * z.columns), engine::kElementThreads,
                   0, exec.stream, dz, add, z, lse, static_cast<S>(scale));
}

template void row_lse<Here, float>(Exec&, float*, Rows<const float>);
template void z_loss_leaf<Here, float>(Exec&, float*, const float*, Size);
template void z_loss_backward<Here, float>(Exec&, Rows<float>, bool, Rows<const float>, const float*, double);

}  // namespace moe::kernels
