#pragma once
// What both kinds of attention share on the CPU: products of a block of queries with packed keys or values, and the softmax of its scores.
#include "engine/kernels/lanes.h"
#include "engine/kernels/tile/panels.h"
#include "engine/kernels/vector_math.h"

#include <algorithm>
#include <cmath>

namespace engine::kernels::inline ENGINE_DEVICE {

inline constexpr Size kQueryBlock = 4 * tile::kTileRows;

template <class S>
Size right_panel_elements(Size columns, Size depth) {
    return tile::panels(columns, tile::kTileColumns<S>) * tile::kTileColumns<S> * depth + 64;
}

// A dense left operand (rows, K) times a packed right one, whose panels have depth `right_depth`; columns from `first_column`, a multiple
// of the panel's width.
template <class S>
void multiply_dense(S* c, Size stride, const S* a, Size a_stride, const S* right, Size right_depth, Size first_column, Size rows,
                    Size columns, Size K, bool add) {
    S* left = tile::arena<0, S>(tile::left_elements<S>(rows, K));
    tile::pack_left(left, tile::Source<S>{a, a_stride}, Layout::normal, 0, rows, 0, K);
    tile::multiply_panels<S>({c, stride, rows}, left, right + first_column * right_depth, right_depth, columns, K, add);
}

// c (M,N) += aᵀ·b with a (K,M) of row stride a_stride and b (K,N) dense.
template <class S>
void add_transposed_product(S* c, Size stride, const S* a, Size a_stride, const S* b, Size M, Size N, Size K) {
    tile::multiply<S>(c, stride, tile::Source<S>{a, a_stride}, Layout::transposed, tile::Source<S>{b, N}, Layout::normal, M, N, K, true);
}

// The softmax of scale·row[0..seen) in place; returns its log-sum-exp.
template <class S>
S softmax_row(S* row, Size seen, S scale) {
    for (Size j = 0; j < seen; ++j) row[j] *= scale;
    S most = max_lanes<S>(seen, [&](Size j) { return row[j]; });
    for (Size j = 0; j < seen; ++j) row[j] = exp_of(row[j] - most);
    S sum = sum_lanes<S>(seen, [&](Size j) { return row[j]; });
    S share = S(1) / sum;
    for (Size j = 0; j < seen; ++j) row[j] *= share;
    return most + std::log(sum);
}

// Dense rows of sums (rows, columns) between a block and a head's columns.
template <class T>
void read_rows(Sum<T>* to, Rows<const T> from, Size first_row, Size column, Size rows, Size columns) {
    for (Size i = 0; i < rows; ++i) {
        const T* in = from.row(first_row + i) + column;
        for (Size c = 0; c < columns; ++c) to[i * columns + c] = load(in[c]);
    }
}
template <class T>
void write_rows(Rows<T> to, Size first_row, Size column, const Sum<T>* from, Size rows, Size columns, bool add) {
    for (Size i = 0; i < rows; ++i) {
        T* out = to.row(first_row + i) + column;
        for (Size c = 0; c < columns; ++c) out[c] = store<T>((add ? load(out[c]) : Sum<T>(0)) + from[i * columns + c]);
    }
}

}  // namespace engine::kernels::inline ENGINE_DEVICE
