#pragma once
// The gates of one group: the same code on every device, but for the exponential function.
#include "engine/base/here.h"
#include "moe/kernels/key_gates.h"

namespace moe::kernels::inline ENGINE_DEVICE {

template <class S, class Exp>
ENGINE_BOTH inline void group_gates(S* gates, const S* scores, Size group, KeyGate kind, Exp exp) {
    if (kind == KeyGate::relu) {
        for (Size k = 0; k < group; ++k) gates[k] = scores[k] > S(0) ? scores[k] : scores[k] == scores[k] ? S(0) : scores[k];
        return;
    }
    if (kind == KeyGate::sigmoid) {
        for (Size k = 0; k < group; ++k) gates[k] = S(1) / (S(1) + exp(-scores[k]));
        return;
    }
    S most = scores[0], sum = 0;
    for (Size k = 1; k < group; ++k) most = scores[k] > most ? scores[k] : most;
    for (Size k = 0; k < group; ++k) gates[k] = exp(scores[k] - most);
    for (Size k = 0; k < group; ++k) sum += gates[k];
    S scale = S(1) / sum;
    for (Size k = 0; k < group; ++k) gates[k] *= scale;
}

template <class S>
ENGINE_BOTH inline void group_gates_backward(S* dscores, const S* dgates, const S* gates, Size group, KeyGate kind) {
    S mean = 0;
    if (kind == KeyGate::softmax) {
        for (Size k = 0; k < group; ++k) mean += gates[k] * dgates[k];
    }
    for (Size k = 0; k < group; ++k) {
        S g = gates[k];
        dscores[k] = kind == KeyGate::relu      ? (g > S(0) ? dgates[k] : S(0))
                     : kind == KeyGate::sigmoid ? dgates[k] * g * (S(1) - g)
                                                : g * (dgates[k] - mean);
    }
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
