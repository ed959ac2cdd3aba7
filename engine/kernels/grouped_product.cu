#include "engine/base/here.h"
#include "engine/kernels/grouped_product.h"
#include "engine/kernels/tile_product.cuh"
#include "engine/memory/scratch.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

struct GroupTile {
    Size expert, part;
    Size first, end;  // rows
};

// The tile-th block of `height` routed rows of one expert, whose rows are [begin[e], end[e]); no rows where an expert has fewer. With the
// first one's rows at begin[0], expert e has the blocks from begin[e]/height − begin[0]/height + e on: enough for its rows, R/height + E of
// them in all, and found without counting.
__device__ inline GroupTile find_tile(const std::int32_t* begin, const std::int32_t* end, Size experts, Size tile, Size height) {
    auto first_tile = [&](Size e) { return begin[e] / height - begin[0] / height + e; };
    Size low = 0, high = experts;
    while (high - low > 1) {
        Size middle = (low + high) / 2;
        (first_tile(middle) <= tile ? low : high) = middle;
    }
    Size part = tile - first_tile(low), first = begin[low] + part * height, last = end[low];
    return {low, part, first < last ? first : last, first + height < last ? first + height : last};
}

template <class T>
__device__ inline TileOperand<T> of_expert(TileOperand<T> b, Size expert, Size experts) {
    Size rows = b.end / experts;
    b.first = expert * rows;
    b.end = b.first + rows;
    return b;
}

// One block a tile of routed rows. token: where each row of a stands, or null: at its own place.
template <class Tile, class T, class Out>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    grouped_rows_kernel(Rows<Out> c, TileOperand<T> a, const float* scale, TileOperand<T> b, Groups groups) {
    GroupTile group = find_tile(groups.offsets, groups.offsets + 1, groups.experts, blockIdx.y, Tile::kM);
    if (group.first == group.end) return;
    Size n0 = static_cast<Size>(blockIdx.x) * Tile::kN;
    a.first = group.first;
    a.end = group.end;
    // c's rows end with the expert's.
    TileTarget<Out> target({c.data, group.end, c.columns, c.stride}, group.first, n0);
    Tile tile;
    target.load_sums(tile, false);
    tile.add_product(a, of_expert(b, group.expert, groups.experts), 0, n0, a.columns);
    target.store_sums(tile, [&](Size r, Size, float sum) { return scale != nullptr ? scale[r] * sum : sum; });
}

// One thread an element of y: the choices of its token in order.
template <class T>
__global__ void grouped_sum_kernel(Rows<T> y, bool add, Rows<const float> rows, Groups groups) {
    Size index = element_index();
    if (index >= y.rows * y.columns) return;
    Size n = index / y.columns, c = index % y.columns;
    float total = add ? load(y(n, c)) : 0.0f;
    for (Size k = 0; k < groups.choices; ++k) {
        Size r = groups.position[n * groups.choices + k];
        if (r >= 0) total += rows(r, c);
    }
    y(n, c) = store<T>(total);
}

// Rows of an expert that one block multiplies: an expert with many does not keep the others waiting.
constexpr Size kGradientRows = 1024;

// Where the parts behind the first of an expert stand among those of all experts.
__device__ inline Size part_place(Size begin, Size part) { return begin / kGradientRows + part - 1; }

// One block a tile of one part of one expert's gradient: the first part goes to db, the others to `parts`, (R/kGradientRows)·(A,B).
template <class Tile, class T>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    grouped_weight_gradient_kernel(Rows<float> db, bool add, float* parts, TileOperand<T> a, TileOperand<T> c, const std::int32_t* begin,
                                   const std::int32_t* end, Size experts, Size tiles_across) {
    GroupTile group = find_tile(begin, end, experts, blockIdx.y, kGradientRows);
    if (group.first == group.end && group.part > 0) return;
    Size m0 = static_cast<Size>(blockIdx.x) / tiles_across * Tile::kM, n0 = static_cast<Size>(blockIdx.x) % tiles_across * Tile::kN;
    a.first = c.first = group.first;
    a.end = c.end = group.end;
    Size A = db.rows / experts;
    Rows<float> to = {db.row(group.expert * A), A, db.columns, db.stride};
    if (group.part > 0) to = {parts + part_place(begin[group.expert], group.part) * A * db.columns, A, db.columns, db.columns};
    TileTarget<float> target(to, m0, n0);
    Tile tile;
    target.load_sums(tile, add && group.part == 0);
    tile.add_product(a, c, m0, n0, group.end - group.first);
    target.store_sums(tile, [](Size, Size, float sum) { return sum; });
}

// One thread an element of db: the other parts' sums, in order.
__global__ void grouped_parts_kernel(Rows<float> db, const float* parts, const std::int32_t* begin, const std::int32_t* end, Size experts) {
    Size index = element_index();
    if (index >= db.rows * db.columns) return;
    Size A = db.rows / experts, row = index / db.columns, column = index % db.columns, e = row / A;
    Size rows = end[e] - begin[e];
    if (rows <= kGradientRows) return;
    float sum = db(row, column);
    for (Size part = 1; part * kGradientRows < rows; ++part) {
        sum += parts[(part_place(begin[e], part) * A + row - e * A) * db.columns + column];
    }
    db(row, column) = sum;
}

// One thread an element of routed rows: each times its row's scale.
template <class T>
__global__ void grouped_scale_kernel(Rows<T> scaled, Rows<const T> rows, const float* scale) {
    Size index = element_index();
    if (index >= rows.rows * rows.columns) return;
    Size r = index / rows.columns, c = index % rows.columns;
    scaled(r, c) = store<T>(load(rows(r, c)) * scale[r]);
}

}  // namespace ENGINE_DEVICE

namespace {

template <class T, class Out>
void rows_product(Exec& exec, Rows<Out> c, Rows<const T> a, const std::int32_t* token, const float* scale, Rows<const T> b, Layout layout_b,
                  const Groups& groups) {
    if (c.rows * c.columns == 0) return;
    TileOperand<T> left = tile_operand(a);
    left.index = token;
    Size tiles = groups.rows / 128 * tiles_of(c.columns, 128);
    with_tile<T>(tiles, Along::k, layout_b == Layout::transposed ? Along::k : Along::rows, [&]<class Tile>() {
        dim3 grid(tiles_of(c.columns, Tile::kN), static_cast<unsigned>(groups.rows / Tile::kM + groups.experts));
        launch("grouped_rows_kernel", grouped_rows_kernel<Tile, T, Out>, grid, Tile::kThreads, Tile::kSharedBytes, exec.stream, c, left,
               scale, tile_operand(b), groups);
    });
}

}  // namespace

template <class D, class T>
void grouped_gather_product(Exec& exec, Rows<T> c, Rows<const T> a, Rows<const T> b, Layout layout_b, const Groups& groups) {
    rows_product<T, T>(exec, c, a, groups.token, nullptr, b, layout_b, groups);
}

template <class D, class T>
void grouped_rows_product(Exec& exec, Rows<Sum<T>> c, Rows<const T> a, const Sum<T>* scale, Rows<const T> b, Layout layout_b,
                          const Groups& groups) {
    rows_product<T, Sum<T>>(exec, c, a, nullptr, scale, b, layout_b, groups);
}

// Each choice's product by itself, then their sums: a choice's tile has the rows of many tokens.
template <class D, class T>
void grouped_combine_product(Exec& exec, Rows<T> y, bool add, Rows<const T> a, const Sum<T>* scale, Rows<const T> b, Layout layout_b,
                             const Groups& groups) {
    if (y.rows * y.columns == 0) return;
    Scratch<float> memory(exec, groups.rows * y.columns);
    Rows<float> rows{memory.data(), groups.rows, y.columns, y.columns};
    rows_product<T, float>(exec, rows, a, nullptr, scale, b, layout_b, groups);
    launch("grouped_sum_kernel", grouped_sum_kernel<T>, element_grid(y.rows * y.columns), kElementThreads, 0, exec.stream, y, add, rows,
           groups);
}

template <class D, class T>
void grouped_weight_gradient(Exec& exec, Rows<Sum<T>> db, bool add, Rows<const T> a, Rows<const T> c, bool gather_left, const Sum<T>* scale,
                             const std::int32_t* begin, const std::int32_t* end, const Groups& groups) {
    Size A = db.rows / groups.experts;
    if (A * db.columns == 0) return;
    // Rows at their own place are scaled first: then all rows are copied as they are.
    Rows<const T>& routed = gather_left ? c : a;
    Size stride = vector_stride(routed.columns);
    Scratch<T> memory(exec, scale != nullptr ? routed.rows * stride : 0);
    if (scale != nullptr) {
        Rows<T> scaled{memory.data(), routed.rows, routed.columns, stride};
        launch("grouped_scale_kernel", grouped_scale_kernel<T>, element_grid(scaled.rows * scaled.columns), kElementThreads, 0, exec.stream,
               scaled, routed, scale);
        routed = scaled;
    }
    TileOperand<T> left = tile_operand(a), right = tile_operand(c);
    (gather_left ? left : right).index = groups.token;
    Size most = groups.rows / kGradientRows;  // parts behind the first ones
    Scratch<float> parts(exec, most * A * db.columns);
    Size tiles = (groups.experts + most) * tiles_of(A, 128) * tiles_of(db.columns, 128);
    with_tile<T>(tiles, Along::rows, Along::rows, [&]<class Tile>() {
        unsigned across = tiles_of(db.columns, Tile::kN);
        dim3 grid(across * tiles_of(A, Tile::kM), static_cast<unsigned>(most + groups.experts));
        launch("grouped_weight_gradient_kernel", grouped_weight_gradient_kernel<Tile, T>, grid, Tile::kThreads, Tile::kSharedBytes,
               exec.stream, db, add, parts.data(), left, right, begin, end, groups.experts, Size{across});
    });
    if (most > 0)
        launch("grouped_parts_kernel", grouped_parts_kernel, element_grid(db.rows * db.columns), kElementThreads, 0, exec.stream, db,
               parts.data(), begin, end, groups.experts);
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
