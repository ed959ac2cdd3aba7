#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/spatial_product.h"

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::store;

inline namespace ENGINE_DEVICE {

constexpr int kSpatialTile = 16;

template <class S>
struct SpatialTiles {
    S a[kSpatialTile][kSpatialTile + 1];
    S b[kSpatialTile][kSpatialTile + 1];
};

// sum + Σ_k a[row,k]·b[k,column] over the tile in shared memory.
template <class S>
__device__ S add_tile_products(const SpatialTiles<S>& tiles, S sum) {
    for (int k = 0; k < kSpatialTile; ++k) sum = fmaf(tiles.a[threadIdx.y][k], tiles.b[k][threadIdx.x], sum);
    return sum;
}

// One block a 16×16 tile of a chunk of g, or, `backward`, of dv: then y is dv, x is dg, and the matrix is read across.
template <class T>
__global__ void spatial_product_kernel(Rows<T> y, Rows<const T> x, Rows<const T> w, Rows<const T> bias, Chunks chunks, Positions positions,
                                       bool backward, Size row_tiles) {
    using S = Sum<T>;
    auto& tiles = engine::shared_memory<SpatialTiles<S>>();
    Size group = blockIdx.x / row_tiles, b = group / chunks.count, i = group % chunks.count, e = chunks.expert(b, i);
    Size length = chunks.length, keys = positions.keys(length), depth = backward ? length : keys, x_rows = depth;
    Size first = static_cast<Size>(blockIdx.x % row_tiles) * kSpatialTile, row = first + threadIdx.y;
    Size column = static_cast<Size>(blockIdx.y) * kSpatialTile + threadIdx.x;
    Size begin = 0, end = depth;
    if (positions.causal && backward) begin = first;
    if (positions.causal && !backward && positions.first + first + kSpatialTile < end) end = positions.first + first + kSpatialTile;
    S sum = 0;
    for (Size k = begin; k < end; k += kSpatialTile) {
        // Threads along x read neighbours of a row of the matrix, whichever way it is meant.
        Size t = backward ? k + threadIdx.y : row, s = backward ? first + threadIdx.x : k + threadIdx.x;
        bool visible = t < length && s < keys && s < positions.seen(t, length);
        S weight = visible ? load(w(e * positions.context + positions.first + t, s)) : S(0);
        (backward ? tiles.a[threadIdx.x][threadIdx.y] : tiles.a[threadIdx.y][threadIdx.x]) = weight;
        Size at = k + threadIdx.y;
        tiles.b[threadIdx.y][threadIdx.x] = at < depth && column < chunks.width ? load(x(b * x_rows + at, chunks.half(i) + column)) : S(0);
        __syncthreads();
        sum = add_tile_products(tiles, sum);
        __syncthreads();
    }
    if (row >= length || column >= chunks.width) return;
    if (!backward) sum += load(bias(e, positions.first + row));
    y(b * length + row, chunks.half(i) + column) = store<T>(sum);
}

// One block a 16×16 tile of an expert's matrix, through all sequences and chunks that are its own.
template <class T>
__global__ void spatial_weight_gradient_kernel(Rows<Sum<T>> dw, Rows<const T> dg, Rows<const T> v, Chunks chunks, Positions positions,
                                               bool add, Size row_tiles) {
    using S = Sum<T>;
    auto& tiles = engine::shared_memory<SpatialTiles<S>>();
    Size e = blockIdx.x / row_tiles, length = chunks.length, W = chunks.width;
    Size first_t = static_cast<Size>(blockIdx.x % row_tiles) * kSpatialTile, first_s = static_cast<Size>(blockIdx.y) * kSpatialTile;
    Size t = first_t + threadIdx.y, s = first_s + threadIdx.x;
    bool empty = first_t >= length || first_s >= length || (positions.causal && first_s > first_t + kSpatialTile - 1);
    S sum = 0;
    for (Size group = 0; !empty && group < chunks.sequences * chunks.count; ++group) {
        Size b = group / chunks.count, i = group % chunks.count;
        if (chunks.expert(b, i) != e) continue;
        for (Size j = 0; j < W; j += kSpatialTile) {
            Size column = j + threadIdx.x, key = first_s + threadIdx.y;
            tiles.a[threadIdx.y][threadIdx.x] = column < W && t < length ? load(dg(b * length + t, chunks.half(i) + column)) : S(0);
            tiles.b[threadIdx.x][threadIdx.y] = column < W && key < length ? load(v(b * length + key, chunks.half(i) + column)) : S(0);
            __syncthreads();
            sum = add_tile_products(tiles, sum);
            __syncthreads();
        }
    }
    if (t >= positions.context || s >= positions.context) return;
    bool visible = t < length && s < positions.seen(t, length);
    S& out = dw(e * positions.context + t, s);
    if (visible) {
        out = add ? out + sum : sum;
    } else if (!add) {
        out = 0;
    }
}

// One block a position of an expert.
template <class T>
__global__ void spatial_bias_gradient_kernel(Rows<Sum<T>> dbias, Rows<const T> dg, Chunks chunks, Positions positions, bool add) {
    using S = Sum<T>;
    Size e = blockIdx.x / positions.context, t = blockIdx.x % positions.context;
    S sum = 0;
    for (Size group = 0; t < chunks.length && group < chunks.sequences * chunks.count; ++group) {
        Size b = group / chunks.count, i = group % chunks.count;
        if (chunks.expert(b, i) != e) continue;
        for (Size j = threadIdx.x; j < chunks.width; j += blockDim.x) sum += load(dg(b * chunks.length + t, chunks.half(i) + j));
    }
    sum = engine::block_sum(sum);
    if (threadIdx.x == 0) dbias(e, t) = add ? dbias(e, t) + sum : sum;
}

// Rows along x, where a grid may have 2³¹ blocks.
template <class T>
void launch_spatial_product(Exec& exec, Rows<T> y, Rows<const T> x, Rows<const T> w, Rows<const T> bias, const Chunks& chunks,
                            const Positions& positions, bool backward) {
    Size row_tiles = (chunks.length + kSpatialTile - 1) / kSpatialTile;
    dim3 grid(static_cast<unsigned>(chunks.sequences * chunks.count * row_tiles),
              static_cast<unsigned>((chunks.width + kSpatialTile - 1) / kSpatialTile));
    engine::launch("spatial_product_kernel", spatial_product_kernel<T>, grid, dim3(kSpatialTile, kSpatialTile), 0, exec.stream, y, x, w,
                   bias, chunks, positions, backward, row_tiles);
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void spatial_product(Exec& exec, Rows<T> g, Rows<const T> v, Rows<const T> w, Rows<const T> bias, const Chunks& chunks,
                     const Positions& positions) {
    launch_spatial_product(exec, g, v, w, bias, chunks, positions, false);
}

template <class D, class T>
void spatial_product_backward(Exec& exec, Rows<T> dv, Rows<const T> dg, Rows<const T> w, const Chunks& chunks, const Positions& positions) {
    launch_spatial_product(exec, dv, dg, w, Rows<const T>{}, chunks, positions, true);
}

template <class D, class T>
void spatial_weight_gradient(Exec& exec, Rows<Sum<T>> dw, Rows<const T> dg, Rows<const T> v, const Chunks& chunks,
                             const Positions& positions, bool add) {
    Size tiles = (positions.context + kSpatialTile - 1) / kSpatialTile;
    dim3 grid(static_cast<unsigned>(chunks.count * tiles), static_cast<unsigned>(tiles));
    engine::launch("spatial_weight_gradient_kernel", spatial_weight_gradient_kernel<T>, grid, dim3(kSpatialTile, kSpatialTile), 0,
                   exec.stream, dw, dg, v, chunks, positions, add, tiles);
}

template <class D, class T>
void spatial_bias_gradient(Exec& exec, Rows<Sum<T>> dbias, Rows<const T> dg, const Chunks& chunks, const Positions& positions, bool add) {
    engine::launch("spatial_bias_gradient_kernel", spatial_bias_gradient_kernel<T>,
                   dim3(static_cast<unsigned>(chunks.count * positions.context)), 128, 0, exec.stream, dbias, dg, chunks, positions, add);
}

#define INSTANTIATE(T)                                                                                                                    \
    template void spatial_product<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>, Rows<const T>, const Chunks&, const Positions&); \
    template void spatial_product_backward<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>, const Chunks&, const Positions&);       \
    template void spatial_weight_gradient<Here, T>(Exec&, Rows<Sum<T>>, Rows<const T>, Rows<const T>, const Chunks&, const Positions&,    \
                                                   bool);                                                                                 \
    template void spatial_bias_gradient<Here, T>(Exec&, Rows<Sum<T>>, Rows<const T>, const Chunks&, const Positions&, bool);
INSTANTIATE(float)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
