#pragma once
// The numbers of the auction: the same on every device.
#include "engine/base/here.h"
#include "moe/kernels/balanced_assignment.h"

#include <cmath>

namespace moe::kernels::inline ENGINE_DEVICE {

using Price = long long;

constexpr Price kLowestPrice = -(1ll << 62);
constexpr Price kEpsilonStep = 8;

template <class S>
ENGINE_BOTH inline bool is_finite_score(S z) {
    return z - z == S(0);
}

struct AuctionRule {
    Size N, E;
    double low, scale;

    // Scores between low and high; fewer steps where N + 1 times 2³⁶ of them would not leave room for prices.
    ENGINE_BOTH AuctionRule(Size N_, Size E_, double low_, double high) : N(N_), E(E_), low(low_) {
        double steps = 68719476736.0;
        while (steps * static_cast<double>(N + 1) > 1e17) steps /= 2;
        scale = high > low ? steps / (high - low) : 0.0;
        first = static_cast<Price>(steps / 4) * (N + 1);
    }
    template <class S>
    ENGINE_BOTH Price value(S z) const {
        return is_finite_score(z) ? static_cast<Price>(std::floor((static_cast<double>(z) - low) * scale + 0.5)) * (N + 1) : 0;
    }
    ENGINE_BOTH Size seats(Size e) const { return N / E + (e < N % E ? 1 : 0); }
    // ε of the first phase; of the next one; after ε = 1 all is done.
    Price first;
    ENGINE_BOTH static Price next(Price epsilon) { return epsilon / kEpsilonStep > 1 ? epsilon / kEpsilonStep : 1; }
};

// A row's best and second best profit; `bid` is what it offers the best.
struct Offer {
    Price best = kLowestPrice, second = kLowestPrice;
    std::int32_t expert = -1;
    ENGINE_BOTH void see(Price profit, std::int32_t e) {
        if (profit > best || (profit == best && e < expert)) {
            second = best;
            best = profit;
            expert = e;
        } else if (profit > second) {
            second = profit;
        }
    }
    ENGINE_BOTH Price raise(Price epsilon) const { return second == kLowestPrice ? epsilon : best - second + epsilon; }
};

}  // namespace moe::kernels::inline ENGINE_DEVICE
