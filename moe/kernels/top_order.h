#pragma once
// In which order scores stand, on every device: dropped ones last, then falling values, then rising indices. NaN stands as −∞.
#include "engine/base/here.h"
#include "engine/base/philox.h"
#include "moe/kernels/top_ids.h"

namespace moe::kernels::inline ENGINE_DEVICE {

template <class S>
ENGINE_BOTH inline S rankable(S value) {
    return value == value ? value : -static_cast<S>(__builtin_inf());
}

template <class S>
struct RankedScore {
    S value;
    std::int32_t index;  // −1: none, stands behind everything
    std::int32_t dropped;
};

template <class S>
ENGINE_BOTH inline bool stands_before(const RankedScore<S>& a, const RankedScore<S>& b) {
    if (a.index < 0 || b.index < 0) return b.index < 0 && a.index >= 0;
    if (a.dropped != b.dropped) return a.dropped < b.dropped;
    return a.value != b.value ? a.value > b.value : a.index < b.index;
}

struct DropTest {
    std::uint64_t seed, step, row;
    std::uint32_t site, threshold;
    ENGINE_BOTH bool operator()(Size e, Size E) const {
        return threshold != 0 &&
               engine::random_bits(seed, step, site, row * static_cast<std::uint64_t>(E) + static_cast<std::uint64_t>(e)) < threshold;
    }
};

}  // namespace moe::kernels::inline ENGINE_DEVICE
