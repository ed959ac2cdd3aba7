#include "engine/kernels/step_scalars.h"

#include "engine/base/here.h"
#include "engine/base/threads.h"
#include "engine/kernels/lanes.h"

#include <algorithm>
#include <cmath>

namespace engine::kernels {

template <class D, class S>
void squared_sums(Exec&, double* sums, Rows<const S> g) {
    Size blocks = squares_blocks(g.columns);
    parallel_for(g.rows * blocks, [&](Size i) {
        Size first = i % blocks * kSquaresBlock;
        const S* in = g.row(i / blocks) + first;
        sums[i] = sum_lanes<double>(std::min(kSquaresBlock, g.columns - first),
                                    [&](Size e) { return static_cast<double>(in[e]) * static_cast<double>(in[e]); });
    });
}

template <class D>
void clip_by_norm(Exec&, StepScalars* scalars, double* norm, const double* sums, Size count, double clip) {
    double sum = 0;
    for (Size i = 0; i < count; ++i) sum += sums[i];
    *norm = std::sqrt(sum);
    double factor = clip > 0 ? clip / (*norm + 1e-6) : 1.0;
    scalars->clip_factor = !std::isfinite(*norm) ? 0.0f : factor < 1.0 ? static_cast<float>(factor) : 1.0f;
}

template <class D>
void write_scalars(Exec&, StepScalars* to, const StepScalars& values) {
    *to = values;
}

template void squared_sums<Here, float>(Exec&, double*, Rows<const float>);
template void squared_sums<Here, double>(Exec&, double*, Rows<const double>);
template void clip_by_norm<Here>(Exec&, StepScalars*, double*, const double*, Size, double);
template void write_scalars<Here>(Exec&, StepScalars*, const StepScalars&);

}  // namespace engine::kernels
