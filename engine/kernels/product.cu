#include "engine/base/here.h"
#include "engine/kernels/product.h"
#include "engine/kernels/tile_product.cuh"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// One block a tile of c.
template <class Tile, class T, class Out>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    product_kernel(Rows<Out> c, TileOperand<T> a, TileOperand<T> b, Size K, bool add, const T* bias) {
    Size m0 = static_cast<Size>(blockIdx.x) * Tile::kM, n0 = static_cast<Size>(blockIdx.y) * Tile::kN;
    Tile tile;
    auto inside = [&](int row, int column) { return m0 + row < c.rows && n0 + column < c.columns; };
    tile.for_each([&](int row, int column, float& sum) { sum = add && inside(row, column) ? load(c(m0 + row, n0 + column)) : 0.0f; });
    tile.add_product(a, b, m0, n0, K);
    tile.for_each([&](int row, int column, float& sum) {
        if (inside(row, column)) c(m0 + row, n0 + column) = store<Out>(bias != nullptr ? sum + load(bias[n0 + column]) : sum);
    });
}

}  // namespace ENGINE_DEVICE

template <class D, class T, class Out>
void product(Exec& exec, Rows<Out> c, Rows<const T> a, Layout layout_a, Rows<const T> b, Layout layout_b, bool add, const T* bias) {
    if (c.rows == 0 || c.columns == 0) return;
    Size K = layout_a == Layout::normal ? a.columns : a.rows;
    Along along_a = layout_a == Layout::normal ? Along::k : Along::rows, along_b = layout_b == Layout::normal ? Along::rows : Along::k;
    with_tile<T>(Size{tiles_of(c.rows, 128)} * tiles_of(c.columns, 128), along_a, along_b, [&]<class Tile>() {
        // Rows along x, where a grid may have 2³¹ blocks: a batch has more rows than 65535 tiles.
        dim3 grid(tiles_of(c.rows, Tile::kM), tiles_of(c.columns, Tile::kN));
        launch("product_kernel", product_kernel<Tile, T, Out>, grid, Tile::kThreads, Tile::kSharedBytes, exec.stream, c, tile_operand(a),
               tile_operand(b), K, add, bias);
    });
}

template void product<Here, float, float>(Exec&, Rows<float>, Rows<const float>, Layout, Rows<const float>, Layout, bool, const float*);
template void product<Here, bf16, bf16>(Exec&, Rows<bf16>, Rows<const bf16>, Layout, Rows<const bf16>, Layout, bool, const bf16*);
template void product<Here, bf16, float>(Exec&, Rows<float>, Rows<const bf16>, Layout, Rows<const bf16>, Layout, bool, const bf16*);

}  // namespace engine::kernels
