#include "moe/kernels/slot_sort.h"

#include "engine/base/here.h"
#include "engine/base/threads.h"
#include "engine/memory/scratch.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;

template <class D>
void slot_sort(Exec& exec, std::int32_t* offsets, std::int32_t* order, const std::int32_t* ids, Size R, Size M) {
    // Each part counts its share of the choices, in order; so the result does not depend on how many parts there are.
    constexpr Size kLeastPart = 1 << 14;
    Size parts = std::clamp<Size>(R / kLeastPart, 1, engine::threads()), part = (R + parts - 1) / parts;
    engine::Scratch<std::int32_t> next(exec, parts * M);
    engine::parallel_for(parts, [&](Size p) {
        std::int32_t* count = next.data() + p * M;
        std::fill_n(count, M, 0);
        for (Size i = p * part; i < std::min(R, (p + 1) * part); ++i) ++count[ids[i]];
    });
    std::int32_t begin = 0;
    for (Size m = 0; m < M; ++m) {
        offsets[m] = begin;
        for (Size p = 0; p < parts; ++p) {
            std::int32_t count = next[p * M + m];
            next[p * M + m] = begin;
            begin += count;
        }
    }
    offsets[M] = begin;
    engine::parallel_for(parts, [&](Size p) {
        std::int32_t* at = next.data() + p * M;
        for (Size i = p * part; i < std::min(R, (p + 1) * part); ++i) order[at[ids[i]]++] = static_cast<std::int32_t>(i);
    });
}

template void slot_sort<Here>(Exec&, std::int32_t*, std::int32_t*, const std::int32_t*, Size, Size);

}  // namespace moe::kernels
