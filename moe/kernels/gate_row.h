#pragma once
// One row's gates and their gradient: the same code on every device.
#include "engine/base/here.h"
#include "moe/kernels/gates.h"

#include <cmath>

namespace moe::kernels::inline ENGINE_DEVICE {

template <class S>
ENGINE_BOTH inline S logistic(S z) {
    return S(1) / (S(1) + std::exp(-z));
}

template <class S>
ENGINE_BOTH inline S largest(const S* z, Size E) {
    S most = z[0];
    for (Size e = 1; e < E; ++e) most = z[e] > most ? z[e] : most;
    return most;
}

// The row's gates before scale: value(k), and what they are divided by.
template <class S>
struct RowGates {
    const S* z;
    const std::int32_t* ids;
    const std::int32_t* kept;
    Size E, K;
    GateRule rule;
    S most = 0, sum = 1;

    ENGINE_BOTH RowGates(const S* z_, const std::int32_t* ids_, const std::int32_t* kept_, Size E_, Size K_, GateRule rule_)
        : z(z_), ids(ids_), kept(kept_), E(E_), K(K_), rule(rule_) {
        if (rule.gate == Gate::softmax_all) {
            most = largest(z, E);
            sum = 0;
            for (Size e = 0; e < E; ++e) sum += std::exp(z[e] - most);
        } else if (rule.gate == Gate::softmax_chosen) {
            bool found = false;
            for (Size k = 0; k < K; ++k) {
                if (!divides(k)) continue;
                most = found && !(z[ids[k]] > most) ? most : z[ids[k]];
                found = true;
            }
            sum = 0;
            for (Size k = 0; k < K; ++k) sum += divides(k) ? std::exp(z[ids[k]] - most) : S(0);
        } else if (rule.gate == Gate::sigmoid_chosen) {
            sum = 0;
            for (Size k = 0; k < K; ++k) sum += logistic(z[ids[k]]);
        }
    }
    // Choice k is a summand of the divisor.
    ENGINE_BOTH bool divides(Size k) const { return !rule.over_kept || kept[k] >= 0; }
    ENGINE_BOTH S value(Size k) const {
        S logit = rule.gate == Gate::one ? S(0) : z[ids[k]];
        switch (rule.gate) {
            case Gate::one:
                return S(1);
            case Gate::raw:
                return logit;
            case Gate::sigmoid:
                return logistic(logit);
            case Gate::sigmoid_chosen:
                return logistic(logit) / sum;
            case Gate::softmax_all:
            case Gate::softmax_chosen:
                return std::exp(logit - most) / sum;
        }
        return S(0);
    }
};

template <class S>
ENGINE_BOTH inline void gate_row(S* gates, const RowGates<S>& row) {
    for (Size k = 0; k < row.K; ++k) gates[k] = row.kept[k] >= 0 ? static_cast<S>(row.rule.scale) * row.value(k) : S(0);
}

template <class S>
ENGINE_BOTH inline void gate_row_backward(S* dz, const S* dgates, const RowGates<S>& row) {
    Gate gate = row.rule.gate;
    S scale = static_cast<S>(row.rule.scale), mean = 0;
    for (Size k = 0; k < row.K; ++k) mean += row.kept[k] >= 0 ? dgates[k] * row.value(k) : S(0);
    for (Size e = 0; e < row.E; ++e) dz[e] = gate == Gate::softmax_all ? -scale * mean * (std::exp(row.z[e] - row.most) / row.sum) : S(0);
    for (Size k = 0; k < row.K; ++k) {
        bool kept = row.kept[k] >= 0;
        S g = row.value(k), dg = kept ? dgates[k] : S(0), d = 0;
        if (gate == Gate::raw) d = dg;
        if (gate == Gate::sigmoid) d = dg * g * (S(1) - g);
        if (gate == Gate::softmax_all) d = dg * g;
        if (gate == Gate::softmax_chosen && row.divides(k)) d = g * (dg - mean);
        if (gate == Gate::sigmoid_chosen) d = g * (S(1) - logistic(row.z[row.ids[k]])) * (dg - mean);
        dz[row.ids[k]] += scale * d;
    }
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
