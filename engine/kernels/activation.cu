#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/activation.h"
#include "engine/kernels/activation_functions.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr int kActivationThreads = 128;

template <class T>
__global__ void activation_kernel(Rows<T> a, Rows<const T> x, Rows<const T> z, Activation kind) {
    Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= x.rows * x.columns) return;
    Size n = i / x.columns, f = i % x.columns;
    float value = activate(kind, load(x(n, f)));
    a(n, f) = store<T>(z.data != nullptr ? value * load(z(n, f)) : value);
}

// One block a row.
template <class T>
__global__ void activation_backward_kernel(Rows<T> dx, Rows<T> dz, float* dgate, Rows<const T> da, Rows<const T> x, Rows<const T> z,
                                           const float* gate, Activation kind) {
    Size n = blockIdx.x;
    float scale = gate != nullptr ? gate[n] : 1.0f, sum = 0;
    for (Size f = threadIdx.x; f < x.columns; f += blockDim.x) {
        float grad = load(da(n, f)), in = load(x(n, f)), value = activate(kind, in), factor = z.data != nullptr ? load(z(n, f)) : 1.0f;
        sum += grad * value * factor;
        if (z.data != nullptr) dz(n, f) = store<T>(scale * grad * value);
        dx(n, f) = store<T>(scale * grad * activation_slope(kind, in) * factor);
    }
    sum = block_sum(sum);
    if (dgate != nullptr && threadIdx.x == 0) dgate[n] = sum;
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void activation(Exec& exec, Rows<T> a, Rows<const T> x, Rows<const T> z, Activation kind) {
    Size elements = x.rows * x.columns;
    if (elements == 0) return;
    launch("activation_kernel", activation_kernel<T>, dim3(static_cast<unsigned>((elements + kActivationThreads - 1) / kActivationThreads)),
           kActivationThreads, 0, exec.stream, a, x, z, kind);
}

template <class D, class T>
void activation_backward(Exec& exec, Rows<T> dx, Rows<T> dz, Sum<T>* dgate, Rows<const T> da, Rows<const T> x, Rows<const T> z,
                         const Sum<T>* gate, Activation kind) {
    if (x.rows * x.columns == 0) return;
    launch("activation_backward_kernel", activation_backward_kernel<T>, dim3(static_cast<unsigned>(x.rows)), kActivationThreads, 0,
           exec.stream, dx, dz, dgate, da, x, z, gate, kind);
}

#define INSTANTIATE(T)                                                                                                        \
    template void activation<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>, Activation);                              \
    template void activation_backward<Here, T>(Exec&, Rows<T>, Rows<T>, Sum<T>*, Rows<const T>, Rows<const T>, Rows<const T>, \
                                               const Sum<T>*, Activation);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace engine::kernels
