#pragma once
// One element of batch norm, the same operations on every device.
#include "engine/base/here.h"
#include "moe/kernels/batch_norm.h"

#include <cmath>

namespace moe::kernels::inline ENGINE_DEVICE {

// The aligned tree over leaves [first, last) of one column.
template <class S>
ENGINE_BOTH inline S column_tree(Rows<const S> leaves, Size column, Size first, Size last) {
    if (last - first == 1) return leaves(first, column);
    Size half = 1;
    while (half * 2 < last - first) half *= 2;
    S left = column_tree(leaves, column, first, first + half);
    return left + column_tree(leaves, column, first + half, last);
}

template <class S>
ENGINE_BOTH inline S running_average(S old, S now) {
    return S(0.9) * old + S(0.1) * now;
}

template <class S>
ENGINE_BOTH inline S normalised_gradient(S dy, S x, S m, S r, S w, S mean_dy, S mean_dyx) {
    return r * w * (dy - mean_dy - (x - m) * r * mean_dyx);
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
