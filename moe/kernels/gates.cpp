#include "moe/kernels/gates.h"

#include "engine/base/threads.h"
#include "moe/kernels/gate_row.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr Size kGateRows = 64;

}  // namespace ENGINE_DEVICE

template <class D, class S>
void gates(Exec&, S* gates, Rows<const S> z, const std::int32_t* ids, const std::int32_t* kept, Size N, Size K, GateRule rule) {
    engine::parallel_blocks(N, kGateRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) gate_row(gates + n * K, RowGates<S>(z.row(n), ids + n * K, kept + n * K, z.columns, K, rule));
    });
}

template <class D, class S>
void gates_backward(Exec&, Rows<S> dz, const S* dgates, Rows<const S> z, const std::int32_t* ids, const std::int32_t* kept, Size K,
                    GateRule rule) {
    engine::parallel_blocks(z.rows, kGateRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            gate_row_backward(dz.row(n), dgates + n * K, RowGates<S>(z.row(n), ids + n * K, kept + n * K, z.columns, K, rule));
        }
    });
}

#define INSTANTIATE(S)                                                                                                             \
    template void gates<Here, S>(Exec&, S*, Rows<const S>, const std::int32_t*, const std::int32_t*, Size, Size, GateRule);        \
    template void gates_backward<Here, S>(Exec&, Rows<S>, const S*, Rows<const S>, const std::int32_t*, const std::int32_t*, Size, \
                                          GateRule);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace moe::kernels
