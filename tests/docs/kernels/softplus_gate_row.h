#pragma once
// One row of the softplus gate: the same code on every device.
#include "engine/base/here.h"
#include "tests/docs/kernels/softplus_gate.h"

#include <cmath>

namespace walk::inline ENGINE_DEVICE {

template <class S>
ENGINE_BOTH inline void softplus_row(S* gates, const S* z, const std::int32_t* ids, Size K) {
    for (Size k = 0; k < K; ++k) {
        S logit = z[ids[k]], size = logit < 0 ? -logit : logit;
        gates[k] = (logit > 0 ? logit : S(0)) + std::log(S(1) + std::exp(-size));  // never exp of something large
    }
}

template <class S>
ENGINE_BOTH inline void softplus_row_backward(S* dz, const S* dgates, const S* z, const std::int32_t* ids, Size E, Size K) {
    for (Size e = 0; e < E; ++e) dz[e] = 0;
    for (Size k = 0; k < K; ++k) dz[ids[k]] += dgates[k] / (S(1) + std::exp(-z[ids[k]]));
}

}  // namespace walk::inline ENGINE_DEVICE
