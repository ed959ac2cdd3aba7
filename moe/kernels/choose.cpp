#include "moe/kernels/choose.h"

#include "engine/base/threads.h"
#include "moe/kernels/choose_row.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr Size kChoiceRows = 64;

}  // namespace ENGINE_DEVICE

template <class D, class S>
void choose(Exec& exec, std::int32_t* ids, S* gates, Rows<const S> z, Size K, Gate gate, ChoiceDropout dropout) {
    DropTest test{0, 0, 0, dropout.site, engine::drop_threshold(dropout.rate)};
    if (test.threshold != 0) test.seed = exec.scalars->seed, test.step = exec.scalars->step;
    engine::parallel_blocks(z.rows, kChoiceRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            DropTest row = test;
            row.row = static_cast<std::uint64_t>(dropout.first_row + n);
            choose_row(ids + n * K, gates + n * K, z.row(n), z.columns, K, gate, row);
        }
    });
}

template <class D, class S>
void choose_backward(Exec&, Rows<S> dz, const S* dgates, const std::int32_t* ids, const S* gates, Rows<const S> z, Size K, Gate gate) {
    engine::parallel_blocks(z.rows, kChoiceRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n)
            choose_row_backward(dz.row(n), dgates + n * K, ids + n * K, gates + n * K, z.row(n), z.columns, K, gate);
    });
}

#define INSTANTIATE(S)                                                                                 \
    template void choose<Here, S>(Exec&, std::int32_t*, S*, Rows<const S>, Size, Gate, ChoiceDropout); \
    template void choose_backward<Here, S>(Exec&, Rows<S>, const S*, const std::int32_t*, const S*, Rows<const S>, Size, Gate);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace moe::kernels
