#pragma once
// What both kinds of attention share on the CPU: products of a block of queries with packed keys or values, and the softmax of its scores.
#include "engine/kernels/lanes.h"
#include "engine/kernels/tile/panels.h"
#include "engine/kernels/vector_math.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace engine::kernels::inline ENGINE_DEVICE {

inline constexpr Size kQueryBlock = 4 * tile::kTileRows;

template <class S>
Size right_panel_elements(Size columns, Size depth) {
    return tile::panels(columns, tile::kTileColumns<S>) * tile::kTileColumns<S> * depth + 64;
}

// A task's packed operands and working rows, one after another in its thread's arena; each starts a cache line.
template <class S>
class Buffers {
  public:
    // Room for `count` buffers of `elements` elements in all.
    Buffers(Size elements, Size count) : next_(tile::arena<3, S>(elements + count * 16)) {}
    S* take(Size count) {
        S* result = next_;
        next_ += (count + 15) / 16 * 16;
        return result;
    }

  private:
    S* next_;
};

// c (M,N) += aᵀ·b with a (K,M) of row stride a_stride and b (K,N) dense.
template <class S>
void add_transposed_product(S* c, Size stride, const S* a, Size a_stride, const S* b, Size M, Size N, Size K) {
    tile::multiply<S>(c, stride, tile::Source<S>{a, a_stride}, Layout::transposed, tile::Source<S>{b, N}, Layout::normal, M, N, K, true);
}

// e^{scale·row[j] − most} in place of row[0..seen), most = max_j scale·row[j]. The caller divides by the sum, after its product with the
// values: there are fewer of those. Up to 15 elements beyond `seen` become 0.
template <class S>
struct Softmax {
    S most, sum;
    S log_sum_exp() const { return most + std::log(sum); }
};
template <class S>
Softmax<S> exponentials(S* row, Size seen, S scale) {
    for (Size j = 0; j < seen; ++j) row[j] *= scale;
    // Whole lanes: a loop over what is left would take as long as all the rest.
    Size whole = (seen + kSumLanes - 1) / kSumLanes * kSumLanes;
    std::fill(row + seen, row + whole, -std::numeric_limits<S>::infinity());
    S most = max_lanes(row, whole);
    return {most, sum_lanes<S>(whole, [&](Size j) { return row[j] = exp_of_at_most_88(row[j] - most); })};
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
