#include "engine/kernels/layer_norm.h"

#include "engine/base/threads.h"
#include "engine/kernels/column_blocks.h"
#include "engine/kernels/lanes.h"

#include <cmath>

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr Size kNormRows = 16;

}  // namespace ENGINE_DEVICE

template <class D, class T>
void layer_norm(Exec&, Rows<T> y, Sum<T>* m, Sum<T>* r, Rows<const T> x, const T* w, const T* b, double eps) {
    using S = Sum<T>;
    Size C = x.columns;
    S scale = S(1) / static_cast<S>(C);
    parallel_blocks(x.rows, kNormRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            const T* in = x.row(n);
            T* out = y.row(n);
            S mean = m != nullptr ? sum_lanes<S>(C, [&](Size c) { return load(in[c]); }) * scale : S(0);
            S variance = sum_lanes<S>(C,
                                      [&](Size c) {
                                          S d = load(in[c]) - mean;
                                          return d * d;
                                      }) *
                         scale;
            S rate = S(1) / std::sqrt(variance + static_cast<S>(eps));
            if (m != nullptr) m[n] = mean;
            r[n] = rate;
            if (b != nullptr) {
                for (Size c = 0; c < C; ++c) out[c] = store<T>((load(in[c]) - mean) * rate * load(w[c]) + load(b[c]));
            } else {
                for (Size c = 0; c < C; ++c) out[c] = store<T>((load(in[c]) - mean) * rate * load(w[c]));
            }
        }
    });
}

template <class D, class T>
void layer_norm_backward(Exec&, Rows<T> dx, bool add, Rows<const T> dy, Rows<const T> x, const T* w, const Sum<T>* m, const Sum<T>* r) {
    using S = Sum<T>;
    Size C = x.columns;
    S scale = S(1) / static_cast<S>(C);
    parallel_blocks(x.rows, kNormRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            const T* in = x.row(n);
            const T* grad = dy.row(n);
            T* out = dx.row(n);
            S mean = m != nullptr ? m[n] : S(0), rate = r[n];
            S mean_g = m != nullptr ? sum_lanes<S>(C, [&](Size c) { return load(grad[c]) * load(w[c]); }) * scale : S(0);
            S mean_gx = sum_lanes<S>(C, [&](Size c) { return load(grad[c]) * load(w[c]) * ((load(in[c]) - mean) * rate); }) * scale;
            auto value = [&](Size c) { return rate * (load(grad[c]) * load(w[c]) - mean_g - (load(in[c]) - mean) * rate * mean_gx); };
            if (add) {
                for (Size c = 0; c < C; ++c) out[c] = store<T>(load(out[c]) + value(c));
            } else {
                for (Size c = 0; c < C; ++c) out[c] = store<T>(value(c));
            }
        }
    });
}

template <class D, class T>
void layer_norm_weight_gradient(Exec& exec, Sum<T>* dw, Sum<T>* db, Rows<const T> dy, Rows<const T> x, const Sum<T>* m, const Sum<T>* r,
                                bool add) {
    using S = Sum<T>;
    Size C = x.columns;
    auto weight_share = [&](Size n, S* out) {
        const T* in = x.row(n);
        const T* grad = dy.row(n);
        S mean = m != nullptr ? m[n] : S(0), rate = r[n];
        for (Size c = 0; c < C; ++c) out[c] += load(grad[c]) * ((load(in[c]) - mean) * rate);
    };
    if (db == nullptr) {
        S* sums[1] = {dw};
        return sum_columns<1>(exec, sums, x.rows, C, add, [&](Size n, S* const(&out)[1]) { weight_share(n, out[0]); });
    }
    S* sums[2] = {dw, db};
    sum_columns<2>(exec, sums, x.rows, C, add, [&](Size n, S* const(&out)[2]) {
        weight_share(n, out[0]);
        const T* grad = dy.row(n);
        for (Size c = 0; c < C; ++c) out[1][c] += load(grad[c]);
    });
}

#define INSTANTIATE(T)                                                                                                                     \
    template void layer_norm<Here, T>(Exec&, Rows<T>, Sum<T>*, Sum<T>*, Rows<const T>, const T*, const T*, double);                        \
    template void layer_norm_backward<Here, T>(Exec&, Rows<T>, bool, Rows<const T>, Rows<const T>, const T*, const Sum<T>*,                \
                                               const Sum<T>*);                                                                             \
    template void layer_norm_weight_gradient<Here, T>(Exec&, Sum<T>*, Sum<T>*, Rows<const T>, Rows<const T>, const Sum<T>*, const Sum<T>*, \
                                                      bool);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace engine::kernels
