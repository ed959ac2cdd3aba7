#include "moe/kernels/row_lse.h"

#include "engine/base/threads.h"
#include "engine/kernels/column_blocks.h"
#include "moe/kernels/entropy_row.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr Size kLseRows = 64;

}  // namespace ENGINE_DEVICE

template <class D, class S>
void row_lse(Exec&, S* lse, Rows<const S> z) {
    engine::parallel_blocks(z.rows, kLseRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) lse[n] = log_sum_exp(z.row(n), z.columns);
    });
}

template <class D, class S>
void z_loss_leaf(Exec& exec, S* leaf, const S* lse, Size rows) {
    S* sums[1] = {leaf};
    engine::kernels::sum_columns<1>(exec, sums, rows, 1, false, [&](Size n, S* const(&out)[1]) { *out[0] += lse[n] * lse[n]; });
}

template <class D, class S>
void z_loss_backward(Exec&, Rows<S> dz, bool add, Rows<const S> z, const S* lse, double scale) {
    engine::parallel_blocks(z.rows, kLseRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            S factor = static_cast<S>(scale) * S(2) * lse[n];
            for (Size e = 0; e < z.columns; ++e) dz(n, e) = (add ? dz(n, e) : S(0)) + factor * std::exp(z(n, e) - lse[n]);
        }
    });
}

#define INSTANTIATE(S)                                             \
    template void row_lse<Here, S>(Exec&, S*, Rows<const S>);      \
    template void z_loss_leaf<Here, S>(Exec&, S*, const S*, Size); \
    template void z_loss_backward<Here, S>(Exec&, Rows<S>, bool, Rows<const S>, const S*, double);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace moe::kernels
