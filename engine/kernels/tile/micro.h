#pragma once
// The innermost loop of every product: a block of kTileRows × kTileColumns sums held in registers.
#include "engine/kernels/tile/item.h"

namespace engine::kernels::tile::inline ENGINE_DEVICE {

#if defined(__AVX512F__)
inline constexpr int kTileRows = 14;
#elif defined(__AVX2__)
inline constexpr int kTileRows = 6;
#else
inline constexpr int kTileRows = 4;
#endif
inline constexpr int kTileVectors = 2;
template <class I>
inline constexpr int kTileColumns = kTileVectors* kLanes<I>;

// Where a product's rows go: one after another, or each to the place that `index` names. `rows`: how many there are.
template <class S>
struct Target {
    S* data;
    Size stride;
    Size rows;
    const std::int32_t* index = nullptr;

    S* row(Size i) const { return data + (index != nullptr ? static_cast<Size>(index[i]) : i) * stride; }
    Target part(Size first, Size column) const {
        return {index != nullptr ? data + column : data + first * stride + column, stride, rows - first,
                index != nullptr ? index + first : nullptr};
    }
};

// A tile's left operand: a packed panel, item k of all rows side by side …
template <class I>
struct PanelLeft {
    const I* at;
    I item(int row) const { return at[row]; }
    void next() { at += kTileRows; }
};
// … or rows where they lie, k along them. As fast while they are in the second-level cache, and nothing is packed; three rows share a
// pointer, so that all fit the registers.
template <class S>
struct RowsLeft {
    const S* at[(kTileRows + 2) / 3];
    Size stride;
    RowsLeft(const S* rows, Size stride_) : stride(stride_) {
        for (int i = 0; i < (kTileRows + 2) / 3; ++i) at[i] = rows + 3 * i * stride;
    }
    S item(int row) const { return at[row / 3][row % 3 * stride]; }
    void next() {
        for (const S*& pointer : at) ++pointer;
    }
};

// What becomes of a target's old values: they go; a sum starts from them; or it starts from 0 and is added to them at its end.
enum class Add { no, before, after };

// c[i][j] (+)= Σ_k a[i,k] · b[k·kTileColumns + j] over `count` items k, in order.
// b: a packed panel, of whose columns the first kVectors·kLanes take part. Only the first c.rows × `columns` of c are touched; the
// arithmetic is that of the whole tile.
template <int kVectors, class I, class Left>
inline void micro(Size count, Left a, const I* b, Target<ItemSum<I>> c, Add add, Size columns) {
    using S = ItemSum<I>;
    constexpr int kWidth = kLanes<S>;
    bool whole = c.rows >= kTileRows && columns >= kVectors * kWidth;
    Vector<S> sums[kTileRows][kVectors];
    if (add != Add::before) {
        for (int i = 0; i < kTileRows; ++i) {
            for (int v = 0; v < kVectors; ++v) sums[i][v] = Vector<S>{};
        }
    } else if (whole) {
        for (int i = 0; i < kTileRows; ++i) {
            for (int v = 0; v < kVectors; ++v) sums[i][v] = load_vector(c.row(i) + v * kWidth);
        }
        // The tile below is next: its sums arrive while this one's are formed.
        for (Size i = kTileRows; i < 2 * kTileRows && i < c.rows; ++i) {
            for (int v = 0; v < kVectors; ++v) __builtin_prefetch(c.row(i) + v * kWidth, 1);
        }
    } else {
        for (int i = 0; i < kTileRows; ++i) {
            for (int v = 0; v < kVectors; ++v)
                sums[i][v] = i < c.rows ? load_part(c.row(i) + v * kWidth, columns - v * kWidth) : Vector<S>{};
        }
    }
    for (Size k = 0; k < count; ++k) {
        Vector<S> row[kVectors];
        for (int v = 0; v < kVectors; ++v) row[v] = load_items(b + k * kTileColumns<I> + v * kWidth);
#pragma GCC unroll 16
        for (int i = 0; i < kTileRows; ++i) {
            Vector<S> factor = broadcast(a.item(i));
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) sums[i][v] = multiply_add_items<I>(factor, row[v], sums[i][v]);
        }
        a.next();
    }
    if (whole && add == Add::after) {
        for (int i = 0; i < kTileRows; ++i) {
            for (int v = 0; v < kVectors; ++v) store_vector(c.row(i) + v * kWidth, load_vector(c.row(i) + v * kWidth) + sums[i][v]);
        }
        return;
    }
    if (whole) {
        for (int i = 0; i < kTileRows; ++i) {
            for (int v = 0; v < kVectors; ++v) store_vector(c.row(i) + v * kWidth, sums[i][v]);
        }
        return;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kTileRows; ++i) {
        if (i >= c.rows) break;
        for (int v = 0; v < kVectors; ++v) {
            if (add == Add::after) sums[i][v] = load_part(c.row(i) + v * kWidth, columns - v * kWidth) + sums[i][v];
            store_part(c.row(i) + v * kWidth, sums[i][v], columns - v * kWidth);
        }
    }
}

}  // namespace engine::kernels::tile::inline ENGINE_DEVICE
