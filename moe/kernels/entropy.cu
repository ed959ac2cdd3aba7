#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/entropy.h"
#include "moe/kernels/entropy_row.h"

#include <utility>

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr int kEntropyThreads = 64;

template <class S>
__global__ void row_lse_kernel(S* lse, Rows<const S> z) {
    Size n = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (n < z.rows) lse[n] = log_sum_exp(z.row(n), z.columns);
}

// Rows whose values one thread merges; then so many of its results.
constexpr Size kEntropyRows = 64;

// One thread an expert and block of rows: (most, sum) of their values ln q, or of parts (rows, 2E) where `parts` is given, in order.
template <class S>
__global__ void entropy_block_kernel(S* out, Rows<const S> z, const S* lse, const S* parts, Size rows, Size E) {
    Size index = engine::element_index(), block = index / E, e = index % E, first = block * kEntropyRows;
    if (first >= rows && index >= E) return;
    S larger = 0, total = 0;
    for (Size n = first; n < rows && n < first + kEntropyRows; ++n) {
        if (parts != nullptr) {
            merge(larger, total, parts[n * 2 * E + e], parts[n * 2 * E + E + e]);
        } else {
            merge(larger, total, z(n, e) - lse[n], S(1));
        }
    }
    out[block * 2 * E + e] = larger;
    out[block * 2 * E + E + e] = total;
}

template <class S>
__global__ void copy_parts_kernel(S* most, S* sum, const S* parts, Size E) {
    Size e = engine::element_index();
    if (e >= E) return;
    most[e] = parts[e];
    sum[e] = parts[E + e];
}

template <class S>
__global__ void entropy_finish_kernel(S* log_p, S* loss, Rows<const S> leaves, Size E, S log_rows) {
    S total = 0;
    for (Size e = threadIdx.x; e < E; e += blockDim.x) {
        S most, sum;
        merge_tree(leaves, E, e, 0, leaves.rows, most, sum);
        log_p[e] = most + std::log(sum) - log_rows;
        total += std::exp(log_p[e]) * log_p[e];
    }
    total = engine::block_sum(total);
    if (threadIdx.x == 0) *loss = total;
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
    Size E = z.columns, rows = z.rows;
    auto blocks_of = [](Size count) { return count > 0 ? (count + kEntropyRows - 1) / kEntropyRows : Size{1}; };
    engine::Scratch<S> lse(exec, rows + 1), here(exec, blocks_of(rows) * 2 * E), there(exec, blocks_of(blocks_of(rows)) * 2 * E);
    if (rows > 0) engine::launch("row_lse_kernel", row_lse_kernel<S>, entropy_grid(rows), kEntropyThreads, 0, exec.stream, lse.data(), z);
    S *to = here.data(), *from = nullptr, *other = there.data();
    do {
        engine::launch("entropy_block_kernel", entropy_block_kernel<S>, engine::element_grid(blocks_of(rows) * E), engine::kElementThreads,
                       0, exec.stream, to, z, lse.data(), from, rows, E);
        rows = blocks_of(rows);
        from = to;
        to = std::exchange(other, from);
    } while (rows > 1);
    engine::launch("copy_parts_kernel", copy_parts_kernel<S>, engine::element_grid(E), engine::kElementThreads, 0, exec.stream, most, sum,
                   from, E);
}

template <class D, class S>
void entropy_finish(Exec& exec, S* log_p, S* loss, Rows<const S> leaves, Size E, double rows) {
    engine::launch("entropy_finish_kernel", entropy_finish_kernel<S>, dim3(1), kEntropyThreads, 0, exec.stream, log_p, loss, leaves, E,
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
