#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/transpose.h"

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::store;

inline namespace ENGINE_DEVICE {

constexpr int kTransposeTile = 16;

template <class T>
struct TransposeTile {
    T value[kTransposeTile][kTransposeTile + 1];
};

// One block a tile, through shared memory, so that reads and writes both go along rows. Tiles of x's rows along the grid's x.
template <class T>
__global__ void transpose_kernel(Rows<T> y, Rows<const T> x, bool add) {
    auto& tile = engine::shared_memory<TransposeTile<T>>();
    Size i = static_cast<Size>(blockIdx.y) * kTransposeTile, j = static_cast<Size>(blockIdx.x) * kTransposeTile;
    if (i + threadIdx.y < x.rows && j + threadIdx.x < x.columns) tile.value[threadIdx.y][threadIdx.x] = x(i + threadIdx.y, j + threadIdx.x);
    __syncthreads();
    Size row = j + threadIdx.y, column = i + threadIdx.x;
    if (row >= y.rows || column >= y.columns) return;
    T value = tile.value[threadIdx.x][threadIdx.y];
    y(row, column) = add ? store<T>(load(y(row, column)) + load(value)) : value;
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void transpose(Exec& exec, Rows<T> y, Rows<const T> x, bool add) {
    auto tiles = [](Size count) { return static_cast<unsigned>((count + kTransposeTile - 1) / kTransposeTile); };
    engine::launch("transpose_kernel", transpose_kernel<T>, dim3(tiles(x.columns), tiles(x.rows)), dim3(kTransposeTile, kTransposeTile), 0,
                   exec.stream, y, x, add);
}

template void transpose<Here, float>(Exec&, Rows<float>, Rows<const float>, bool);
template void transpose<Here, engine::bf16>(Exec&, Rows<engine::bf16>, Rows<const engine::bf16>, bool);

}  // namespace moe::kernels
