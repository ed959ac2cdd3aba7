#include "engine/kernels/step_scalars.h"

#include "engine/base/here.h"
#include "engine/base/threads.h"
#include "engine/kernels/lanes.h"
#include "engine/memory/scratch.h"

#include <cmath>

namespace engine::kernels {

template <class D, class S>
void clip_by_norm(Exec& exec, StepScalars* scalars, double* norm, const S* g, Size n, double clip) {
    constexpr Size kBlock = 4096;
    Size blocks = (n + kBlock - 1) / kBlock;
    Scratch<double> partial(exec, blocks + 1);
    parallel_for(blocks, [&](Size block) {
        const S* in = g + block * kBlock;
        partial[block] = sum_lanes<double>(n - block * kBlock < kBlock ? n - block * kBlock : kBlock,
                                           [&](Size i) { return static_cast<double>(in[i]) * static_cast<double>(in[i]); });
    });
    double sum = 0;
    for (Size block = 0; block < blocks; ++block) sum += partial[block];
    *norm = std::sqrt(sum);
    double factor = clip > 0 ? clip / (*norm + 1e-6) : 1.0;
    scalars->clip_factor = !std::isfinite(*norm) ? 0.0f : factor < 1.0 ? static_cast<float>(factor) : 1.0f;
}

template <class D>
void write_scalars(Exec&, StepScalars* to, const StepScalars& values) {
    *to = values;
}

template void clip_by_norm<Here, float>(Exec&, StepScalars*, double*, const float*, Size, double);
template void clip_by_norm<Here, double>(Exec&, StepScalars*, double*, const double*, Size, double);
template void write_scalars<Here>(Exec&, StepScalars*, const StepScalars&);

}  // namespace engine::kernels
