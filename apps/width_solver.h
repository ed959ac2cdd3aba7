#pragma once
#include "nn/options.h"

#include <functional>

namespace apps {

using nn::Size;

struct Width {
    Size width = 0;
    double amount = 0;
};

// Of the multiples of `multiple` the width whose amount (parameters, FLOPs) is nearest to `target`, ties to the narrower one. The amount
// must not fall as the width rises; `amount_at` throws engine::Error for a width that cannot be built. Where none can, the first of these
// errors is thrown. Takes about 2·log₂(width) calls.
Width nearest_width(double target, Size multiple, const std::function<double(Size)>& amount_at);

}  // namespace apps
