#pragma once
#include "engine/base/here.h"
#include "moe/kernels/entropy.h"
#include "moe/kernels/gate_row.h"

#include <cmath>

namespace moe::kernels::inline ENGINE_DEVICE {

template <class S>
ENGINE_BOTH inline S log_sum_exp(const S* z, Size E) {
    S most = largest(z, E), sum = 0;
    for (Size e = 0; e < E; ++e) sum += std::exp(z[e] - most);
    return most + std::log(sum);
}

// (most, sum) of two sets of values: their log-sum-exp in parts. A set with sum 0 is empty.
template <class S>
ENGINE_BOTH inline void merge(S& most, S& sum, S other_most, S other_sum) {
    if (other_sum == S(0)) return;
    if (sum == S(0)) {
        most = other_most;
        sum = other_sum;
        return;
    }
    S larger = most > other_most ? most : other_most;
    sum = sum * std::exp(most - larger) + other_sum * std::exp(other_most - larger);
    most = larger;
}

// The aligned tree over leaves [first, last) of one expert.
template <class S>
ENGINE_BOTH inline void merge_tree(Rows<const S> leaves, Size E, Size e, Size first, Size last, S& most, S& sum) {
    if (last - first == 1) {
        most = leaves(first, e);
        sum = leaves(first, E + e);
        return;
    }
    Size half = 1;
    while (half * 2 < last - first) half *= 2;
    S other_most, other_sum;
    merge_tree(leaves, E, e, first, first + half, most, sum);
    merge_tree(leaves, E, e, first + half, last, other_most, other_sum);
    merge(most, sum, other_most, other_sum);
}

template <class S>
ENGINE_BOTH inline void entropy_row_backward(S* dz, bool add, const S* z, const S* log_p, Size E, S scale) {
    S lse = log_sum_exp(z, E), mean = 0;
    for (Size e = 0; e < E; ++e) mean += std::exp(z[e] - lse) * log_p[e];
    for (Size e = 0; e < E; ++e) dz[e] = (add ? dz[e] : S(0)) + scale * std::exp(z[e] - lse) * (log_p[e] - mean);
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
