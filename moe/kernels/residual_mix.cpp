#include "moe/kernels/residual_mix.h"

#include "engine/base/threads.h"
#include "engine/kernels/lanes.h"

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::store;

inline namespace ENGINE_DEVICE {

constexpr Size kMixRows = 32;

}  // namespace ENGINE_DEVICE

template <class D, class T>
void residual_mix(Exec&, Rows<T> out, Rows<const T> y, Rows<const T> x, const Sum<T>* alpha) {
    engine::parallel_blocks(x.rows, kMixRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            Sum<T> rest = Sum<T>(1) - alpha[n];
            for (Size c = 0; c < x.columns; ++c) out(n, c) = store<T>(load(y(n, c)) + rest * load(x(n, c)));
        }
    });
}

template <class D, class T>
void residual_mix_backward(Exec&, Rows<T> dx, bool add, Sum<T>* dalpha, Rows<const T> d, Rows<const T> x, const Sum<T>* alpha) {
    using S = Sum<T>;
    engine::parallel_blocks(x.rows, kMixRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            S rest = S(1) - alpha[n];
            const T *grad = d.row(n), *in = x.row(n);
            T* out = dx.row(n);
            dalpha[n] = -engine::kernels::sum_lanes<S>(x.columns, [&](Size c) { return load(grad[c]) * load(in[c]); });
            for (Size c = 0; c < x.columns; ++c) out[c] = store<T>((add ? load(out[c]) : S(0)) + rest * load(grad[c]));
        }
    });
}

#define INSTANTIATE(T)                                                                                \
    template void residual_mix<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>, const Sum<T>*); \
    template void residual_mix_backward<Here, T>(Exec&, Rows<T>, bool, Sum<T>*, Rows<const T>, Rows<const T>, const Sum<T>*);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
