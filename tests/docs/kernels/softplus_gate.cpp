#include "tests/docs/kernels/softplus_gate.h"

#include "engine/base/threads.h"
#include "tests/docs/kernels/softplus_gate_row.h"

namespace walk {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr Size kSoftplusRows = 64;

}  // namespace ENGINE_DEVICE

template <class D, class S>
void softplus_gate(Exec&, Rows<S> gates, Rows<const S> z, const std::int32_t* ids) {
    Size K = gates.columns;
    engine::parallel_blocks(z.rows, kSoftplusRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) softplus_row(gates.row(n), z.row(n), ids + n * K, K);
    });
}

template <class D, class S>
void softplus_gate_backward(Exec&, Rows<S> dz, Rows<const S> dgates, Rows<const S> z, const std::int32_t* ids) {
    Size K = dgates.columns;
    engine::parallel_blocks(z.rows, kSoftplusRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) softplus_row_backward(dz.row(n), dgates.row(n), z.row(n), ids + n * K, z.columns, K);
    });
}

#define INSTANTIATE(S)                                                                        \
    template void softplus_gate<Here, S>(Exec&, Rows<S>, Rows<const S>, const std::int32_t*); \
    template void softplus_gate_backward<Here, S>(Exec&, Rows<S>, Rows<const S>, Rows<const S>, const std::int32_t*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace walk
