#include "engine/kernels/adamw.h"

#include "engine/base/here.h"
#include "engine/base/threads.h"

#include <cmath>

namespace engine::kernels {

template <class D, class S>
void adamw(Exec& exec, S* w, const S* g, S* m, S* v, Size n, const AdamwOptions& options) {
    constexpr Size kBlock = 16384;
    const StepScalars& scalars = *exec.scalars;
    S rate = static_cast<S>(scalars.learning_rate * options.lr_factor), clip = static_cast<S>(scalars.clip_factor);
    S beta1 = static_cast<S>(options.beta1), beta2 = static_cast<S>(options.beta2);
    S rest1 = static_cast<S>(1 - options.beta1), rest2 = static_cast<S>(1 - options.beta2);
    S correction1 = S(1) / static_cast<S>(scalars.bias_correction1), correction2 = S(1) / static_cast<S>(scalars.bias_correction2);
    S eps = static_cast<S>(options.eps), decay = static_cast<S>(options.decay);
    parallel_blocks(n, kBlock, [&](Size first, Size last) {
        for (Size i = first; i < last; ++i) {
            S gradient = clip * g[i];
            m[i] = beta1 * m[i] + rest1 * gradient;
            v[i] = beta2 * v[i] + rest2 * gradient * gradient;
            w[i] -= rate * ((m[i] * correction1) / (std::sqrt(v[i] * correction2) + eps) + decay * w[i]);
        }
    });
}

template void adamw<Here, float>(Exec&, float*, const float*, float*, float*, Size, const AdamwOptions&);
template void adamw<Here, double>(Exec&, double*, const double*, double*, double*, Size, const AdamwOptions&);

}  // namespace engine::kernels
