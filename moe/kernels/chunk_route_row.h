#pragma once
// One chunk's choice, the same code on every device.
#include "engine/base/here.h"
#include "moe/kernels/chunk_route.h"

#include <cmath>

namespace moe::kernels::inline ENGINE_DEVICE {

// Mean of a column of z over the first `prefix` rows of a sequence.
template <class T>
ENGINE_BOTH inline Sum<T> prefix_mean(Rows<const T> z, Size row, Size column, Size prefix) {
    Sum<T> sum = 0;
    for (Size t = 0; t < prefix; ++t) sum += engine::load(z(row + t, column));
    return sum / static_cast<Sum<T>>(prefix);
}

// mean · column e of w.
template <class T>
ENGINE_BOTH inline Sum<T> chunk_logit(const Sum<T>* mean, Rows<const T> w, Size e) {
    Sum<T> sum = 0;
    for (Size f = 0; f < w.rows; ++f) sum += mean[f] * engine::load(w(f, e));
    return sum;
}

// Logits become probabilities in place; returns the first of the largest logits. NaN stands behind everything.
template <class S>
ENGINE_BOTH inline std::int32_t softmax_choice(S* logits, Size E) {
    Size best = 0;
    for (Size e = 1; e < E; ++e) best = logits[e] > logits[best] || logits[best] != logits[best] ? e : best;
    S most = logits[best], sum = 0;
    for (Size e = 0; e < E; ++e) sum += logits[e] = std::exp(logits[e] - most);
    for (Size e = 0; e < E; ++e) logits[e] /= sum;
    return static_cast<std::int32_t>(best);
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
