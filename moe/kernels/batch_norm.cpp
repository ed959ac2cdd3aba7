#include "moe/kernels/batch_norm.h"

#include "engine/kernels/column_blocks.h"
#include "moe/kernels/batch_norm_element.h"

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::parallel_blocks;
using engine::store;
using engine::kernels::sum_columns;

inline namespace ENGINE_DEVICE {

constexpr Size kBatchNormRows = 16;

}  // namespace ENGINE_DEVICE

template <class D, class T>
void batch_norm_leaf(Exec& exec, Sum<T>* sum, Rows<const T> x, const Sum<T>* m) {
    using S = Sum<T>;
    S* sums[1] = {sum};
    sum_columns<1>(exec, sums, x.rows, x.columns, false, [&](Size n, S* const(&out)[1]) {
        const T* in = x.row(n);
        if (m == nullptr) {
            for (Size f = 0; f < x.columns; ++f) out[0][f] += load(in[f]);
        } else {
            for (Size f = 0; f < x.columns; ++f) out[0][f] += (load(in[f]) - m[f]) * (load(in[f]) - m[f]);
        }
    });
}

template <class D, class T>
void batch_norm_gradient_leaf(Exec& exec, Sum<T>* sums, Rows<const T> dy, Rows<const T> x, const Sum<T>* m, const Sum<T>* r) {
    using S = Sum<T>;
    Size F = x.columns;
    S* both[2] = {sums, sums + F};
    sum_columns<2>(exec, both, x.rows, F, false, [&](Size n, S* const(&out)[2]) {
        const T *grad = dy.row(n), *in = x.row(n);
        for (Size f = 0; f < F; ++f) {
            out[0][f] += load(grad[f]);
            out[1][f] += load(grad[f]) * ((load(in[f]) - m[f]) * r[f]);
        }
    });
}

template <class D, class S>
void batch_norm_rate(Exec&, S* r, const S* v, Size F, double eps) {
    for (Size f = 0; f < F; ++f) r[f] = S(1) / std::sqrt(v[f] + static_cast<S>(eps));
}

template <class D, class S>
void batch_norm_running(Exec&, S* next_m, S* next_v, const S* old_m, const S* old_v, const S* m, const S* v, Size F, double rows) {
    auto unbiased = static_cast<S>(rows / (rows - 1));
    for (Size f = 0; f < F; ++f) {
        next_m[f] = running_average(old_m[f], m[f]);
        next_v[f] = running_average(old_v[f], v[f] * unbiased);
    }
}

template <class D, class T>
void batch_norm(Exec&, Rows<T> y, Rows<const T> x, const Sum<T>* m, const Sum<T>* r, const T* w, const T* b) {
    parallel_blocks(x.rows, kBatchNormRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            const T* in = x.row(n);
            T* out = y.row(n);
            for (Size f = 0; f < x.columns; ++f) out[f] = store<T>((load(in[f]) - m[f]) * r[f] * load(w[f]) + load(b[f]));
        }
    });
}

template <class D, class T>
void batch_norm_backward(Exec&, Rows<T> dx, bool add, Rows<const T> dy, Rows<const T> x, const Sum<T>* m, const Sum<T>* r, const T* w,
                         const Sum<T>* means) {
    using S = Sum<T>;
    Size F = x.columns;
    parallel_blocks(x.rows, kBatchNormRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            const T *grad = dy.row(n), *in = x.row(n);
            T* out = dx.row(n);
            for (Size f = 0; f < F; ++f) {
                S value = normalised_gradient(load(grad[f]), load(in[f]), m[f], r[f], load(w[f]), means != nullptr ? means[f] : S(0),
                                              means != nullptr ? means[F + f] : S(0));
                out[f] = store<T>(add ? load(out[f]) + value : value);
            }
        }
    });
}

#define INSTANTIATE(T)                                                                                                                     \
    template void batch_norm_leaf<Here, T>(Exec&, Sum<T>*, Rows<const T>, const Sum<T>*);                                                  \
    template void batch_norm_gradient_leaf<Here, T>(Exec&, Sum<T>*, Rows<const T>, Rows<const T>, const Sum<T>*, const Sum<T>*);           \
    template void batch_norm<Here, T>(Exec&, Rows<T>, Rows<const T>, const Sum<T>*, const Sum<T>*, const T*, const T*);                    \
    template void batch_norm_backward<Here, T>(Exec&, Rows<T>, bool, Rows<const T>, Rows<const T>, const Sum<T>*, const Sum<T>*, const T*, \
                                               const Sum<T>*);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE
#define INSTANTIATE(S)                                                         \
    template void batch_norm_rate<Here, S>(Exec&, S*, const S*, Size, double); \
    template void batch_norm_running<Here, S>(Exec&, S*, S*, const S*, const S*, const S*, const S*, Size, double);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace moe::kernels
