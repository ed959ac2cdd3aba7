#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/step_scalars.h"
#include "engine/kernels/strips.h"

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

// One block of threads a strip's block of rows.
template <class S>
__global__ void squared_strip_sums_kernel(double* sums, Size stride, Rows<const S> g, int strips, Size block_rows, Size blocks) {
    Size strip = blockIdx.x / blocks, row = blockIdx.x % blocks * block_rows;
    Size begin = strip_begin(g.columns, strips, static_cast<int>(strip)),
         columns = strip_begin(g.columns, strips, static_cast<int>(strip) + 1) - begin;
    Size rows = row + block_rows < g.rows ? block_rows : g.rows - row;
    double sum = 0;
    for (Size i = threadIdx.x; i < rows * columns; i += blockDim.x) {
        double value = static_cast<double>(g(row + i / columns, begin + i % columns));
        sum += value * value;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[strip * stride + blockIdx.x % blocks] = sum;
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

template <class D, class S>
void squared_strip_sums(Exec& exec, double* sums, Size stride, Rows<const S> g, int strips, Size block_rows) {
    Size blocks = (g.rows + block_rows - 1) / block_rows;
    launch("squared_strip_sums_kernel", squared_strip_sums_kernel<S>, dim3(static_cast<unsigned>(strips * blocks)), kNormThreads, 0,
           exec.stream, sums, stride, g, strips, block_rows, blocks);
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
template void squared_strip_sums<Here, float>(Exec&, double*, Size, Rows<const float>, int, Size);
template void clip_by_norm<Here>(Exec&, StepScalars*, double*, const double*, Size, double);
template void write_scalars<Here>(Exec&, StepScalars*, const StepScalars&);

}  // namespace engine::kernels
