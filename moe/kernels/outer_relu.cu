#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/outer_relu.h"

namespace moe::kernels {

using engine::Here;
using engine::store;

inline namespace ENGINE_DEVICE {

constexpr int kOuterThreads = 128;

template <class T>
__global__ void outer_relu_kernel(Rows<T> a, Rows<const float> u, Rows<const float> v) {
    Size at = engine::element_index(), P = u.columns, n = at / (P * P), slot = at % (P * P);
    if (n >= u.rows) return;
    float sum = u(n, slot / P) + v(n, slot % P);
    a(n, slot) = store<T>(sum > 0 ? sum : 0.0f);
}

// One block a token, one thread an i and a j.
template <class T>
__global__ void outer_relu_backward_kernel(Rows<T> du, Rows<T> dv, Rows<const float> da, Rows<const float> u, Rows<const float> v) {
    Size n = blockIdx.x, P = u.columns;
    for (Size p = threadIdx.x; p < P; p += blockDim.x) {
        float first = 0, second = 0;
        for (Size q = 0; q < P; ++q) {
            if (u(n, p) + v(n, q) > 0) first += da(n, p * P + q);
            if (u(n, q) + v(n, p) > 0) second += da(n, q * P + p);
        }
        du(n, p) = store<T>(first);
        dv(n, p) = store<T>(second);
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void outer_relu(Exec& exec, Rows<T> a, Rows<const Sum<T>> u, Rows<const Sum<T>> v) {
    engine::launch("outer_relu_kernel", outer_relu_kernel<T>, engine::element_grid(u.rows * u.columns * u.columns), engine::kElementThreads,
                   0, exec.stream, a, u, v);
}

template <class D, class T>
void outer_relu_backward(Exec& exec, Rows<T> du, Rows<T> dv, Rows<const Sum<T>> da, Rows<const Sum<T>> u, Rows<const Sum<T>> v) {
    engine::launch("outer_relu_backward_kernel", outer_relu_backward_kernel<T>, dim3(static_cast<unsigned>(u.rows)), kOuterThreads, 0,
                   exec.stream, du, dv, da, u, v);
}

#define INSTANTIATE(T)                                                                       \
    template void outer_relu<Here, T>(Exec&, Rows<T>, Rows<const float>, Rows<const float>); \
    template void outer_relu_backward<Here, T>(Exec&, Rows<T>, Rows<T>, Rows<const float>, Rows<const float>, Rows<const float>);
INSTANTIATE(float)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
