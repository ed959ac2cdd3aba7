#include "engine/kernels/product.h"

#include "engine/base/threads.h"
#include "engine/kernels/tile/panels.h"
#include "engine/memory/scratch.h"

#include <algorithm>

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// C's rows in whole tiles and its columns in whole panels, cut into tasks of nearly equal size, at least one a thread where there are
// enough tiles.
struct Partition {
    Size M, N, width, tiles, panels, bands, strips;

    Partition(Size M_, Size N_, Size width_)
        : M(M_), N(N_), width(width_), tiles(tile::panels(M, tile::kTileRows)), panels(tile::panels(N, width)) {
        bands = (std::max<Size>(threads(), tile::panels(M, tile::kBandRows)) + threads() - 1) / threads() * threads();
        bands = std::min(bands, tiles);
        strips = bands >= threads() ? 1 : std::min<Size>(panels, tile::panels(threads(), bands));
    }
    Size tasks() const { return bands * strips; }
    Size row(Size band) const { return std::min(M, band * tiles / bands * tile::kTileRows); }
    Size column(Size strip) const { return std::min(N, strip * panels / strips * width); }
};

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

// The right operand's k in [k0, k0 + K), in blocks of `depth`, by all threads.
template <class I, class T>
void pack_right_blocks(I* to, const tile::Source<T>& b, Layout layout, Size N, Size k0, Size K, Size depth) {
    Size width = tile::kTileColumns<I>, padded = tile::panels(N, width) * width;
    Size columns_a_task = std::max<Size>(1, 16384 / (depth + 1)) * width, parts = (N + columns_a_task - 1) / columns_a_task;
    Size blocks = (K + depth - 1) / depth;
    parallel_for(blocks * parts, [&](Size task) {
        Size k = task / parts * depth, first = task % parts * columns_a_task, rest = std::min(depth, K - k);
        I* block = to + padded * tile::items<I>(k);
        tile::pack_right(block + first * tile::items<I>(rest), b, layout, first, std::min(columns_a_task, N - first), k0 + k, rest);
    });
}

// The product in panels of I. The right operand is packed in chunks of k that stay in the last-level cache; within a chunk every task packs
// its own rows of the left one and keeps its part of C in its own cache.
template <class I, class T, class Out>
void multiply_in_panels(Exec& exec, Rows<Out> c, const tile::Source<T>& a, Layout layout_a, const tile::Source<T>& b, Layout layout_b,
                        Size K, bool add, const T* bias) {
    using S = Sum<T>;
    constexpr bool kDirect = std::is_same_v<Out, S>;  // sums go straight to C; else through a buffer, rounded once, after all of K
    constexpr Size kChunkElements = Size{1} << 20;
    Partition parts(c.rows, c.columns, tile::kTileColumns<I>);
    Size padded = parts.panels * parts.width, depth = tile::depth_of_blocks(K);
    Size chunk = kDirect ? std::max<Size>(1, kChunkElements / (padded * depth)) * depth : std::max<Size>(K, 1);
    Scratch<I> right(exec, padded * tile::items<I>(std::min(chunk, K)));
    for (Size k0 = 0; k0 < std::max<Size>(K, 1); k0 += chunk) {
        Size end = std::min(K, k0 + chunk);
        pack_right_blocks(right.data(), b, layout_b, c.columns, k0, end - k0, depth);
        parallel_for(parts.tasks(), [&](Size task) {
            Size band = task / parts.strips, strip = task % parts.strips, first = parts.row(band), column = parts.column(strip);
            Size rows = parts.row(band + 1) - first, columns = parts.column(strip + 1) - column;
            Rows<Out> part{c.row(first) + column, rows, columns, c.stride};
            S* sums = nullptr;
            Size stride = c.stride;
            if constexpr (kDirect) {
                sums = part.data;
            } else {
                stride = columns;
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
            for (Size k = k0; k < end; k += depth) {
                Size rest = std::min(depth, end - k);
                const I* block = right.data() + padded * tile::items<I>(k - k0) + column * tile::items<I>(rest);
                if constexpr (std::is_same_v<I, T>) {
                    // Short rows need no packing: 5 to 10 % of the product, and 45 % with 16 columns. Long ones compete for lines of the
                    // caches.
                    if (layout_a == Layout::normal && a.stride <= tile::kDepth) {
                        tile::multiply_rows<S>({sums, stride, rows}, a.row(first) + k, a.stride, block, rest, columns, rest, add || k > 0);
                        continue;
                    }
                }
                I* left = tile::arena<0, I>(tile::left_elements<I>(rows, rest));
                tile::pack_left(left, a, layout_a, first, rows, k, rest);
                tile::multiply_panels<I>({sums, stride, rows}, left, block, rest, columns, rest, add || k > 0);
            }
            if (end == K && (!kDirect || bias != nullptr)) finish_rows(part, sums, stride, bias != nullptr ? bias + column : nullptr);
        });
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class T, class Out>
void product(Exec& exec, Rows<Out> c, Rows<const T> a, Layout layout_a, Rows<const T> b, Layout layout_b, bool add, const T* bias) {
    Size K = layout_a == Layout::normal ? a.columns : a.rows;
    if (c.rows == 0 || c.columns == 0) return;
    tile::Source<T> left{a.data, a.stride}, right{b.data, b.stride};
    tile::with_item<T>(
        [&]<class I>(std::type_identity<I>) { multiply_in_panels<I>(exec, c, left, layout_a, right, layout_b, K, add, bias); });
}

template void product<Here, float, float>(Exec&, Rows<float>, Rows<const float>, Layout, Rows<const float>, Layout, bool, const float*);
template void product<Here, double, double>(Exec&, Rows<double>, Rows<const double>, Layout, Rows<const double>, Layout, bool,
                                            const double*);
template void product<Here, bf16, bf16>(Exec&, Rows<bf16>, Rows<const bf16>, Layout, Rows<const bf16>, Layout, bool, const bf16*);
template void product<Here, bf16, float>(Exec&, Rows<float>, Rows<const bf16>, Layout, Rows<const bf16>, Layout, bool, const bf16*);

}  // namespace engine::kernels
