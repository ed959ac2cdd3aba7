#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/grouped_product.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr int kGroupTile = 16;

struct GroupTiles {
    float a[kGroupTile][kGroupTile + 1];
    float b[kGroupTile][kGroupTile + 1];
};

struct GroupTile {
    Size expert, first, end;
};

// The tile-th block of 16 routed rows of one expert; expert = groups.experts where there are fewer. The grid has R/16 + E of them.
__device__ inline GroupTile find_tile(const Groups& groups, Size tile) {
    for (Size e = 0; e < groups.experts; ++e) {
        Size first = groups.offsets[e], end = groups.offsets[e + 1], tiles = (end - first + kGroupTile - 1) / kGroupTile;
        if (tile < tiles) return {e, first + tile * kGroupTile, end};
        tile -= tiles;
    }
    return {groups.experts, 0, 0};
}

// One block 16 routed rows × 16 columns, one thread an element.
template <class T>
__global__ void grouped_gather_product_kernel(Rows<T> c, Rows<const T> a, Rows<const T> b, bool transposed, Groups groups) {
    auto& tiles = shared_memory<GroupTiles>();
    GroupTile tile = find_tile(groups, blockIdx.y);
    if (tile.expert == groups.experts) return;
    Size r = tile.first + threadIdx.y, column_tile = static_cast<Size>(blockIdx.x) * kGroupTile, column = column_tile + threadIdx.x;
    Size K = a.columns, base = tile.expert * (b.rows / groups.experts);
    float sum = 0;
    for (Size k = 0; k < K; k += kGroupTile) {
        Size ka = k + threadIdx.x;
        tiles.a[threadIdx.y][threadIdx.x] = r < tile.end && ka < K ? load(a(groups.token[r], ka)) : 0.0f;
        Size kb = transposed ? k + threadIdx.x : k + threadIdx.y, n = transposed ? column_tile + threadIdx.y : column;
        float value = kb < K && n < c.columns ? load(transposed ? b(base + n, kb) : b(base + kb, n)) : 0.0f;
        (transposed ? tiles.b[threadIdx.x][threadIdx.y] : tiles.b[threadIdx.y][threadIdx.x]) = value;
        __syncthreads();
        for (int i = 0; i < kGroupTile; ++i) sum = fmaf(tiles.a[threadIdx.y][i], tiles.b[i][threadIdx.x], sum);
        __syncthreads();
    }
    if (r < tile.end && column < c.columns) c(r, column) = store<T>(sum);
}

// What the routed row r of expert e adds to an element of its token.
template <class T>
__device__ inline float routed_product(Rows<const T> a, const float* scale, Rows<const T> b, bool transposed, Size r, Size base, Size c) {
    float sum = 0;
    for (Size g = 0; g < a.columns; ++g) sum = fmaf(load(a(r, g)), load(transposed ? b(base + c, g) : b(base + g, c)), sum);
    return scale != nullptr ? scale[r] * sum : sum;
}

// One block a tile of 16 routed rows × 16 columns, one thread an element.
template <class T>
__global__ void grouped_rows_product_kernel(Rows<float> c, Rows<const T> a, const float* scale, Rows<const T> b, bool transposed,
                                            Groups groups) {
    GroupTile tile = find_tile(groups, blockIdx.y);
    Size r = tile.first + threadIdx.y, column = static_cast<Size>(blockIdx.x) * kGroupTile + threadIdx.x;
    if (r >= tile.end || column >= c.columns) return;
    c(r, column) = routed_product(a, scale, b, transposed, r, tile.expert * (b.rows / groups.experts), column);
}

// One thread an element of y: the choices of its token in order.
template <class T>
__global__ void grouped_combine_product_kernel(Rows<T> y, bool add, Rows<const T> a, const float* scale, Rows<const T> b, bool transposed,
                                               Groups groups) {
    Size index = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (index >= y.rows * y.columns) return;
    Size n = index / y.columns, c = index % y.columns;
    float total = add ? load(y(n, c)) : 0.0f;
    for (Size k = 0; k < groups.choices; ++k) {
        Size r = groups.position[n * groups.choices + k], base = groups.ids[n * groups.choices + k] * (b.rows / groups.experts);
        if (r < 0) continue;
        total += routed_product(a, scale, b, transposed, r, base, c);
    }
    y(n, c) = store<T>(total);
}

// One block 16 × 16 of one expert's gradient.
template <class T>
__global__ void grouped_weight_gradient_kernel(Rows<float> db, bool add, Rows<const T> a, Rows<const T> c, bool gather_left,
                                               const float* scale, const std::int32_t* begin, const std::int32_t* end, Groups groups) {
    auto& tiles = shared_memory<GroupTiles>();
    Size e = blockIdx.z, A = db.rows / groups.experts;
    Size row_tile = static_cast<Size>(blockIdx.y) * kGroupTile, column_tile = static_cast<Size>(blockIdx.x) * kGroupTile;
    Size row = row_tile + threadIdx.y, column = column_tile + threadIdx.x;
    bool inside = row < A && column < db.columns;
    float sum = inside && add ? db(e * A + row, column) : 0.0f;
    for (Size first = begin[e]; first < end[e]; first += kGroupTile) {
        Size r = first + threadIdx.y;
        bool exists = r < end[e];
        Size gathered = exists ? groups.token[r] : 0;
        float factor = exists && scale != nullptr ? scale[r] : 1.0f;
        Size m = row_tile + threadIdx.x, n = column;
        float left = exists && m < A ? load(a(gather_left ? gathered : r, m)) : 0.0f;
        float right = exists && n < db.columns ? load(c(gather_left ? r : gathered, n)) : 0.0f;
        tiles.a[threadIdx.x][threadIdx.y] = gather_left ? left : left * factor;
        tiles.b[threadIdx.y][threadIdx.x] = gather_left ? right * factor : right;
        __syncthreads();
        for (int i = 0; i < kGroupTile; ++i) sum = fmaf(tiles.a[threadIdx.y][i], tiles.b[i][threadIdx.x], sum);
        __syncthreads();
    }
    if (inside) db(e * A + row, column) = sum;
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void grouped_gather_product(Exec& exec, Rows<T> c, Rows<const T> a, Rows<const T> b, Layout layout_b, const Groups& groups) {
    if (c.rows * c.columns == 0) return;
    dim3 grid(static_cast<unsigned>((c.columns + kGroupTile - 1) / kGroupTile),
              static_cast<unsigned>(groups.rows / kGroupTile + groups.experts));
    launch("grouped_gather_product_kernel", grouped_gather_product_kernel<T>, grid, dim3(kGroupTile, kGroupTile), 0, exec.stream, c, a, b,
           layout_b == Layout::transposed, groups);
}

template <class D, class T>
void grouped_rows_product(Exec& exec, Rows<Sum<T>> c, Rows<const T> a, const Sum<T>* scale, Rows<const T> b, Layout layout_b,
                          const Groups& groups) {
    if (c.rows * c.columns == 0) return;
    dim3 grid(static_cast<unsigned>((c.columns + kGroupTile - 1) / kGroupTile),
              static_cast<unsigned>(groups.rows / kGroupTile + groups.experts));
    launch("grouped_rows_product_kernel", grouped_rows_product_kernel<T>, grid, dim3(kGroupTile, kGroupTile), 0, exec.stream, c, a, scale,
           b, layout_b == Layout::transposed, groups);
}

template <class D, class T>
void grouped_combine_product(Exec& exec, Rows<T> y, bool add, Rows<const T> a, const Sum<T>* scale, Rows<const T> b, Layout layout_b,
                             const Groups& groups) {
    constexpr int kThreads = 128;
    Size elements = y.rows * y.columns;
    if (elements == 0) return;
    launch("grouped_combine_product_kernel", grouped_combine_product_kernel<T>,
           dim3(static_cast<unsigned>((elements + kThreads - 1) / kThreads)), kThreads, 0, exec.stream, y, add, a, scale, b,
           layout_b == Layout::transposed, groups);
}

template <class D, class T>
void grouped_weight_gradient(Exec& exec, Rows<Sum<T>> db, bool add, Rows<const T> a, Rows<const T> c, bool gather_left, const Sum<T>* scale,
                             const std::int32_t* begin, const std::int32_t* end, const Groups& groups) {
    Size A = db.rows / groups.experts;
    dim3 grid(static_cast<unsigned>((db.columns + kGroupTile - 1) / kGroupTile), static_cast<unsigned>((A + kGroupTile - 1) / kGroupTile),
              static_cast<unsigned>(groups.experts));
    launch("grouped_weight_gradient_kernel", grouped_weight_gradient_kernel<T>, grid, dim3(kGroupTile, kGroupTile), 0, exec.stream, db, add,
           a, c, gather_left, scale, begin, end, groups);
}

#define INSTANTIATE(T)                                                                                                                    \
    template void grouped_gather_product<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>, Layout, const Groups&);                   \
    template void grouped_rows_product<Here, T>(Exec&, Rows<Sum<T>>, Rows<const T>, const Sum<T>*, Rows<const T>, Layout, const Groups&); \
    template void grouped_combine_product<Here, T>(Exec&, Rows<T>, bool, Rows<const T>, const Sum<T>*, Rows<const T>, Layout,             \
                                                   const Groups&);                                                                        \
    template void grouped_weight_gradient<Here, T>(Exec&, Rows<Sum<T>>, bool, Rows<const T>, Rows<const T>, bool, const Sum<T>*,          \
                                                   const std::int32_t*, const std::int32_t*, const Groups&);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace engine::kernels
