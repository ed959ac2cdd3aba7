#include "moe/kernels/key_gates.h"

#include "engine/base/threads.h"
#include "engine/kernels/vector_math.h"
#include "moe/kernels/key_gates_group.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr Size kGateRows = 64;

}  // namespace ENGINE_DEVICE

template <class D, class S>
void key_gates(Exec&, Rows<S> gates, Rows<const S> scores, Size group, KeyGate kind) {
    engine::parallel_blocks(scores.rows, kGateRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            for (Size j = 0; j < scores.columns; j += group) {
                group_gates(gates.row(n) + j, scores.row(n) + j, group, kind, [](S x) { return engine::kernels::exp_of(x); });
            }
        }
    });
}

template <class D, class S>
void key_gates_backward(Exec&, Rows<S> dscores, Rows<const S> dgates, Rows<const S> gates, Size group, KeyGate kind) {
    engine::parallel_blocks(gates.rows, kGateRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            for (Size j = 0; j < gates.columns; j += group) {
                group_gates_backward(dscores.row(n) + j, dgates.row(n) + j, gates.row(n) + j, group, kind);
            }
        }
    });
}

#define INSTANTIATE(S)                                                              \
    template void key_gates<Here, S>(Exec&, Rows<S>, Rows<const S>, Size, KeyGate); \
    template void key_gates_backward<Here, S>(Exec&, Rows<S>, Rows<const S>, Rows<const S>, Size, KeyGate);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace moe::kernels
