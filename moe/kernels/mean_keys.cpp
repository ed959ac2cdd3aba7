#include "moe/kernels/mean_keys.h"

#include "engine/base/threads.h"
#include "engine/kernels/lanes.h"

namespace moe::kernels {

using engine::Here;
using engine::load;

template <class D, class T>
void mean_keys(Exec&, Rows<Sum<T>> m, Rows<const T> w1) {
    using S = Sum<T>;
    engine::parallel_for(m.rows, [&](Size e) {
        for (Size c = 0; c < m.columns; ++c) {
            const T* row = w1.row(e * m.columns + c);
            m(e, c) = engine::kernels::sum_lanes<S>(w1.columns, [&](Size g) { return load(row[g]); }) / static_cast<S>(w1.columns);
        }
    });
}

template <class D, class S>
void mean_keys_backward(Exec&, Rows<S> dw1, bool add, Rows<const S> dm) {
    engine::parallel_for(dm.rows, [&](Size e) {
        for (Size c = 0; c < dm.columns; ++c) {
            S share = dm(e, c) / static_cast<S>(dw1.columns);
            S* row = dw1.row(e * dm.columns + c);
            for (Size g = 0; g < dw1.columns; ++g) row[g] = (add ? row[g] : S(0)) + share;
        }
    });
}

template void mean_keys<Here, float>(Exec&, Rows<float>, Rows<const float>);
template void mean_keys<Here, double>(Exec&, Rows<double>, Rows<const double>);
template void mean_keys<Here, engine::bf16>(Exec&, Rows<float>, Rows<const engine::bf16>);
template void mean_keys_backward<Here, float>(Exec&, Rows<float>, bool, Rows<const float>);
template void mean_keys_backward<Here, double>(Exec&, Rows<double>, bool, Rows<const double>);

}  // namespace moe::kernels
