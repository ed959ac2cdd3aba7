#pragma once
// One element of batch norm, the same operations on every device.
#include "engine/base/here.h"
#include "moe/kernels/batch_norm.h"

#include <cmath>

namespace moe::kernels::inline ENGINE_DEVICE {

template <class S>
ENGINE_BOTH inline S running_average(S old, S now) {
    return S(0.9) * old + S(0.1) * now;
}

template <class S>
ENGINE_BOTH inline S normalised_gradient(S dy, S x, S m, S r, S w, S mean_dy, S mean_dyx) {
    return r * w * (dy - mean_dy - (x - m) * r * mean_dyx);
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
