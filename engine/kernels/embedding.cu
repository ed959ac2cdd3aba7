#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/embedding.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr int kEmbeddingThreads = 128;

template <class T>
__global__ void embedding_kernel(Rows<T> y, Rows<const T> table, const std::int32_t* ids) {
    Size n = blockIdx.x;
    Size id = ids[n];
    bool known = id >= 0 && id < table.rows;
    for (Size c = threadIdx.x; c < y.columns; c += blockDim.x) y(n, c) = known ? table(id, c) : store<T>(Sum<T>(0));
}

constexpr int kTableThreads = 512;

// One block a row of the table: its warps look at 32 ids at once, and add the rows with this one in order; four are on their way together.
template <class T>
__global__ void embedding_backward_kernel(Rows<Sum<T>> dtable, Rows<const T> dy, const std::int32_t* ids, bool add) {
    Size v = blockIdx.x;
    unsigned lane = threadIdx.x % 32;
    for (Size first = 0; first < dtable.columns; first += blockDim.x) {
        Size c = first + threadIdx.x;
        bool inside = c < dtable.columns;
        Sum<T> sum = add && inside ? dtable(v, c) : Sum<T>(0);
        for (Size n = 0; n < dy.rows; n += 32) {
            unsigned found = __ballot_sync(kFullWarp, n + lane < dy.rows && ids[n + lane] == v);
            while (found != 0 && inside) {
                Sum<T> values[4];
                int count = 0;
#pragma unroll
                for (int i = 0; i < 4; ++i, found &= found - 1) {
                    if (found == 0) continue;
                    values[i] = load(dy(n + __ffs(static_cast<int>(found)) - 1, c));
                    ++count;
                }
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    if (i < count) sum += values[i];
                }
            }
        }
        if (inside) dtable(v, c) = sum;
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void embedding(Exec& exec, Rows<T> y, Rows<const T> table, const std::int32_t* ids) {
    if (y.rows == 0) return;
    launch("embedding_kernel", embedding_kernel<T>, dim3(static_cast<unsigned>(y.rows)), kEmbeddingThreads, 0, exec.stream, y, table, ids);
}

template <class D, class T>
void embedding_backward(Exec& exec, Rows<Sum<T>> dtable, Rows<const T> dy, const std::int32_t* ids, bool add) {
    launch("embedding_backward_kernel", embedding_backward_kernel<T>, dim3(static_cast<unsigned>(dtable.rows)), kTableThreads, 0,
           exec.stream, dtable, dy, ids, add);
}

#define INSTANTIATE(T)                                                                    \
    template void embedding<Here, T>(Exec&, Rows<T>, Rows<const T>, const std::int32_t*); \
    template void embedding_backward<Here, T>(Exec&, Rows<Sum<T>>, Rows<const T>, const std::int32_t*, bool);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace engine::kernels
