#include "moe/kernels/biased_scores.h"

#include "engine/base/threads.h"
#include "moe/kernels/biased_scores_row.h"

namespace moe::kernels {

using engine::Here;

template <class D, class S>
void biased_scores(Exec&, Rows<S> keys, Rows<const S> z, const S* bias, GroupRule rule) {
    constexpr Size kRows = 64;
    engine::parallel_blocks(z.rows, kRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) biased_row(keys.row(n), z.row(n), bias, z.columns, rule);
    });
}

template <class D, class S>
void move_bias(Exec&, S* next, const S* bias, const S* counts, Size E, double target, double rate) {
    for (Size e = 0; e < E; ++e) next[e] = moved_bias(bias[e], counts[e], static_cast<S>(target), static_cast<S>(rate));
}

#define INSTANTIATE(S)                                                                        \
    template void biased_scores<Here, S>(Exec&, Rows<S>, Rows<const S>, const S*, GroupRule); \
    template void move_bias<Here, S>(Exec&, S*, const S*, const S*, Size, double, double);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace moe::kernels
