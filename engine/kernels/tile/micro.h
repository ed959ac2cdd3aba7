#pragma once
// The innermost loop of every product: a block of kTileRows × kTileColumns sums held in registers.
#include "engine/kernels/tile/vector.h"

namespace engine::kernels::tile::inline ENGINE_DEVICE {

#if defined(__AVX512F__)
inline constexpr int kTileRows = 14;
inline constexpr int kTileVectors = 2;
#elif defined(__AVX2__)
inline constexpr int kTileRows = 6;
inline constexpr int kTileVectors = 2;
#else
inline constexpr int kTileRows = 4;
inline constexpr int kTileVectors = 2;
#endif
template <class S>
inline constexpr int kTileColumns = kTileVectors* kLanes<S>;

// c[i][j] = (start from c or 0) + Σ_k a[k·kTileRows + i] · b[k·kTileColumns + j], k in order.
// a, b: packed panels. Only the first `rows` × `columns` of c are touched; the arithmetic is that of the whole tile.
template <class S>
inline void micro(Size K, const S* a, const S* b, S* c, Size stride, bool add, int rows, int columns) {
    constexpr int kWidth = kLanes<S>;
    alignas(64) S edge[kTileRows * kTileColumns<S>];
    bool whole = rows == kTileRows && columns == kTileColumns<S>;
    S* target = c;
    Size target_stride = stride;
    if (!whole) {
        target = edge;
        target_stride = kTileColumns<S>;
        if (add) {
            for (int i = 0; i < kTileRows; ++i) {
                for (int j = 0; j < kTileColumns<S>; ++j)
                    edge[i * kTileColumns<S> + j] = i < rows && j < columns ? c[i * stride + j] : S(0);
            }
        }
    }
    Vector<S> sums[kTileRows][kTileVectors];
    for (int i = 0; i < kTileRows; ++i) {
        for (int v = 0; v < kTileVectors; ++v) sums[i][v] = add ? load_vector(target + i * target_stride + v * kWidth) : Vector<S>{};
    }
    for (Size k = 0; k < K; ++k) {
        Vector<S> row[kTileVectors];
        for (int v = 0; v < kTileVectors; ++v) row[v] = load_vector(b + k * kTileColumns<S> + v * kWidth);
#pragma GCC unroll 16
        for (int i = 0; i < kTileRows; ++i) {
            Vector<S> factor = broadcast(a[k * kTileRows + i]);
#pragma GCC unroll 4
            for (int v = 0; v < kTileVectors; ++v) sums[i][v] = multiply_add(factor, row[v], sums[i][v]);
        }
    }
    for (int i = 0; i < kTileRows; ++i) {
        for (int v = 0; v < kTileVectors; ++v) store_vector(target + i * target_stride + v * kWidth, sums[i][v]);
    }
    if (!whole) {
        for (int i = 0; i < rows; ++i) {
            for (int j = 0; j < columns; ++j) c[i * stride + j] = edge[i * kTileColumns<S> + j];
        }
    }
}

}  // namespace engine::kernels::tile::inline ENGINE_DEVICE
