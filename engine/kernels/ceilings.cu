#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/ceilings.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr unsigned kCeilingThreads = 256, kCeilingBlocks = 132 * 8;
constexpr int kCeilingChains = 8;

__global__ void multiply_add_loop_kernel(float* sink, Size rounds) {
    float chain[kCeilingChains];
    for (int i = 0; i < kCeilingChains; ++i) chain[i] = static_cast<float>(i + static_cast<int>(threadIdx.x));
    for (Size round = 0; round < rounds; ++round) {
        for (int i = 0; i < kCeilingChains; ++i) chain[i] = fmaf(chain[i], 0.999f, 0.001f);
    }
    float sum = 0;
    for (int i = 0; i < kCeilingChains; ++i) sum += chain[i];
    if (sum == -1.0f || (blockIdx.x == 0 && threadIdx.x == 0)) *sink = sum;
}

__global__ void read_loop_kernel(float* sink, const float* x, Size count) {
    float sum = 0;
    for (Size i = element_index(); i < count; i += static_cast<Size>(gridDim.x) * kElementThreads) sum += x[i];
    if (sum == -1.0f || (blockIdx.x == 0 && threadIdx.x == 0)) *sink = sum;
}

// One block a row at a time.
__global__ void read_rows_loop_kernel(float* sink, const float* x, Size rows, Size columns) {
    float sum = 0;
    for (Size i = blockIdx.x; i < rows; i += gridDim.x) {
        const float* row = x + scattered_row(i, rows) * columns;
        for (Size c = threadIdx.x; c < columns; c += blockDim.x) sum += row[c];
    }
    if (sum == -1.0f || (blockIdx.x == 0 && threadIdx.x == 0)) *sink = sum;
}

__global__ void copy_loop_kernel(float* y, const float* x, Size count) {
    for (Size i = element_index(); i < count; i += static_cast<Size>(gridDim.x) * kElementThreads) y[i] = x[i];
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
double multiply_add_loop(Exec& exec, float* sink, Size rounds) {
    launch("multiply_add_loop_kernel", multiply_add_loop_kernel, kCeilingBlocks, kCeilingThreads, 0, exec.stream, sink, rounds);
    return 2.0 * kCeilingBlocks * kCeilingThreads * kCeilingChains * static_cast<double>(rounds);
}

template <class D>
void read_loop(Exec& exec, float* sink, const float* x, Size count) {
    launch("read_loop_kernel", read_loop_kernel, kCeilingBlocks, kElementThreads, 0, exec.stream, sink, x, count);
}

template <class D>
void read_rows_loop(Exec& exec, float* sink, const float* x, Size rows, Size columns) {
    launch("read_rows_loop_kernel", read_rows_loop_kernel, kCeilingBlocks, kCeilingThreads, 0, exec.stream, sink, x, rows, columns);
}

template <class D>
void copy_loop(Exec& exec, float* y, const float* x, Size count) {
    launch("copy_loop_kernel", copy_loop_kernel, kCeilingBlocks, kElementThreads, 0, exec.stream, y, x, count);
}

template double multiply_add_loop<Here, float>(Exec&, float*, Size);
template void read_loop<Here>(Exec&, float*, const float*, Size);
template void read_rows_loop<Here>(Exec&, float*, const float*, Size, Size);
template void copy_loop<Here>(Exec&, float*, const float*, Size);

}  // namespace engine::kernels
