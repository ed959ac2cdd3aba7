#include "engine/kernels/cross_entropy.h"

#include "engine/base/threads.h"
#include "engine/kernels/lanes.h"
#include "engine/kernels/vector_math.h"

#include <cmath>

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr Size kLossRows = 16;

}  // namespace ENGINE_DEVICE

template <class D, class S>
void cross_entropy(Exec&, S* loss, S* lse, Rows<const S> z, const std::int32_t* target) {
    parallel_blocks(z.rows, kLossRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            const S* row = z.row(n);
            S most = max_lanes(row, z.columns);
            S sum = sum_lanes<S>(z.columns, [&](Size v) { return exp_of(row[v] - most); });
            lse[n] = most + std::log(sum);
            loss[n] = target[n] >= 0 ? lse[n] - row[target[n]] : S(0);
        }
    });
}

template <class D, class S>
void cross_entropy_backward(Exec&, Rows<S> z, const S* lse, const std::int32_t* target, double weight) {
    parallel_blocks(z.rows, kLossRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            S* row = z.row(n);
            S scale = target[n] >= 0 ? static_cast<S>(weight) : S(0), normaliser = lse[n];
            for (Size v = 0; v < z.columns; ++v) row[v] = scale * exp_of(row[v] - normaliser);
            if (target[n] >= 0) row[target[n]] -= scale;
        }
    });
}

template <class D, class S>
void ordered_sum(Exec&, S* y, const S* x, Size count) {
    constexpr Size kBlock = 1024;
    S sum = 0;
    for (Size first = 0; first < count; first += kBlock) {
        Size size = count - first < kBlock ? count - first : kBlock;
        sum += sum_lanes<S>(size, [&](Size i) { return x[first + i]; });
    }
    *y = sum;
}

#define INSTANTIATE(S)                                                                                    \
    template void cross_entropy<Here, S>(Exec&, S*, S*, Rows<const S>, const std::int32_t*);              \
    template void cross_entropy_backward<Here, S>(Exec&, Rows<S>, const S*, const std::int32_t*, double); \
    template void ordered_sum<Here, S>(Exec&, S*, const S*, Size);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace engine::kernels
