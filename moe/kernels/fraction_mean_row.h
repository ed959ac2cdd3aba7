#pragma once
#include "engine/base/here.h"
#include "moe/kernels/fraction_mean.h"

#include <cmath>

namespace moe::kernels::inline ENGINE_DEVICE {

template <class S>
ENGINE_BOTH inline void fraction_row_backward(S* dz, bool add, const S* z, S lse, const S* f, Size E, S scale) {
    S mean = 0;
    for (Size e = 0; e < E; ++e) mean += std::exp(z[e] - lse) * f[e];
    for (Size e = 0; e < E; ++e) dz[e] = (add ? dz[e] : S(0)) + scale * std::exp(z[e] - lse) * (f[e] - mean);
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
