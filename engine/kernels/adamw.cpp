#include "engine/kernels/adamw.h"

#include "engine/base/here.h"
#include "engine/base/threads.h"

#include <algorithm>
#include <cmath>

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr Size kRows = 64;

// The step's numbers, by value, and pointers that do not overlap: GCC then knows that nothing it stores changes them, and writes vectors.
template <class S>
struct AdamwStep {
    S rate, clip, beta1, beta2, rest1, rest2, correction1, correction2, eps, decay;

    void run(S* __restrict w, const S* __restrict g, S* __restrict m, S* __restrict v, Size first, Size last) const {
        AdamwStep s = *this;
        for (Size i = first; i < last; ++i) {
            S gradient = s.clip * g[i];
            m[i] = s.beta1 * m[i] + s.rest1 * gradient;
            v[i] = s.beta2 * v[i] + s.rest2 * gradient * gradient;
            w[i] -= s.rate * ((m[i] * s.correction1) / (std::sqrt(v[i] * s.correction2) + s.eps) + s.decay * w[i]);
        }
    }
};

template <class S>
AdamwStep<S> step_of(const StepScalars& scalars, const AdamwOptions& options) {
    return {.rate = static_cast<S>(scalars.learning_rate * options.lr_factor),
            .clip = static_cast<S>(scalars.clip_factor),
            .beta1 = static_cast<S>(options.beta1),
            .beta2 = static_cast<S>(options.beta2),
            .rest1 = static_cast<S>(1 - options.beta1),
            .rest2 = static_cast<S>(1 - options.beta2),
            .correction1 = S(1) / static_cast<S>(scalars.bias_correction1),
            .correction2 = S(1) / static_cast<S>(scalars.bias_correction2),
            .eps = static_cast<S>(options.eps),
            .decay = static_cast<S>(options.decay)};
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void adamw(Exec& exec, S* w, const S* g, S* m, S* v, Size n, const AdamwOptions& options) {
    constexpr Size kBlock = 16384;
    AdamwStep<S> step = step_of<S>(*exec.scalars, options);
    parallel_blocks(n, kBlock, [&](Size first, Size last) { step.run(w, g, m, v, first, last); });
}

template <class D, class S>
void touched_rows(Exec&, S* touched, Rows<const S> g) {
    parallel_blocks(g.rows, kRows, [&](Size first, Size last) {
        for (Size r = first; r < last; ++r) {
            const S* row = g.row(r);
            touched[r] = std::any_of(row, row + g.columns, [](S value) { return value != S(0); }) ? S(1) : S(0);
        }
    });
}

template <class D, class S>
void adamw_touched(Exec& exec, Rows<S> w, Rows<const S> g, Rows<S> m, Rows<S> v, const S* touched, const AdamwOptions& options) {
    AdamwStep<S> step = step_of<S>(*exec.scalars, options);
    parallel_blocks(w.rows, kRows, [&](Size first, Size last) {
        for (Size r = first; r < last; ++r) {
            if (touched[r] != S(0)) step.run(w.row(r), g.row(r), m.row(r), v.row(r), 0, w.columns);
        }
    });
}

#define INSTANTIATE(S)                                                                    \
    template void adamw<Here, S>(Exec&, S*, const S*, S*, S*, Size, const AdamwOptions&); \
    template void touched_rows<Here, S>(Exec&, S*, Rows<const S>);                        \
    template void adamw_touched<Here, S>(Exec&, Rows<S>, Rows<const S>, Rows<S>, Rows<S>, const S*, const AdamwOptions&);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace engine::kernels
