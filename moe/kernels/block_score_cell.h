#pragma once
#include "engine/base/here.h"
#include "engine/kernels/activation_functions.h"
#include "moe/kernels/block_score.h"

namespace moe::kernels::inline ENGINE_DEVICE {

template <class S>
ENGINE_BOTH inline S score_of_block(const S* h, Size G, Reduce reduce, engine::kernels::Activation activation) {
    S sum = 0;
    for (Size g = 0; g < G; ++g) {
        S value = engine::kernels::activate(activation, h[g]);
        sum += reduce == Reduce::mean_abs && value < S(0) ? -value : value;
    }
    return reduce == Reduce::sum ? sum : sum / static_cast<S>(G);
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
