#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/entropy.h"
#include "moe/kernels/entropy_row.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr int kEntropyThreads = 64;

template <class S>
__global__ void row_lse_kernel(S* lse, Rows<const S> z) {
    Size n = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (n < z.rows) lse[n] = log_sum_exp(z.row(n), z.columns);
}

// One thread an expert.
template <class S>
__global__ void entropy_leaf_kernel(S* most, S* sum, const S* lse, Rows<const S> z) {
    Size e = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (e >= z.columns) return;
    S larger = 0, total = 0;
    for (Size n = 0; n < z.rows; ++n) merge(larger, total, z(n, e) - lse[n], S(1));
    most[e] = larger;
    sum[e] = total;
}

template <class S>
__global__ void entropy_finish_kernel(S* log_p, S* loss, Rows<const S> leaves, Size E, S log_rows) {
    S total = 0;
    for (Size e = 0; e < E; ++e) {
        S most, sum;
        merge_tree(leaves, E, e, 0, leaves.rows, most, sum);
        log_p[e] = most + std::log(sum) - log_rows;
        total += std::exp(log_p[e]) * log_p[e];
    }
    *loss = total;
}

template <class S>
__global__ void entropy_backward_kernel(Rows<S> dz, bool add, Rows<const S> z, const S* log_p, S scale) {
    Size n = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (n < z.rows) entropy_row_backward(dz.row(n), add, z.row(n), log_p, z.columns, scale);
}

inline dim3 entropy_grid(Size count) { return dim3(static_cast<unsigned>((count + kEntropyThreads - 1) / kEntropyThreads)); }

}  // namespace ENGINE_DEVICE

template <class D, class S>
void entropy_leaf(Exec& exec, S* most, S* sum, Rows<const S> z) {
    engine::Scratch<S> lse(exec, z.rows + 1);
    if (z.rows > 0)
        engine::launch("row_lse_kernel", row_lse_kernel<S>, entropy_grid(z.rows), kEntropyThreads, 0, exec.stream, lse.data(), z);
    engine::launch("entropy_leaf_kernel", entropy_leaf_kernel<S>, entropy_grid(z.columns), kEntropyThreads, 0, exec.stream, most, sum,
                   lse.data(), z);
}

template <class D, class S>
void entropy_finish(Exec& exec, S* log_p, S* loss, Rows<const S> leaves, Size E, double rows) {
    engine::launch("entropy_finish_kernel", entropy_finish_kernel<S>, dim3(1), dim3(1), 0, exec.stream, log_p, loss, leaves, E,
                   static_cast<S>(std::log(rows)));
}

template <class D, class S>
void entropy_backward(Exec& exec, Rows<S> dz, bool add, Rows<const S> z, const S* log_p, double scale) {
    if (z.rows == 0) return;
    engine::launch("entropy_backward_kernel", entropy_backward_kernel<S>, entropy_grid(z.rows), kEntropyThreads, 0, exec.stream, dz, add, z,
                   log_p, static_cast<S>(scale));
}

template void entropy_leaf<Here, float>(Exec&, float*, float*, Rows<const float>);
template void entropy_finish<Here, float>(Exec&, float*, float*, Rows<const float>, Size, double);
template void entropy_backward<Here, float>(Exec&, Rows<float>, bool, Rows<const float>, const float*, double);

}  // namespace moe::kernels
