#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "tests/docs/kernels/softplus_gate.h"
#include "tests/docs/kernels/softplus_gate_row.h"

namespace walk {

using engine::Here;

inline namespace ENGINE_DEVICE {

// One thread a row.
template <class S>
__global__ void softplus_gate_kernel(Rows<S> gates, Rows<const S> z, const std::int32_t* ids) {
    Size n = engine::element_index(), K = gates.columns;
    if (n < z.rows) softplus_row(gates.row(n), z.row(n), ids + n * K, K);
}

template <class S>
__global__ void softplus_gate_backward_kernel(Rows<S> dz, Rows<const S> dgates, Rows<const S> z, const std::int32_t* ids) {
    Size n = engine::element_index(), K = dgates.columns;
    if (n < z.rows) softplus_row_backward(dz.row(n), dgates.row(n), z.row(n), ids + n * K, z.columns, K);
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void softplus_gate(Exec& exec, Rows<S> gates, Rows<const S> z, const std::int32_t* ids) {
    engine::launch("softplus_gate_kernel", softplus_gate_kernel<S>, engine::element_grid(z.rows), engine::kElementThreads, 0, exec.stream,
                   gates, z, ids);
}

template <class D, class S>
void softplus_gate_backward(Exec& exec, Rows<S> dz, Rows<const S> dgates, Rows<const S> z, const std::int32_t* ids) {
    engine::launch("softplus_gate_backward_kernel", softplus_gate_backward_kernel<S>, engine::element_grid(z.rows), engine::kElementThreads,
                   0, exec.stream, dz, dgates, z, ids);
}

template void softplus_gate<Here, float>(Exec&, Rows<float>, Rows<const float>, const std::int32_t*);
template void softplus_gate_backward<Here, float>(Exec&, Rows<float>, Rows<const float>, Rows<const float>, const std::int32_t*);

}  // namespace walk
