#pragma once
// Sums over rows, column by column, in an order that only the number of rows sets: eight lanes over every block of 256 rows, then the
// blocks. What column_sum.cu, layer_norm.cu and xl_attention_backward.cu share.
#include "engine/base/rows.h"
#include "engine/cuda/launch.h"
#include "engine/memory/scratch.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr int kSumLanes = 8, kSumRows = 256;

struct LaneSums {
    float value[kSumLanes][32];
};

// One block 32 columns of 256 rows; y (blocks of rows, columns), or (columns) where there is one block. value(n, c) of each element.
template <class Value>
__global__ void column_block_sums_kernel(float* y, Size rows, Size columns, Value value, bool add) {
    auto& lanes = shared_memory<LaneSums>();
    int lane = static_cast<int>(threadIdx.x / 32), column = static_cast<int>(threadIdx.x % 32);
    Size c = static_cast<Size>(blockIdx.x) * 32 + column, first = static_cast<Size>(blockIdx.y) * kSumRows;
    Size end = first + kSumRows < rows ? first + kSumRows : rows;
    float sum = 0;
    for (Size n = first + lane; n < end && c < columns; n += kSumLanes) sum += value(n, c);
    lanes.value[lane][column] = sum;
    __syncthreads();
    if (lane != 0 || c >= columns) return;
    float& out = y[static_cast<Size>(blockIdx.y) * columns + c];
    float total = add ? out : 0.0f;
    for (int i = 0; i < kSumLanes; ++i) total += lanes.value[i][column];
    out = total;
}

template <class T>
struct ElementValue {
    Rows<const T> x;
    __device__ float operator()(Size n, Size c) const { return load(x(n, c)); }
};

// y[c] (+)= Σ_n value(n, c) for n < rows.
template <class Value>
void column_sums_of(Exec& exec, float* y, Size rows, Size columns, Value value, bool add) {
    if (columns == 0) return;
    Size blocks = rows <= kSumRows ? 1 : (rows + kSumRows - 1) / kSumRows;
    dim3 grid(static_cast<unsigned>((columns + 31) / 32), static_cast<unsigned>(blocks));
    auto sum = [&](float* to, bool adds) {
        launch("column_block_sums_kernel", column_block_sums_kernel<Value>, grid, kSumLanes * 32, 0, exec.stream, to, rows, columns, value,
               adds);
    };
    if (blocks == 1) return sum(y, add);
    Scratch<float> parts(exec, blocks * columns);
    sum(parts.data(), false);
    column_sums_of(exec, y, blocks, columns, ElementValue<float>{{parts.data(), blocks, columns, columns}}, add);
}

template <class T>
void column_sums(Exec& exec, float* y, Rows<const T> x, bool add) {
    column_sums_of(exec, y, x.rows, x.columns, ElementValue<T>{x}, add);
}

}  // namespace ENGINE_DEVICE

}  // namespace engine::kernels
