#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/chunk_gate.h"

#include <cmath>

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::store;

inline namespace ENGINE_DEVICE {

// One thread an element of h.
template <class T>
__global__ void chunk_gate_kernel(Rows<T> h, Rows<const T> z, Rows<const T> g, const Sum<T>* p, bool tanh, Chunks chunks) {
    Size at = engine::element_index(), columns = chunks.count * chunks.width;
    if (at >= h.rows * columns) return;
    Size n = at / columns, column = at % columns, i = column / chunks.width, j = column % chunks.width;
    Sum<T> scale = p != nullptr ? p[n / chunks.length * chunks.count + i] : Sum<T>(1), gate = load(g(n, column));
    h(n, column) = store<T>(scale * load(z(n, chunks.u(i) + j)) * (tanh ? std::tanh(gate) : gate));
}

template <class T>
__global__ void chunk_gate_backward_kernel(Rows<T> dz, Rows<T> dg, Rows<const T> dh, Rows<const T> z, Rows<const T> g, const Sum<T>* p,
                                           bool tanh, Chunks chunks) {
    using S = Sum<T>;
    Size at = engine::element_index(), columns = chunks.count * chunks.width;
    if (at >= dh.rows * columns) return;
    Size n = at / columns, column = at % columns, i = column / chunks.width, j = column % chunks.width;
    S scale = p != nullptr ? p[n / chunks.length * chunks.count + i] : S(1), gate = load(g(n, column)),
      value = tanh ? std::tanh(gate) : gate;
    S slope = tanh ? S(1) - value * value : S(1), grad = scale * load(dh(n, column)), u = load(z(n, chunks.u(i) + j));
    dz(n, chunks.u(i) + j) = store<T>(grad * value);
    dg(n, column) = store<T>(grad * u * slope);
}

// One block a chunk of a sequence.
template <class T>
__global__ void chunk_gate_scale_kernel(Sum<T>* dp, Rows<const T> dh, Rows<const T> z, Rows<const T> g, bool tanh, Chunks chunks) {
    using S = Sum<T>;
    Size b = blockIdx.x / chunks.count, i = blockIdx.x % chunks.count;
    S sum = 0;
    for (Size at = threadIdx.x; at < chunks.length * chunks.width; at += blockDim.x) {
        Size n = b * chunks.length + at / chunks.width, j = at % chunks.width;
        S gate = load(g(n, chunks.half(i) + j));
        sum += load(dh(n, chunks.half(i) + j)) * load(z(n, chunks.u(i) + j)) * (tanh ? std::tanh(gate) : gate);
    }
    sum = engine::block_sum(sum);
    if (threadIdx.x == 0) dp[blockIdx.x] = sum;
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void chunk_gate(Exec& exec, Rows<T> h, Rows<const T> z, Rows<const T> g, const Sum<T>* p, bool tanh, const Chunks& chunks) {
    engine::launch("chunk_gate_kernel", chunk_gate_kernel<T>, engine::element_grid(h.rows * chunks.count * chunks.width),
                   engine::kElementThreads, 0, exec.stream, h, z, g, p, tanh, chunks);
}

template <class D, class T>
void chunk_gate_backward(Exec& exec, Rows<T> dz, Rows<T> dg, Sum<T>* dp, Rows<const T> dh, Rows<const T> z, Rows<const T> g,
                         const Sum<T>* p, bool tanh, const Chunks& chunks) {
    engine::launch("chunk_gate_backward_kernel", chunk_gate_backward_kernel<T>, engine::element_grid(dh.rows * chunks.count * chunks.width),
                   engine::kElementThreads, 0, exec.stream, dz, dg, dh, z, g, p, tanh, chunks);
    if (dp == nullptr) return;
    engine::launch("chunk_gate_scale_kernel", chunk_gate_scale_kernel<T>, dim3(static_cast<unsigned>(chunks.sequences * chunks.count)), 128,
                   0, exec.stream, dp, dh, z, g, tanh, chunks);
}

#define INSTANTIATE(T)                                                                                                        \
    template void chunk_gate<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>, const Sum<T>*, bool, const Chunks&);      \
    template void chunk_gate_backward<Here, T>(Exec&, Rows<T>, Rows<T>, Sum<T>*, Rows<const T>, Rows<const T>, Rows<const T>, \
                                               const Sum<T>*, bool, const Chunks&);
INSTANTIATE(float)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
