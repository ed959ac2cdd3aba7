#include "moe/kernels/outer_relu.h"

#include "engine/base/threads.h"
#include "engine/kernels/lanes.h"
#include "engine/kernels/tile/arena.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;
using engine::parallel_for;
using engine::store;

template <class D, class T>
void outer_relu(Exec&, Rows<T> a, Rows<const Sum<T>> u, Rows<const Sum<T>> v) {
    using S = Sum<T>;
    Size P = u.columns;
    parallel_for(u.rows, [&](Size n) {
        const S* second = v.row(n);
        for (Size i = 0; i < P; ++i) {
            S first = u(n, i);
            T* out = a.row(n) + i * P;
            for (Size j = 0; j < P; ++j) out[j] = store<T>(first + second[j] > S(0) ? first + second[j] : S(0));
        }
    });
}

template <class D, class T>
void outer_relu_backward(Exec&, Rows<T> du, Rows<T> dv, Rows<const Sum<T>> da, Rows<const Sum<T>> u, Rows<const Sum<T>> v) {
    using S = Sum<T>;
    Size P = u.columns;
    parallel_for(u.rows, [&](Size n) {
        const S* second = v.row(n);
        S* sums = engine::kernels::tile::arena<3, S>(P);
        std::fill_n(sums, P, S(0));
        for (Size i = 0; i < P; ++i) {
            S first = u(n, i);
            const S* grad = da.row(n) + i * P;
            du(n, i) = store<T>(engine::kernels::sum_lanes<S>(P, [&](Size j) { return first + second[j] > S(0) ? grad[j] : S(0); }));
            for (Size j = 0; j < P; ++j) sums[j] += first + second[j] > S(0) ? grad[j] : S(0);
        }
        for (Size j = 0; j < P; ++j) dv(n, j) = store<T>(sums[j]);
    });
}

#define INSTANTIATE(T)                                                                         \
    template void outer_relu<Here, T>(Exec&, Rows<T>, Rows<const Sum<T>>, Rows<const Sum<T>>); \
    template void outer_relu_backward<Here, T>(Exec&, Rows<T>, Rows<T>, Rows<const Sum<T>>, Rows<const Sum<T>>, Rows<const Sum<T>>);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
