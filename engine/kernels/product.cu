#include "engine/base/here.h"
#include "engine/kernels/product.h"
#include "engine/kernels/tile_product.cuh"
#include "engine/memory/scratch.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// One block a tile of c for a part of k, blockIdx.z: where there is one part, c itself, else c (parts·M, N).
template <class Tile, class T, class Out>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    product_kernel(Rows<Out> c, TileOperand<T> a, TileOperand<T> b, Size K, Size part, bool add, const T* bias) {
    Size m0 = static_cast<Size>(blockIdx.x) * Tile::kM, n0 = static_cast<Size>(blockIdx.y) * Tile::kN;
    Size first_k = static_cast<Size>(blockIdx.z) * part, count = K - first_k < part ? K - first_k : part;
    c.data += static_cast<Size>(blockIdx.z) * c.rows * c.stride;
    TileTarget<Out> target(c, m0, n0);
    Tile tile;
    target.load_sums(tile, add);
    tile.add_product(from_k(a, Tile::kAlongA, first_k, count), from_k(b, Tile::kAlongB, first_k, count), m0, n0, count);
    target.store_sums(tile, [&](Size, Size n, float sum) { return bias != nullptr ? sum + load(bias[n]) : sum; });
}

// One thread an element: the parts' sums, in order.
template <class T, class Out>
__global__ void product_parts_kernel(Rows<Out> c, const float* parts, Size count, bool add, const T* bias) {
    Size index = element_index(), size = c.rows * c.columns;
    if (index >= size) return;
    Size row = index / c.columns, column = index % c.columns;
    float sum = add ? load(c(row, column)) : 0.0f;
    for (Size p = 0; p < count; ++p) sum += parts[p * size + index];
    c(row, column) = store<Out>(bias != nullptr ? sum + load(bias[column]) : sum);
}

}  // namespace ENGINE_DEVICE

namespace {

// How long the parts of k are. Rows of activations are never a's columns, so that where a is transposed c has a weight's shape, whatever
// the batch: cut, there are tiles for a whole GPU.
Size part_of_k(Size M, Size N, Size K, bool transposed_a) {
    constexpr Size kTiles = 264, kShortest = 512;
    int side = M >= 128 && N >= 128 ? 128 : 64;
    Size tiles = Size{tiles_of(M, side)} * tiles_of(N, side), parts = kTiles / tiles < K / kShortest ? kTiles / tiles : K / kShortest;
    return transposed_a && parts > 1 ? (K / parts + 31) / 32 * 32 : K;
}

}  // namespace

template <class D, class T, class Out>
void product(Exec& exec, Rows<Out> c, Rows<const T> a, Layout layout_a, Rows<const T> b, Layout layout_b, bool add, const T* bias) {
    if (c.rows == 0 || c.columns == 0) return;
    bool transposed_a = layout_a == Layout::transposed;
    Size K = transposed_a ? a.rows : a.columns, part = part_of_k(c.rows, c.columns, K, transposed_a),
         parts = part < K ? (K + part - 1) / part : 1;
    auto launch_tiles = [&]<class Target>(Rows<Target> to, bool adds, const T* row) {
        Along along_a = transposed_a ? Along::rows : Along::k, along_b = layout_b == Layout::normal ? Along::rows : Along::k;
        with_tile<T>(parts * tiles_of(c.rows, 128) * tiles_of(c.columns, 128), along_a, along_b, [&]<class Tile>() {
            // Rows along x, where a grid may have 2³¹ blocks: a batch has more rows than 65535 tiles.
            dim3 grid(tiles_of(c.rows, Tile::kM), tiles_of(c.columns, Tile::kN), static_cast<unsigned>(parts));
            launch("product_kernel", product_kernel<Tile, T, Target>, grid, Tile::kThreads, Tile::kSharedBytes, exec.stream, to,
                   tile_operand(a), tile_operand(b), K, part, adds, row);
        });
    };
    if (parts == 1) return launch_tiles(c, add, bias);
    Scratch<float> sums(exec, parts * c.rows * c.columns);
    launch_tiles(Rows<float>{sums.data(), c.rows, c.columns, c.columns}, false, nullptr);
    launch("product_parts_kernel", product_parts_kernel<T, Out>, element_grid(c.rows * c.columns), kElementThreads, 0, exec.stream, c,
           sums.data(), parts, add, bias);
}

template void product<Here, float, float>(Exec&, Rows<float>, Rows<const float>, Layout, Rows<const float>, Layout, bool, const float*);
template void product<Here, bf16, bf16>(Exec&, Rows<bf16>, Rows<const bf16>, Layout, Rows<const bf16>, Layout, bool, const bf16*);
template void product<Here, bf16, float>(Exec&, Rows<float>, Rows<const bf16>, Layout, Rows<const bf16>, Layout, bool, const bf16*);

}  // namespace engine::kernels
