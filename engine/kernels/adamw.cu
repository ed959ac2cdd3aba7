#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/adamw.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr int kRowThreads = 128;

template <class S>
ENGINE_BOTH void adamw_element(S& w, S g, S& m, S& v, const AdamwOptions& options, const StepScalars& scalars) {
    S rate = static_cast<S>(scalars.learning_rate * options.lr_factor), gradient = static_cast<S>(scalars.clip_factor) * g;
    S correction1 = S(1) / static_cast<S>(scalars.bias_correction1), correction2 = S(1) / static_cast<S>(scalars.bias_correction2);
    m = static_cast<S>(options.beta1) * m + static_cast<S>(1 - options.beta1) * gradient;
    v = static_cast<S>(options.beta2) * v + static_cast<S>(1 - options.beta2) * gradient * gradient;
    w -= rate * ((m * correction1) / (sqrtf(v * correction2) + static_cast<S>(options.eps)) + static_cast<S>(options.decay) * w);
}

template <class S>
__global__ void adamw_kernel(S* w, const S* g, S* m, S* v, Size n, AdamwOptions options, const StepScalars* scalars) {
    Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) adamw_element(w[i], g[i], m[i], v[i], options, *scalars);
}

// One block a row.
template <class S>
__global__ void touched_rows_kernel(S* touched, Rows<const S> g) {
    Size r = blockIdx.x;
    S found = 0;
    for (Size c = threadIdx.x; c < g.columns; c += blockDim.x) found += g(r, c) != S(0) ? S(1) : S(0);
    found = block_sum(found);
    if (threadIdx.x == 0) touched[r] = found == S(0) ? S(0) : S(1);
}

// One block a row.
template <class S>
__global__ void adamw_touched_kernel(Rows<S> w, Rows<const S> g, Rows<S> m, Rows<S> v, const S* touched, AdamwOptions options,
                                     const StepScalars* scalars) {
    Size r = blockIdx.x;
    if (touched[r] == S(0)) return;
    for (Size c = threadIdx.x; c < w.columns; c += blockDim.x) adamw_element(w(r, c), g(r, c), m(r, c), v(r, c), options, *scalars);
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void adamw(Exec& exec, S* w, const S* g, S* m, S* v, Size n, const AdamwOptions& options) {
    constexpr int kThreads = 256;
    if (n == 0) return;
    launch("adamw_kernel", adamw_kernel<S>, dim3(static_cast<unsigned>((n + kThreads - 1) / kThreads)), kThreads, 0, exec.stream, w, g, m,
           v, n, options, exec.scalars);
}

template <class D, class S>
void touched_rows(Exec& exec, S* touched, Rows<const S> g) {
    launch("touched_rows_kernel", touched_rows_kernel<S>, dim3(static_cast<unsigned>(g.rows)), kRowThreads, 0, exec.stream, touched, g);
}

template <class D, class S>
void adamw_touched(Exec& exec, Rows<S> w, Rows<const S> g, Rows<S> m, Rows<S> v, const S* touched, const AdamwOptions& options) {
    launch("adamw_touched_kernel", adamw_touched_kernel<S>, dim3(static_cast<unsigned>(w.rows)), kRowThreads, 0, exec.stream, w, g, m, v,
           touched, options, exec.scalars);
}

template void adamw<Here, float>(Exec&, float*, const float*, float*, float*, Size, const AdamwOptions&);
template void touched_rows<Here, float>(Exec&, float*, Rows<const float>);
template void adamw_touched<Here, float>(Exec&, Rows<float>, Rows<const float>, Rows<float>, Rows<float>, const float*,
                                         const AdamwOptions&);

}  // namespace engine::kernels
