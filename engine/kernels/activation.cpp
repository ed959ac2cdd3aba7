#include "engine/kernels/activation.h"

#include "engine/base/threads.h"
#include "engine/kernels/activation_functions.h"
#include "engine/kernels/lanes.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr Size kActivationRows = 32;

// f(kind as a constant): the choice is made once, outside the loops.
template <class F>
void with_kind(Activation kind, F&& f) {
    switch (kind) {
        case Activation::relu:
            return f([] { return Activation::relu; });
        case Activation::gelu:
            return f([] { return Activation::gelu; });
        case Activation::gelu_tanh:
            return f([] { return Activation::gelu_tanh; });
        case Activation::silu:
            return f([] { return Activation::silu; });
        case Activation::identity:
            return f([] { return Activation::identity; });
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void activation(Exec&, Rows<T> a, Rows<const T> x, Rows<const T> z, Activation kind) {
    with_kind(kind, [&](auto constant) {
        parallel_blocks(x.rows, kActivationRows, [&](Size first, Size last) {
            for (Size n = first; n < last; ++n) {
                T* out = a.row(n);
                const T* in = x.row(n);
                if (z.data != nullptr) {
                    const T* factor = z.row(n);
                    for (Size f = 0; f < x.columns; ++f) out[f] = store<T>(activate(constant(), load(in[f])) * load(factor[f]));
                } else {
                    for (Size f = 0; f < x.columns; ++f) out[f] = store<T>(activate(constant(), load(in[f])));
                }
            }
        });
    });
}

template <class D, class T>
void activation_backward(Exec&, Rows<T> dx, Rows<T> dz, Sum<T>* dgate, Rows<const T> da, Rows<const T> x, Rows<const T> z,
                         const Sum<T>* gate, Activation kind) {
    using S = Sum<T>;
    with_kind(kind, [&](auto constant) {
        parallel_blocks(x.rows, kActivationRows, [&](Size first, Size last) {
            for (Size n = first; n < last; ++n) {
                const T* grad = da.row(n);
                const T* in = x.row(n);
                const T* factor = z.data != nullptr ? z.row(n) : nullptr;
                T* out = dx.row(n);
                S scale = gate != nullptr ? gate[n] : S(1);
                if (dgate != nullptr) {
                    dgate[n] = sum_lanes<S>(x.columns, [&](Size f) {
                        S value = activate(constant(), load(in[f]));
                        return load(grad[f]) * (factor != nullptr ? value * load(factor[f]) : value);
                    });
                }
                if (factor == nullptr) {
                    for (Size f = 0; f < x.columns; ++f)
                        out[f] = store<T>(scale * load(grad[f]) * activation_slope(constant(), load(in[f])));
                    continue;
                }
                T* other = dz.row(n);
                for (Size f = 0; f < x.columns; ++f) {
                    S q = scale * load(grad[f]), value = load(in[f]);
                    other[f] = store<T>(q * activate(constant(), value));
                    out[f] = store<T>(q * activation_slope(constant(), value) * load(factor[f]));
                }
            }
        });
    });
}

#define INSTANTIATE(T)                                                                                                        \
    template void activation<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>, Activation);                              \
    template void activation_backward<Here, T>(Exec&, Rows<T>, Rows<T>, Sum<T>*, Rows<const T>, Rows<const T>, Rows<const T>, \
                                               const Sum<T>*, Activation);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace engine::kernels
