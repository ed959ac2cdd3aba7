#include "moe/kernels/fraction_mean.h"

#include "engine/base/threads.h"
#include "engine/kernels/column_blocks.h"
#include "moe/kernels/fraction_mean_row.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr Size kFractionRows = 64;

}  // namespace ENGINE_DEVICE

template <class D, class S>
void fraction_mean_leaf(Exec& exec, S* leaf, Rows<const S> z, const S* lse, const std::int32_t* ids, Size K) {
    S* sums[2] = {leaf, leaf + z.columns};
    engine::kernels::sum_columns<2>(exec, sums, z.rows, z.columns, false, [&](Size n, S* const(&out)[2]) {
        for (Size e = 0; e < z.columns; ++e) out[0][e] += std::exp(z(n, e) - lse[n]);
        out[1][ids[n * K]] += S(1);
    });
}

template <class D, class S>
void fraction_mean_loss(Exec&, S* loss, const S* means, Size E, double scale) {
    S sum = 0;
    for (Size e = 0; e < E; ++e) sum += means[E + e] * means[e];
    *loss = static_cast<S>(scale) * sum;
}

template <class D, class S>
void fraction_mean_backward(Exec&, Rows<S> dz, bool add, Rows<const S> z, const S* lse, const S* f, double scale) {
    engine::parallel_blocks(z.rows, kFractionRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) fraction_row_backward(dz.row(n), add, z.row(n), lse[n], f, z.columns, static_cast<S>(scale));
    });
}

#define INSTANTIATE(S)                                                                                        \
    template void fraction_mean_leaf<Here, S>(Exec&, S*, Rows<const S>, const S*, const std::int32_t*, Size); \
    template void fraction_mean_loss<Here, S>(Exec&, S*, const S*, Size, double);                             \
    template void fraction_mean_backward<Here, S>(Exec&, Rows<S>, bool, Rows<const S>, const S*, const S*, double);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace moe::kernels
