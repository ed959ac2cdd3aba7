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

// max term(i), i < n; −infinity of nothing.
template <class S, class Term>
inline S max_lanes(Size n, Term&& term) {
    S lane[kSumLanes];
    for (S& value : lane) value = -static_cast<S>(__builtin_inf());
    Size i = 0;
    for (; i + kSumLanes <= n; i += kSumLanes) {
        for (Size l = 0; l < kSumLanes; ++l) {
            S value = term(i + l);
            lane[l] = value > lane[l] ? value : lane[l];
        }
    }
    for (Size l = 0; i + l < n; ++l) {
        S value = term(i + l);
        lane[l] = value > lane[l] ? value : lane[l];
    }
    S result = lane[0];
    for (Size l = 1; l < kSumLanes; ++l) result = lane[l] > result ? lane[l] : result;
    return result;
}

}  // namespace engine::kernels::inline ENGINE_DEVICE
