#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/step_scalars.h"
#include "engine/memory/scratch.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr int kNormThreads = 256;
constexpr Size kNormBlock = 4096;

template <class S>
__global__ void squared_norm_kernel(double* partial, const S* g, Size n) {
    Size first = static_cast<Size>(blockIdx.x) * kNormBlock, last = first + kNormBlock < n ? first + kNormBlock : n;
    double sum = 0;
    for (Size i = first + threadIdx.x; i < last; i += blockDim.x) sum += static_cast<double>(g[i]) * static_cast<double>(g[i]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void clip_factor_kernel(StepScalars* scalars, double* norm, const double* partial, Size blocks, double clip) {
    double sum = 0;
    for (Size i = threadIdx.x; i < blocks; i += blockDim.x) sum += partial[i];
    sum = block_sum(sum);
    if (threadIdx.x != 0) return;
    *norm = sqrt(sum);
    double factor = clip > 0 ? clip / (*norm + 1e-6) : 1.0;
    bool finite = sum < static_cast<double>(INFINITY);
    scalars->clip_factor = !finite ? 0.0f : factor < 1.0 ? static_cast<float>(factor) : 1.0f;
}

__global__ void write_scalars_kernel(StepScalars* to, StepScalars values) { *to = values; }

}  // namespace ENGINE_DEVICE

template <class D, class S>
void clip_by_norm(Exec& exec, StepScalars* scalars, double* norm, const S* g, Size n, double clip) {
    Size blocks = (n + kNormBlock - 1) / kNormBlock;
    Scratch<double> partial(exec, blocks + 1);
    if (blocks > 0) {
        launch("squared_norm_kernel", squared_norm_kernel<S>, dim3(static_cast<unsigned>(blocks)), kNormThreads, 0, exec.stream,
               partial.data(), g, n);
    }
    launch("clip_factor_kernel", clip_factor_kernel, dim3(1), kNormThreads, 0, exec.stream, scalars, norm, partial.data(), blocks, clip);
}

template <class D>
void write_scalars(Exec& exec, StepScalars* to, const StepScalars& values) {
    launch("write_scalars_kernel", write_scalars_kernel, dim3(1), dim3(1), 0, exec.stream, to, values);
}

template void clip_by_norm<Here, float>(Exec&, StepScalars*, double*, const float*, Size, double);
template void write_scalars<Here>(Exec&, StepScalars*, const StepScalars&);

}  // namespace engine::kernels
