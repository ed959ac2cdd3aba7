#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/chunk_norm.h"

namespace moe::kernels {

using engine::block_sum;
using engine::Here;
using engine::load;
using engine::store;

inline namespace ENGINE_DEVICE {

constexpr int kChunkNormThreads = 128;

// One block a chunk of a row.
template <class T>
__global__ void chunk_norm_kernel(Rows<T> y, Sum<T>* m, Sum<T>* r, Rows<const T> z, Rows<const T> w, Rows<const T> b, Chunks chunks,
                                  Sum<T> eps) {
    using S = Sum<T>;
    Size n = blockIdx.x / chunks.count, i = blockIdx.x % chunks.count, e = chunks.expert(n / chunks.length, i), W = chunks.width;
    const T* in = z.row(n) + chunks.v(i);
    S sum = 0, squares = 0;
    for (Size j = threadIdx.x; j < W; j += blockDim.x) sum += load(in[j]);
    S mean = block_sum(sum) / static_cast<S>(W);
    for (Size j = threadIdx.x; j < W; j += blockDim.x) squares += (load(in[j]) - mean) * (load(in[j]) - mean);
    S rate = S(1) / sqrtf(block_sum(squares) / static_cast<S>(W) + eps);
    if (threadIdx.x == 0) {
        m[blockIdx.x] = mean;
        r[blockIdx.x] = rate;
    }
    for (Size j = threadIdx.x; j < W; j += blockDim.x) {
        y(n, chunks.half(i) + j) = store<T>((load(in[j]) - mean) * rate * load(w(e, j)) + load(b(e, j)));
    }
}

template <class T>
__global__ void chunk_norm_backward_kernel(Rows<T> dz, Rows<const T> dy, Rows<const T> z, Rows<const T> w, const Sum<T>* m, const Sum<T>* r,
                                           Chunks chunks) {
    using S = Sum<T>;
    Size n = blockIdx.x / chunks.count, i = blockIdx.x % chunks.count, e = chunks.expert(n / chunks.length, i), W = chunks.width;
    const T *in = z.row(n) + chunks.v(i), *grad = dy.row(n) + chunks.half(i);
    S mean = m[blockIdx.x], rate = r[blockIdx.x], sum_g = 0, sum_gx = 0;
    for (Size j = threadIdx.x; j < W; j += blockDim.x) {
        S g = load(grad[j]) * load(w(e, j));
        sum_g += g;
        sum_gx += g * ((load(in[j]) - mean) * rate);
    }
    S mean_g = block_sum(sum_g) / static_cast<S>(W);
    S mean_gx = block_sum(sum_gx) / static_cast<S>(W);
    for (Size j = threadIdx.x; j < W; j += blockDim.x) {
        dz(n, chunks.v(i) + j) = store<T>(rate * (load(grad[j]) * load(w(e, j)) - mean_g - (load(in[j]) - mean) * rate * mean_gx));
    }
}

// One thread a column of an expert.
template <class T>
__global__ void chunk_norm_weight_gradient_kernel(Rows<Sum<T>> dw, Rows<Sum<T>> db, Rows<const T> dy, Rows<const T> z, const Sum<T>* m,
                                                  const Sum<T>* r, Chunks chunks) {
    using S = Sum<T>;
    Size at = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x, E = chunks.count;
    if (at >= E * chunks.width) return;
    Size e = at / chunks.width, j = at % chunks.width;
    S weight = 0, bias = 0;
    for (Size n = 0; n < z.rows; ++n) {
        for (Size i = 0; i < E; ++i) {
            if (chunks.expert(n / chunks.length, i) != e) continue;
            S grad = load(dy(n, chunks.half(i) + j));
            weight += grad * ((load(z(n, chunks.v(i) + j)) - m[n * E + i]) * r[n * E + i]);
            bias += grad;
        }
    }
    dw(e, j) = weight;
    db(e, j) = bias;
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void chunk_norm(Exec& exec, Rows<T> y, Sum<T>* m, Sum<T>* r, Rows<const T> z, Rows<const T> w, Rows<const T> b, const Chunks& chunks,
                double eps) {
    engine::launch("chunk_norm_kernel", chunk_norm_kernel<T>, dim3(static_cast<unsigned>(z.rows * chunks.count)), kChunkNormThreads, 0,
                   exec.stream, y, m, r, z, w, b, chunks, static_cast<Sum<T>>(eps));
}

template <class D, class T>
void chunk_norm_backward(Exec& exec, Rows<T> dz, Rows<const T> dy, Rows<const T> z, Rows<const T> w, const Sum<T>* m, const Sum<T>* r,
                         const Chunks& chunks) {
    engine::launch("chunk_norm_backward_kernel", chunk_norm_backward_kernel<T>, dim3(static_cast<unsigned>(z.rows * chunks.count)),
                   kChunkNormThreads, 0, exec.stream, dz, dy, z, w, m, r, chunks);
}

template <class D, class T>
void chunk_norm_weight_gradient(Exec& exec, Rows<Sum<T>> dw, Rows<Sum<T>> db, Rows<const T> dy, Rows<const T> z, const Sum<T>* m,
                                const Sum<T>* r, const Chunks& chunks) {
    Size columns = chunks.count * chunks.width;
    engine::launch("chunk_norm_weight_gradient_kernel", chunk_norm_weight_gradient_kernel<T>,
                   dim3(static_cast<unsigned>((columns + kChunkNormThreads - 1) / kChunkNormThreads)), kChunkNormThreads, 0, exec.stream,
                   dw, db, dy, z, m, r, chunks);
}

#define INSTANTIATE(T)                                                                                                                    \
    template void chunk_norm<Here, T>(Exec&, Rows<T>, Sum<T>*, Sum<T>*, Rows<const T>, Rows<const T>, Rows<const T>, const Chunks&,       \
                                      double);                                                                                            \
    template void chunk_norm_backward<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>, Rows<const T>, const Sum<T>*, const Sum<T>*, \
                                               const Chunks&);                                                                            \
    template void chunk_norm_weight_gradient<Here, T>(Exec&, Rows<Sum<T>>, Rows<Sum<T>>, Rows<const T>, Rows<const T>, const Sum<T>*,     \
                                                      const Sum<T>*, const Chunks&);
INSTANTIATE(float)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
