#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/keep_top.h"
#include "moe/kernels/top_order.h"

namespace moe::kernels {

using engine::Here;
using engine::load;

inline namespace ENGINE_DEVICE {

constexpr int kTopThreads = 64;

// One thread a row: K passes for the next largest.
template <class T>
__global__ void keep_top_kernel(Rows<T> y, std::int32_t* ids, Rows<const T> x, Size K) {
    Size n = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (n >= x.rows) return;
    const T* in = x.row(n);
    for (Size f = 0; f < x.columns; ++f) y(n, f) = T{};
    Size last = -1;
    for (Size k = 0; k < K; ++k) {
        Size best = -1;
        for (Size f = 0; f < x.columns; ++f) {
            auto value = rankable(load(in[f]));
            bool after = last < 0 || value < rankable(load(in[last])) || (value == rankable(load(in[last])) && f > last);
            if (after && (best < 0 || value > rankable(load(in[best])))) best = f;
        }
        ids[n * K + k] = static_cast<std::int32_t>(best);
        y(n, best) = in[best];
        last = best;
    }
}

template <class T>
__global__ void keep_top_backward_kernel(Rows<T> dx, Rows<const T> dy, const std::int32_t* ids, Size K) {
    Size n = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (n >= dx.rows) return;
    for (Size f = 0; f < dx.columns; ++f) dx(n, f) = T{};
    for (Size k = 0; k < K; ++k) dx(n, ids[n * K + k]) = dy(n, ids[n * K + k]);
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void keep_top(Exec& exec, Rows<T> y, std::int32_t* ids, Rows<const T> x, Size K) {
    engine::launch("keep_top_kernel", keep_top_kernel<T>, dim3(static_cast<unsigned>((x.rows + kTopThreads - 1) / kTopThreads)),
                   kTopThreads, 0, exec.stream, y, ids, x, K);
}

template <class D, class T>
void keep_top_backward(Exec& exec, Rows<T> dx, Rows<const T> dy, const std::int32_t* ids, Size K) {
    engine::launch("keep_top_backward_kernel", keep_top_backward_kernel<T>,
                   dim3(static_cast<unsigned>((dx.rows + kTopThreads - 1) / kTopThreads)), kTopThreads, 0, exec.stream, dx, dy, ids, K);
}

#define INSTANTIATE(T)                                                                   \
    template void keep_top<Here, T>(Exec&, Rows<T>, std::int32_t*, Rows<const T>, Size); \
    template void keep_top_backward<Here, T>(Exec&, Rows<T>, Rows<const T>, const std::int32_t*, Size);
INSTANTIATE(float)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
