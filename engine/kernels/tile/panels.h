#pragma once
// The two sides of a product as panels, and the loop over tiles between them.
#include "engine/kernels/product.h"
#include "engine/kernels/tile/arena.h"
#include "engine/kernels/tile/pack.h"

namespace engine::kernels::tile::inline ENGINE_DEVICE {

inline constexpr Size kDepth = 384;  // k that are packed at once: a panel of A stays in the first-level cache

inline Size panels(Size count, Size width) { return (count + width - 1) / width; }
template <class S>
Size left_elements(Size rows, Size K) {
    return panels(rows, kTileRows) * kTileRows * K;
}
template <class S>
Size right_elements(Size columns, Size K) {
    return panels(columns, kTileColumns<S>) * kTileColumns<S> * K;
}

// Rows [first, first + rows) × k in [k0, k0 + K) of the left operand.
template <class T, class S>
void pack_left(S* to, const Source<T>& a, Layout layout, Size first, Size rows, Size k0, Size K) {
    for (Size p = 0; p * kTileRows < rows; ++p) {
        int count = static_cast<int>(rows - p * kTileRows < kTileRows ? rows - p * kTileRows : kTileRows);
        S* panel = to + p * kTileRows * K;
        if (layout == Layout::normal) {
            pack_transposed(panel, kTileRows, a, first + p * kTileRows, count, k0, K);
        } else {
            pack_straight(panel, kTileRows, a, first + p * kTileRows, count, k0, K);
        }
    }
}

// k in [k0, k0 + K) × columns [first, first + columns) of the right operand.
template <class T, class S>
void pack_right(S* to, const Source<T>& b, Layout layout, Size first, Size columns, Size k0, Size K) {
    constexpr int kWidth = kTileColumns<S>;
    for (Size p = 0; p * kWidth < columns; ++p) {
        int count = static_cast<int>(columns - p * kWidth < kWidth ? columns - p * kWidth : kWidth);
        S* panel = to + p * kWidth * K;
        if (layout == Layout::normal) {
            pack_straight(panel, kWidth, b, first + p * kWidth, count, k0, K);
        } else {
            pack_transposed(panel, kWidth, b, first + p * kWidth, count, k0, K);
        }
    }
}

// c[rows, columns] (+)= packed left · packed right over K. The panels of `right` were packed with `right_depth` ≥ K.
template <class S>
void multiply_panels(S* c, Size stride, const S* left, const S* right, Size right_depth, Size rows, Size columns, Size K, bool add) {
    constexpr int kWidth = kTileColumns<S>;
    for (Size j = 0; j < columns; j += kWidth) {
        for (Size i = 0; i < rows; i += kTileRows) {
            int tile_rows = static_cast<int>(rows - i < kTileRows ? rows - i : kTileRows);
            int tile_columns = static_cast<int>(columns - j < kWidth ? columns - j : kWidth);
            micro(K, left + i * K, right + j * right_depth, c + i * stride + j, stride, add, tile_rows, tile_columns);
        }
    }
}

// c (M,N) (+)= a·b on the calling thread. For products too small to share, such as attention's blocks.
template <class T, class S>
void multiply(S* c, Size stride, const Source<T>& a, Layout layout_a, const Source<T>& b, Layout layout_b, Size M, Size N, Size K,
              bool add) {
    if (K == 0 && !add) {
        for (Size i = 0; i < M; ++i) {
            for (Size j = 0; j < N; ++j) c[i * stride + j] = S(0);
        }
    }
    for (Size k = 0; k < K; k += kDepth) {
        Size depth = K - k < kDepth ? K - k : kDepth;
        S* left = arena<0, S>(left_elements<S>(M, depth));
        S* right = arena<1, S>(right_elements<S>(N, depth));
        pack_left(left, a, layout_a, 0, M, k, depth);
        pack_right(right, b, layout_b, 0, N, k, depth);
        multiply_panels(c, stride, left, right, depth, M, N, depth, add || k > 0);
    }
}

}  // namespace engine::kernels::tile::inline ENGINE_DEVICE
