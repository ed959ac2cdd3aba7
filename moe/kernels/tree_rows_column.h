#pragma once
#include "engine/base/here.h"
#include "moe/kernels/tree_rows.h"

namespace moe::kernels::inline ENGINE_DEVICE {

// The aligned tree over rows [first, last) of one column: the left half is the largest power of two below the count.
template <class S>
ENGINE_BOTH inline S tree_column(Rows<const S> x, Size column, Size first, Size last) {
    if (last - first == 1) return x(first, column);
    Size half = 1;
    while (half * 2 < last - first) half *= 2;
    return tree_column(x, column, first, first + half) + tree_column(x, column, first + half, last);
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
