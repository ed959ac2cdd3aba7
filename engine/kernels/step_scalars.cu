#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/step_scalars.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr int kNormThreads = 256;

// One block of threads a block of elements.
template <class S>
__global__ void squared_sums_kernel(double* sums, Rows<const S> g) {
    Size blocks = squares_blocks(g.columns), i = blockIdx.x;
    Size first = i % blocks * kSquaresBlock, last = first + kSquaresBlock < g.columns ? first + kSquaresBlock : g.columns;
    const S* in = g.row(i / blocks);
    double sum = 0;
    for (Size c = first + threadIdx.x; c < last; c += blockDim.x) sum += static_cast<double>(in[c]) * static_cast<double>(in[c]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[i] = sum;
}

__global__ void clip_factor_kernel(StepScalars* scalars, double* norm, const double* sums, Size count, double clip) {
    double sum = 0;
    for (Size i = threadIdx.x; i < count; i += blockDim.x) sum += sums[i];
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
void squared_sums(Exec& exec, double* sums, Rows<const S> g) {
    Size blocks = g.rows * squares_blocks(g.columns);
    if (blocks == 0) return;
    launch("squared_sums_kernel", squared_sums_kernel<S>, dim3(static_cast<unsigned>(blocks)), kNormThreads, 0, exec.stream, sums, g);
}

template <class D>
void clip_by_norm(Exec& exec, StepScalars* scalars, double* norm, const double* sums, Size count, double clip) {
    launch("clip_factor_kernel", clip_factor_kernel, dim3(1), kNormThreads, 0, exec.stream, scalars, norm, sums, count, clip);
}

template <class D>
void write_scalars(Exec& exec, StepScalars* to, const StepScalars& values) {
    launch("write_scalars_kernel", write_scalars_kernel, dim3(1), dim3(1), 0, exec.stream, to, values);
}

template void squared_sums<Here, float>(Exec&, double*, Rows<const float>);
template void clip_by_norm<Here>(Exec&, StepScalars*, double*, const double*, Size, double);
template void write_scalars<Here>(Exec&, StepScalars*, const StepScalars&);

}  // namespace engine::kernels
