#include "engine/kernels/product.h"

#include "engine/base/threads.h"
#include "engine/kernels/tile/panels.h"
#include "engine/memory/scratch.h"

#include <algorithm>

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// Rows of C that one task takes: enough tasks for all threads, whole tiles, and a panel that fits the second-level cache.
inline Size rows_per_task(Size M) {
    constexpr Size kMostRows = 12 * tile::kTileRows;
    Size tasks = std::max<Size>(threads(), (M + kMostRows - 1) / kMostRows);
    tasks = (tasks + threads() - 1) / threads() * threads();
    Size rows = (M + tasks - 1) / tasks;
    return (rows + tile::kTileRows - 1) / tile::kTileRows * tile::kTileRows;
}

template <class S, class T, class Out>
void finish_rows(Rows<Out> c, const S* sums, Size stride, const T* bias) {
    for (Size i = 0; i < c.rows; ++i) {
        Out* out = c.row(i);
        const S* in = sums + i * stride;
        if (bias != nullptr) {
            for (Size j = 0; j < c.columns; ++j) out[j] = store<Out>(in[j] + load(bias[j]));
        } else {
            for (Size j = 0; j < c.columns; ++j) out[j] = store<Out>(in[j]);
        }
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class T, class Out>
void product(Exec& exec, Rows<Out> c, Rows<const T> a, Layout layout_a, Rows<const T> b, Layout layout_b, bool add, const T* bias) {
    using S = Sum<T>;
    Size M = c.rows, N = c.columns, K = layout_a == Layout::normal ? a.columns : a.rows;
    if (M == 0 || N == 0) return;
    tile::Source<T> left_source{a.data, a.stride}, right_source{b.data, b.stride};

    Size width = tile::kTileColumns<S>, panel_count = tile::panels(N, width);
    Scratch<S> right(exec, panel_count * width * K + 64);
    Size columns_a_task = std::max<Size>(1, 16384 / (K + 1)) * width;
    parallel_blocks(N, columns_a_task, [&](Size first, Size last) {
        for (Size k = 0; k < K; k += tile::kDepth) {
            Size depth = std::min(tile::kDepth, K - k);
            tile::pack_right(right.data() + panel_count * width * k + first * depth, right_source, layout_b, first, last - first, k, depth);
        }
    });

    Size block = rows_per_task(M), blocks = (M + block - 1) / block;
    Size strips = blocks >= threads() ? 1 : std::min<Size>(panel_count, threads());
    Size strip = (panel_count + strips - 1) / strips * width;
    parallel_for(blocks * strips, [&](Size task) {
        Size first = task / strips * block, rows = std::min(block, M - first);
        Size column = task % strips * strip;
        if (column >= N) return;
        Size columns = std::min(strip, N - column);
        Rows<Out> part{c.row(first) + column, rows, columns, c.stride};
        // Sums go straight to C where it has their type; elsewhere through a buffer, rounded once.
        bool direct = std::is_same_v<Out, S>;
        S* sums = nullptr;
        Size stride = c.stride;
        if constexpr (std::is_same_v<Out, S>) {
            sums = part.data;
        } else {
            stride = strip;
            sums = tile::arena<2, S>(rows * stride);
            if (add) {
                for (Size i = 0; i < rows; ++i) {
                    for (Size j = 0; j < columns; ++j) sums[i * stride + j] = load(part(i, j));
                }
            }
        }
        if (K == 0 && !add) {
            for (Size i = 0; i < rows; ++i) std::fill_n(sums + i * stride, columns, S(0));
        }
        for (Size k = 0; k < K; k += tile::kDepth) {
            Size depth = std::min(tile::kDepth, K - k);
            S* left = tile::arena<0, S>(tile::left_elements<S>(rows, depth));
            tile::pack_left(left, left_source, layout_a, first, rows, k, depth);
            tile::multiply_panels(sums, stride, left, right.data() + panel_count * width * k + column * depth, depth, rows, columns, depth,
                                  add || k > 0);
        }
        if (!direct || bias != nullptr) finish_rows(part, sums, stride, bias != nullptr ? bias + column : nullptr);
    });
}

template void product<Here, float, float>(Exec&, Rows<float>, Rows<const float>, Layout, Rows<const float>, Layout, bool, const float*);
template void product<Here, double, double>(Exec&, Rows<double>, Rows<const double>, Layout, Rows<const double>, Layout, bool,
                                            const double*);
template void product<Here, bf16, bf16>(Exec&, Rows<bf16>, Rows<const bf16>, Layout, Rows<const bf16>, Layout, bool, const bf16*);
template void product<Here, bf16, float>(Exec&, Rows<float>, Rows<const bf16>, Layout, Rows<const bf16>, Layout, bool, const bf16*);

}  // namespace engine::kernels
