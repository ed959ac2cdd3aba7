#pragma once
#include "engine/base/dtype.h"
#include "engine/base/here.h"

namespace engine::kernels::inline ENGINE_DEVICE {

inline constexpr Size kSumLanes = 16;

// Σ term(i), i < n, in sixteen interleaved sums that are then folded: one order for every instruction set, and vector code.
template <class S, class Term>
inline S sum_lanes(Size n, Term&& term) {
    S lane[kSumLanes] = {};
    Size i = 0;
    for (; i + kSumLanes <= n; i += kSumLanes) {
        for (Size l = 0; l < kSumLanes; ++l) lane[l] += term(i + l);
    }
    for (Size l = 0; i + l < n; ++l) lane[l] += term(i + l);
    for (Size width = kSumLanes / 2; width > 0; width /= 2) {
        for (Size l = 0; l < width; ++l) lane[l] += lane[l + width];
    }
    return lane[0];
}

// Two such sums in one pass; for each i the first term is evaluated before the second.
template <class S, class First, class Second>
inline void sum_two_lanes(Size n, S& first_sum, S& second_sum, First&& first, Second&& second) {
    S a[kSumLanes] = {}, b[kSumLanes] = {};
    Size i = 0;
    for (; i + kSumLanes <= n; i += kSumLanes) {
        for (Size l = 0; l < kSumLanes; ++l) {
            a[l] += first(i + l);
            b[l] += second(i + l);
        }
    }
    for (Size l = 0; i + l < n; ++l) {
        a[l] += first(i + l);
        b[l] += second(i + l);
    }
    for (Size width = kSumLanes / 2; width > 0; width /= 2) {
        for (Size l = 0; l < width; ++l) {
            a[l] += a[l + width];
            b[l] += b[l + width];
        }
    }
    first_sum = a[0];
    second_sum = b[0];
}

// max row[i], i < n; −infinity of nothing. A NaN counts where it meets no larger value.
template <class S>
inline S max_lanes(const S* row, Size n) {
    // As a vector: GCC turns the same loop over an array into scalar code.
    typedef S Lanes __attribute__((vector_size(kSumLanes * sizeof(S)), aligned(alignof(S))));
    Lanes most = Lanes{} - static_cast<S>(__builtin_inf());
    Size i = 0;
    for (; i + kSumLanes <= n; i += kSumLanes) {
        Lanes values;
        __builtin_memcpy(&values, row + i, sizeof values);
        most = values > most ? values : most;
    }
    S lane[kSumLanes];
    __builtin_memcpy(lane, &most, sizeof lane);
    for (Size l = 0; i + l < n; ++l) lane[l] = row[i + l] > lane[l] ? row[i + l] : lane[l];
    for (Size width = kSumLanes / 2; width > 0; width /= 2) {
        for (Size l = 0; l < width; ++l) lane[l] = lane[l + width] > lane[l] ? lane[l + width] : lane[l];
    }
    return lane[0];
}

}  // namespace engine::kernels::inline ENGINE_DEVICE
