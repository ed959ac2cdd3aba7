#include "engine/kernels/step_scalars.h"

#include "engine/base/here.h"
#include "engine/base/threads.h"
#include "engine/kernels/lanes.h"
#include "engine/kernels/strips.h"

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

template <class D, class S>
void squared_strip_sums(Exec&, double* sums, Size stride, Rows<const S> g, int strips, Size block_rows) {
    Size blocks = (g.rows + block_rows - 1) / block_rows;
    Size begin[kStrips + 1];
    for (int k = 0; k <= strips; ++k) begin[k] = strip_begin(g.columns, strips, k);
    parallel_for(blocks, [&](Size b) {
        double sum[kStrips] = {};
        for (Size r = b * block_rows; r < std::min(g.rows, (b + 1) * block_rows); ++r) {
            for (int k = 0; k < strips; ++k) {
                const S* in = g.row(r) + begin[k];
                sum[k] += sum_lanes<double>(begin[k + 1] - begin[k],
                                            [&](Size e) { return static_cast<double>(in[e]) * static_cast<double>(in[e]); });
            }
        }
        for (int k = 0; k < strips; ++k) sums[k * stride + b] = sum[k];
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
template void squared_strip_sums<Here, float>(Exec&, double*, Size, Rows<const float>, int, Size);
template void squared_strip_sums<Here, double>(Exec&, double*, Size, Rows<const double>, int, Size);
template void clip_by_norm<Here>(Exec&, StepScalars*, double*, const double*, Size, double);
template void write_scalars<Here>(Exec&, StepScalars*, const StepScalars&);

}  // namespace engine::kernels
