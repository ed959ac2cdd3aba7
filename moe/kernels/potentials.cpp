#include "moe/kernels/potentials.h"

#include "engine/base/threads.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/potentials_sums.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;

template <class D, class S>
void row_potentials(Exec&, S* b, Rows<const S> z, const S* a, Size T, int sign) {
    engine::parallel_blocks(z.rows, kPotentialRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) b[n] = row_potential(z, n, a != nullptr ? a + n / T * z.columns : nullptr, sign);
    });
}

template <class D, class S>
void column_potentials(Exec& exec, S* a, Rows<const S> z, const S* b, Size T, int sign) {
    Size E = z.columns, parts = (T + kPotentialRows - 1) / kPotentialRows, groups = z.rows / T;
    engine::Scratch<ExpSum<S>> sums(exec, groups * parts * E);
    engine::parallel_for(groups * parts, [&](Size task) {
        Size start = task % parts * kPotentialRows, first = task / parts * T + start, count = std::min(kPotentialRows, T - start);
        for (Size e = 0; e < E; ++e) sums.data()[task * E + e] = column_part(z, e, first, count, b, sign);
    });
    for (Size g = 0; g < groups; ++g) {
        for (Size e = 0; e < E; ++e) {
            ExpSum<S> total;
            for (Size part = 0; part < parts; ++part) total.join(sums.data()[(g * parts + part) * E + e]);
            a[g * E + e] = -total.log();
        }
    }
}

template <class D, class S>
void add_potentials(Exec&, Rows<S> y, Rows<const S> z, const S* a, const S* b, Size T, bool exponential) {
    engine::parallel_blocks(z.rows, kPotentialRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            const S* own = a != nullptr ? a + n / T * z.columns : nullptr;
            for (Size e = 0; e < z.columns; ++e) y(n, e) = shifted(z, n, e, own, b, exponential);
        }
    });
}

#define INSTANTIATE(S)                                                                       \
    template void row_potentials<Here, S>(Exec&, S*, Rows<const S>, const S*, Size, int);    \
    template void column_potentials<Here, S>(Exec&, S*, Rows<const S>, const S*, Size, int); \
    template void add_potentials<Here, S>(Exec&, Rows<S>, Rows<const S>, const S*, const S*, Size, bool);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace moe::kernels
