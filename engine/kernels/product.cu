#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/product.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr int kTile = 16;

template <class S>
struct ProductTiles {
    S a[kTile][kTile + 1];
    S b[kTile][kTile + 1];
};

// One block a 16×16 tile of c, one thread an element; the tiles of a and b go through shared memory.
template <class T, class Out>
__global__ void product_kernel(Rows<Out> c, Rows<const T> a, bool transposed_a, Rows<const T> b, bool transposed_b, Size K, bool add,
                               const T* bias) {
    auto& tiles = shared_memory<ProductTiles<Sum<T>>>();
    Size row_tile = static_cast<Size>(blockIdx.x) * kTile, column_tile = static_cast<Size>(blockIdx.y) * kTile;
    Size row = row_tile + threadIdx.y, column = column_tile + threadIdx.x;
    bool inside = row < c.rows && column < c.columns;
    Sum<T> sum = inside && add ? load(c(row, column)) : 0;
    for (Size k = 0; k < K; k += kTile) {
        Size ka = transposed_a ? k + threadIdx.y : k + threadIdx.x, m = transposed_a ? row_tile + threadIdx.x : row;
        Sum<T> value_a = ka < K && m < c.rows ? load(transposed_a ? a(ka, m) : a(m, ka)) : 0;
        (transposed_a ? tiles.a[threadIdx.x][threadIdx.y] : tiles.a[threadIdx.y][threadIdx.x]) = value_a;
        Size kb = transposed_b ? k + threadIdx.x : k + threadIdx.y, n = transposed_b ? column_tile + threadIdx.y : column;
        Sum<T> value_b = kb < K && n < c.columns ? load(transposed_b ? b(n, kb) : b(kb, n)) : 0;
        (transposed_b ? tiles.b[threadIdx.x][threadIdx.y] : tiles.b[threadIdx.y][threadIdx.x]) = value_b;
        __syncthreads();
        for (int i = 0; i < kTile; ++i) sum = fmaf(tiles.a[threadIdx.y][i], tiles.b[i][threadIdx.x], sum);
        __syncthreads();
    }
    if (inside) c(row, column) = store<Out>(bias != nullptr ? sum + load(bias[column]) : sum);
}

}  // namespace ENGINE_DEVICE

template <class D, class T, class Out>
void product(Exec& exec, Rows<Out> c, Rows<const T> a, Layout layout_a, Rows<const T> b, Layout layout_b, bool add, const T* bias) {
    if (c.rows == 0 || c.columns == 0) return;
    Size K = layout_a == Layout::normal ? a.columns : a.rows;
    // Rows along x, where a grid may have 2³¹ blocks: a batch has more rows than 65535 tiles.
    dim3 grid(static_cast<unsigned>((c.rows + kTile - 1) / kTile), static_cast<unsigned>((c.columns + kTile - 1) / kTile));
    launch("product_kernel", product_kernel<T, Out>, grid, dim3(kTile, kTile), 0, exec.stream, c, a, layout_a == Layout::transposed, b,
           layout_b == Layout::transposed, K, add, bias);
}

template void product<Here, float, float>(Exec&, Rows<float>, Rows<const float>, Layout, Rows<const float>, Layout, bool, const float*);
template void product<Here, bf16, bf16>(Exec&, Rows<bf16>, Rows<const bf16>, Layout, Rows<const bf16>, Layout, bool, const bf16*);
template void product<Here, bf16, float>(Exec&, Rows<float>, Rows<const bf16>, Layout, Rows<const bf16>, Layout, bool, const bf16*);

}  // namespace engine::kernels
