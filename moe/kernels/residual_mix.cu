#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/residual_mix.h"

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::store;

inline namespace ENGINE_DEVICE {

constexpr int kMixThreads = 128;

// One thread an element.
template <class T>
__global__ void residual_mix_kernel(Rows<T> out, Rows<const T> y, Rows<const T> x, const Sum<T>* alpha) {
    Size i = engine::element_index();
    if (i >= x.rows * x.columns) return;
    Size n = i / x.columns, c = i % x.columns;
    out(n, c) = store<T>(load(y(n, c)) + (Sum<T>(1) - alpha[n]) * load(x(n, c)));
}

// One block a row.
template <class T>
__global__ void residual_mix_backward_kernel(Rows<T> dx, bool add, Sum<T>* dalpha, Rows<const T> d, Rows<const T> x, const Sum<T>* alpha) {
    Size n = blockIdx.x;
    Sum<T> rest = Sum<T>(1) - alpha[n], sum = 0;
    for (Size c = threadIdx.x; c < x.columns; c += blockDim.x) {
        Sum<T> grad = load(d(n, c));
        sum += grad * load(x(n, c));
        dx(n, c) = store<T>((add ? load(dx(n, c)) : Sum<T>(0)) + rest * grad);
    }
    sum = engine::block_sum(sum);
    if (threadIdx.x == 0) dalpha[n] = -sum;
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void residual_mix(Exec& exec, Rows<T> out, Rows<const T> y, Rows<const T> x, const Sum<T>* alpha) {
    engine::launch("residual_mix_kernel", residual_mix_kernel<T>, engine::element_grid(x.rows * x.columns), engine::kElementThreads, 0,
                   exec.stream, out, y, x, alpha);
}

template <class D, class T>
void residual_mix_backward(Exec& exec, Rows<T> dx, bool add, Sum<T>* dalpha, Rows<const T> d, Rows<const T> x, const Sum<T>* alpha) {
    engine::launch("residual_mix_backward_kernel", residual_mix_backward_kernel<T>, dim3(static_cast<unsigned>(x.rows)), kMixThreads, 0,
                   exec.stream, dx, add, dalpha, d, x, alpha);
}

#define INSTANTIATE(T)                                                                                \
    template void residual_mix<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>, const Sum<T>*); \
    template void residual_mix_backward<Here, T>(Exec&, Rows<T>, bool, Sum<T>*, Rows<const T>, Rows<const T>, const Sum<T>*);
INSTANTIATE(float)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
