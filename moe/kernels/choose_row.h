#pragma once
// One row's choice and its gradient: the same code on every device.
#include "engine/base/here.h"
#include "engine/base/philox.h"
#include "moe/kernels/choose.h"

#include <cmath>

namespace moe::kernels::inline ENGINE_DEVICE {

struct DropTest {
    std::uint64_t seed, step, row;
    std::uint32_t site, threshold;
    ENGINE_BOTH bool operator()(Size e, Size E) const {
        return threshold != 0 &&
               engine::random_bits(seed, step, site, row * static_cast<std::uint64_t>(E) + static_cast<std::uint64_t>(e)) < threshold;
    }
};

template <class S>
ENGINE_BOTH inline S largest(const S* z, Size E) {
    S most = z[0];
    for (Size e = 1; e < E; ++e) most = z[e] > most ? z[e] : most;
    return most;
}

template <class S>
ENGINE_BOTH inline void choose_row(std::int32_t* ids, S* gates, const S* z, Size E, Size K, Gate gate, const DropTest& dropped) {
    // The next largest after (score, index) of the last one taken; first among those not dropped, then among the dropped.
    Size taken = 0;
    for (int pass = 0; pass < 2 && taken < K; ++pass) {
        Size last = -1;
        while (taken < K) {
            Size best = -1;
            for (Size e = 0; e < E; ++e) {
                if (dropped(e, E) != (pass == 1)) continue;
                bool after = last < 0 || z[e] < z[last] || (z[e] == z[last] && e > last);
                if (after && (best < 0 || z[e] > z[best])) best = e;
            }
            if (best < 0) break;
            ids[taken] = static_cast<std::int32_t>(best);
            gates[taken] = pass == 0 ? S(1) : S(0);
            last = best;
            ++taken;
        }
    }
    // A row of NaN orders nothing: the lowest experts, so that the NaN shows in the result and not as a bad index.
    for (; taken < K; ++taken) {
        ids[taken] = static_cast<std::int32_t>(taken);
        gates[taken] = z[taken];
    }
    if (gate == Gate::one) return;
    if (gate == Gate::sigmoid) {
        for (Size k = 0; k < K; ++k) gates[k] *= S(1) / (S(1) + std::exp(-z[ids[k]]));
        return;
    }
    S most = largest(z, E), sum = 0;
    if (gate == Gate::softmax_all) {
        for (Size e = 0; e < E; ++e) sum += std::exp(z[e] - most);
    } else {
        most = z[ids[0]];
        for (Size k = 0; k < K; ++k) sum += std::exp(z[ids[k]] - most);
    }
    for (Size k = 0; k < K; ++k) gates[k] *= std::exp(z[ids[k]] - most) / sum;
}

template <class S>
ENGINE_BOTH inline void choose_row_backward(S* dz, const S* dgates, const std::int32_t* ids, const S* gates, const S* z, Size E, Size K,
                                            Gate gate) {
    S mean = 0;
    for (Size k = 0; k < K; ++k) mean += dgates[k] * gates[k];
    S most = gate == Gate::softmax_all ? largest(z, E) : S(0), sum = 0;
    if (gate == Gate::softmax_all) {
        for (Size e = 0; e < E; ++e) sum += std::exp(z[e] - most);
    }
    for (Size e = 0; e < E; ++e) dz[e] = gate == Gate::softmax_all ? -std::exp(z[e] - most) / sum * mean : S(0);
    for (Size k = 0; k < K; ++k) {
        S g = gates[k];
        if (gate == Gate::sigmoid) dz[ids[k]] += dgates[k] * g * (S(1) - g);
        if (gate == Gate::softmax_all) dz[ids[k]] += dgates[k] * g;
        if (gate == Gate::softmax_chosen) dz[ids[k]] += g * (dgates[k] - mean);
    }
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
