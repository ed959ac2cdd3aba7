#include "moe/kernels/expert_sums.h"

#include "engine/base/threads.h"
#include "engine/kernels/column_blocks.h"

namespace moe::kernels {

using engine::Here;

template <class D, class S>
void expert_sums(Exec& exec, S* sums, const std::int32_t* kept, const S* weights, Size N, Size K, Size E) {
    S* outs[1] = {sums};
    engine::kernels::sum_columns<1>(exec, outs, N, E, false, [&](Size n, S* const(&out)[1]) {
        for (Size i = n * K; i < (n + 1) * K; ++i) {
            if (kept[i] >= 0) out[0][kept[i]] += weights != nullptr ? weights[i] : S(1);
        }
    });
}

template <class D, class S>
void squared_variation(Exec&, S* loss, S* slope, const S* sums, Size E) {
    S mean = 0, variance = 0;
    for (Size e = 0; e < E; ++e) mean += sums[e];
    mean /= static_cast<S>(E);
    for (Size e = 0; e < E; ++e) variance += (sums[e] - mean) * (sums[e] - mean);
    *loss = variance / static_cast<S>(E) / (mean * mean);
    for (Size e = 0; e < E; ++e) slope[e] = S(2) / (static_cast<S>(E) * mean * mean) * (sums[e] - mean - *loss * mean);
}

template <class D, class S>
void spread_slope(Exec&, S* d, const S* slope, const std::int32_t* kept, Size count, double scale) {
    for (Size i = 0; i < count; ++i) d[i] = kept[i] >= 0 ? static_cast<S>(scale) * slope[kept[i]] : S(0);
}

#define INSTANTIATE(S)                                                                              \
    template void expert_sums<Here, S>(Exec&, S*, const std::int32_t*, const S*, Size, Size, Size); \
    template void squared_variation<Here, S>(Exec&, S*, S*, const S*, Size);                        \
    template void spread_slope<Here, S>(Exec&, S*, const S*, const std::int32_t*, Size, double);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace moe::kernels
