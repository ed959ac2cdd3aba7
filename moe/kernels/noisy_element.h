#pragma once
#include "engine/base/here.h"
#include "engine/base/philox.h"
#include "moe/kernels/exact_random.h"
#include "moe/kernels/gate_row.h"

namespace moe::kernels::inline ENGINE_DEVICE {

// ln(1 + eˢ) without overflow.
template <class S>
ENGINE_BOTH inline S softplus(S s) {
    return (s > S(0) ? s : S(0)) + std::log1p(std::exp(s > S(0) ? -s : s));
}

struct NoiseDraw {
    std::uint64_t seed, step;
    std::uint32_t site;
    Size first_row, columns;
    template <class S>
    ENGINE_BOTH S at(Size n, Size e) const {
        return static_cast<S>(
            exact_normal(engine::random_bits(seed, step, site, static_cast<std::uint64_t>((first_row + n) * columns + e))));
    }
};

}  // namespace moe::kernels::inline ENGINE_DEVICE
