#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/adamw.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

template <class S>
__global__ void adamw_kernel(S* w, const S* g, S* m, S* v, Size n, AdamwOptions options, const StepScalars* scalars) {
    Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n) return;
    S rate = static_cast<S>(scalars->learning_rate * options.lr_factor), gradient = static_cast<S>(scalars->clip_factor) * g[i];
    S correction1 = S(1) / static_cast<S>(scalars->bias_correction1), correction2 = S(1) / static_cast<S>(scalars->bias_correction2);
    m[i] = static_cast<S>(options.beta1) * m[i] + static_cast<S>(1 - options.beta1) * gradient;
    v[i] = static_cast<S>(options.beta2) * v[i] + static_cast<S>(1 - options.beta2) * gradient * gradient;
    w[i] -=
        rate * ((m[i] * correction1) / (sqrtf(v[i] * correction2) + static_cast<S>(options.eps)) + static_cast<S>(options.decay) * w[i]);
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void adamw(Exec& exec, S* w, const S* g, S* m, S* v, Size n, const AdamwOptions& options) {
    constexpr int kThreads = 256;
    if (n == 0) return;
    launch("adamw_kernel", adamw_kernel<S>, dim3(static_cast<unsigned>((n + kThreads - 1) / kThreads)), kThreads, 0, exec.stream, w, g, m,
           v, n, options, exec.scalars);
}

template void adamw<Here, float>(Exec&, float*, const float*, float*, float*, Size, const AdamwOptions&);

}  // namespace engine::kernels
