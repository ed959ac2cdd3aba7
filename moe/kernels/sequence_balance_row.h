#pragma once
#include "engine/base/here.h"
#include "moe/kernels/gate_row.h"
#include "moe/kernels/sequence_balance.h"

namespace moe::kernels::inline ENGINE_DEVICE {

// r_e of one row: the score over the row's sum of scores.
template <class S>
struct ShareRow {
    const S* z;
    Score score;
    S most = 0, sum = 0;

    ENGINE_BOTH ShareRow(const S* z_, Size E, Score score_) : z(z_), score(score_) {
        if (score == Score::softmax) most = largest(z, E);
        for (Size e = 0; e < E; ++e) sum += raw(e);
    }
    ENGINE_BOTH S raw(Size e) const { return score == Score::softmax ? std::exp(z[e] - most) : logistic(z[e]); }
    ENGINE_BOTH S share(Size e) const { return raw(e) / sum; }
};

// f = factor·counts.
template <class S>
ENGINE_BOTH inline void sequence_row_backward(S* dz, bool add, const S* z, const S* counts, Size E, Score score, S factor) {
    ShareRow<S> row(z, E, score);
    S mean = 0;
    for (Size e = 0; e < E; ++e) mean += row.share(e) * counts[e];
    for (Size e = 0; e < E; ++e) {
        S slope = score == Score::softmax ? S(1) : S(1) - logistic(z[e]);
        dz[e] = (add ? dz[e] : S(0)) + factor * row.share(e) * slope * (counts[e] - mean);
    }
}

template <class S>
ENGINE_BOTH inline S loss_of_sequence(const S* sums, Size E, Size K, Size T) {
    S sum = 0;
    for (Size e = 0; e < E; ++e) sum += sums[e] * sums[E + e];
    return sum * static_cast<S>(E) / (static_cast<S>(K) * static_cast<S>(T) * static_cast<S>(T));
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
