#pragma once
#include "engine/base/here.h"
#include "engine/base/philox.h"
#include "engine/kernels/vector_math.h"
#include "moe/kernels/exact_random.h"
#include "moe/kernels/second_choice.h"
#include "moe/kernels/top_order.h"

namespace moe::kernels::inline ENGINE_DEVICE {

struct SecondDraw {
    std::uint64_t seed = 0, step = 0;
    std::uint32_t site = 0;
    ENGINE_BOTH std::uint32_t operator()(Size element) const {
        return engine::random_bits(seed, step, site, static_cast<std::uint64_t>(element));
    }
};

// `row` is the row in the whole batch.
template <class S>
ENGINE_BOTH inline void second_row(std::int32_t* ids, std::int32_t* kept, const S* z, Size E, Second second, SecondDraw draw, Size row) {
    RankedScore<S> first{S(0), -1, 0}, other{S(0), -1, 0};
    for (Size e = 0; e < E; ++e) {
        RankedScore<S> here{rankable(z[e]), static_cast<std::int32_t>(e), 0};
        if (stands_before(here, first)) first = here;
    }
    for (Size e = 0; e < E; ++e) {
        if (e == first.index) continue;
        S score = z[e];
        if (second == Second::sampling) score += static_cast<S>(exact_gumbel(draw(row * E + e)));
        RankedScore<S> here{rankable(score), static_cast<std::int32_t>(e), 0};
        if (stands_before(here, other)) other = here;
    }
    bool keep = true;
    if (second == Second::random) {
        S sum = 0;
        for (Size e = 0; e < E; ++e) sum += engine::kernels::exp_of(z[e] - first.value);
        keep = static_cast<S>(open_uniform(draw(row))) < S(2) * engine::kernels::exp_of(z[other.index] - first.value) / sum;
    }
    ids[0] = kept[0] = first.index;
    ids[1] = other.index;
    kept[1] = keep ? other.index : -1;
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
