#pragma once
// The two sides of a product as panels of items, and the loop over tiles between them.
#include "engine/base/cpu_level.h"
#include "engine/kernels/product.h"
#include "engine/kernels/tile/arena.h"
#include "engine/kernels/tile/pack.h"

#include <algorithm>

namespace engine::kernels::tile::inline ENGINE_DEVICE {

// f with the item that T's panels hold on this processor.
template <class T, class F>
void with_item(F&& f) {
    if constexpr (std::is_same_v<T, bf16> && kHasPairs) {
        if (cpu_has_bf16_pairs()) return f(std::type_identity<Pair>{});
    }
    f(std::type_identity<Sum<T>>{});
}

// Most elements of k that are packed at once: then a panel of A and one of B (28 + 64 KiB in fp32) stay in the first two caches.
inline constexpr Size kDepth = 512;
// K in equal blocks of at most kDepth, even so that no pair is parted.
inline Size depth_of_blocks(Size K) {
    Size blocks = std::max<Size>(1, (K + kDepth - 1) / kDepth);
    return std::max<Size>(2, ((K + blocks - 1) / blocks + 1) / 2 * 2);
}

// Rows of the left operand that are packed at once: kDepth of them fit the second-level cache beside a panel of B.
inline constexpr Size kBandRows = 12 * kTileRows;

inline Size panels(Size count, Size width) { return (count + width - 1) / width; }
template <class I>
Size left_elements(Size rows, Size K) {
    return panels(rows, kTileRows) * kTileRows * items<I>(K);
}
template <class I>
Size right_elements(Size columns, Size K) {
    return panels(columns, kTileColumns<I>) * kTileColumns<I> * items<I>(K);
}

// `count` rows or columns of an operand from `first` on, k in [k0, k0 + K), as panels of `width`. `along`: k runs along the source's rows.
template <class T, class I>
void pack_panels(I* to, int width, const Source<T>& source, bool along, Size first, Size count, Size k0, Size K) {
    Size panel_items = width * items<I>(K);
    if (!along) return pack_straight(to, width, panel_items, source, first, count, k0, K);
    for (Size p = 0; p * width < count; ++p)
        pack_transposed(to + p * panel_items, width, source, first + p * width, count - p * width, k0, K);
}

// Rows [first, first + rows) × k in [k0, k0 + K) of the left operand.
template <class T, class I>
void pack_left(I* to, const Source<T>& a, Layout layout, Size first, Size rows, Size k0, Size K) {
    pack_panels(to, kTileRows, a, layout == Layout::normal, first, rows, k0, K);
}
// k in [k0, k0 + K) × columns [first, first + columns) of the right operand.
template <class T, class I>
void pack_right(I* to, const Source<T>& b, Layout layout, Size first, Size columns, Size k0, Size K) {
    pack_panels(to, kTileColumns<I>, b, layout == Layout::transposed, first, columns, k0, K);
}

// c[c.rows, columns] (+)= packed left · packed right over K. The panels of `right` were packed with `right_depth` ≥ K.
template <class I>
void multiply_panels(const Target<ItemSum<I>>& c, const I* left, const I* right, Size right_depth, Size columns, Size K, Add add) {
    constexpr Size kWidth = kTileColumns<I>;
    Size count = items<I>(K);
    for (Size j = 0; j < columns; j += kWidth) {
        const I* panel = right + j * items<I>(right_depth);
        for (Size i = 0; i < c.rows; i += kTileRows) {
            if (columns - j > kWidth / 2) {
                micro<2>(count, PanelLeft<I>{left + i * count}, panel, c.part(i, j), add, columns - j);
            } else {
                micro<1>(count, PanelLeft<I>{left + i * count}, panel, c.part(i, j), add, columns - j);
            }
        }
    }
}

template <class I>
void multiply_panels(const Target<ItemSum<I>>& c, const I* left, const I* right, Size right_depth, Size columns, Size K, bool add) {
    multiply_panels<I>(c, left, right, right_depth, columns, K, add ? Add::before : Add::no);
}

// The same with a left operand that lies in rows, a[i·a_stride + k]. Its last tile, if not whole, is packed.
template <class S>
void multiply_rows(const Target<S>& c, const S* a, Size a_stride, const S* right, Size right_depth, Size columns, Size K, bool add) {
    constexpr Size kWidth = kTileColumns<S>;
    Size whole = c.rows / kTileRows * kTileRows;
    for (Size j = 0; j < columns; j += kWidth) {
        const S* panel = right + j * right_depth;
        for (Size i = 0; i < whole; i += kTileRows) {
            if (columns - j > kWidth / 2) {
                micro<2>(K, RowsLeft<S>(a + i * a_stride, a_stride), panel, c.part(i, j), add ? Add::before : Add::no, columns - j);
            } else {
                micro<1>(K, RowsLeft<S>(a + i * a_stride, a_stride), panel, c.part(i, j), add ? Add::before : Add::no, columns - j);
            }
        }
    }
    if (whole == c.rows) return;
    S* left = arena<0, S>(left_elements<S>(kTileRows, K));
    pack_left(left, Source<S>{a, a_stride}, Layout::normal, whole, c.rows - whole, 0, K);
    multiply_panels<S>(c.part(whole, 0), left, right, right_depth, columns, K, add);
}

// c (M,N) (+)= a·b on the calling thread, in panels of I. For products too small to share, such as attention's blocks.
template <class I, class T>
void multiply(ItemSum<I>* c, Size stride, const Source<T>& a, Layout layout_a, const Source<T>& b, Layout layout_b, Size M, Size N, Size K,
              bool add) {
    if (K == 0 && !add) {
        for (Size i = 0; i < M; ++i) std::fill_n(c + i * stride, N, ItemSum<I>(0));
    }
    Size block = depth_of_blocks(K);
    for (Size k = 0; k < K; k += block) {
        Size depth = std::min(block, K - k);
        I* right = arena<1, I>(right_elements<I>(N, depth));
        pack_right(right, b, layout_b, 0, N, k, depth);
        for (Size first = 0; first < M; first += kBandRows) {
            Size rows = std::min(kBandRows, M - first);
            I* left = arena<0, I>(left_elements<I>(rows, depth));
            pack_left(left, a, layout_a, first, rows, k, depth);
            multiply_panels<I>({c + first * stride, stride, rows}, left, right, depth, N, depth, add || k > 0);
        }
    }
}

}  // namespace engine::kernels::tile::inline ENGINE_DEVICE
