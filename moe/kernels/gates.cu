#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/gate_row.h"
#include "moe/kernels/gates.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

// One thread a row.
template <class S>
__global__ void gates_kernel(S* gates, Rows<const S> z, const std::int32_t* ids, const std::int32_t* kept, Size N, Size K, GateRule rule) {
    Size n = engine::element_index();
    if (n < N) gate_row(gates + n * K, RowGates<S>(z.row(n), ids + n * K, kept + n * K, z.columns, K, rule));
}

template <class S>
__global__ void gates_backward_kernel(Rows<S> dz, const S* dgates, Rows<const S> z, const std::int32_t* ids, const std::int32_t* kept,
                                      Size K, GateRule rule) {
    Size n = engine::element_index();
    if (n < z.rows) gate_row_backward(dz.row(n), dgates + n * K, RowGates<S>(z.row(n), ids + n * K, kept + n * K, z.columns, K, rule));
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void gates(Exec& exec, S* gates, Rows<const S> z, const std::int32_t* ids, const std::int32_t* kept, Size N, Size K, GateRule rule) {
    engine::launch("gates_kernel", gates_kernel<S>, engine::element_grid(N), engine::kElementThreads, 0, exec.stream, gates, z, ids, kept,
                   N, K, rule);
}

template <class D, class S>
void gates_backward(Exec& exec, Rows<S> dz, const S* dgates, Rows<const S> z, const std::int32_t* ids, const std::int32_t* kept, Size K,
                    GateRule rule) {
    engine::launch("gates_backward_kernel", gates_backward_kernel<S>, engine::element_grid(z.rows), engine::kElementThreads, 0, exec.stream,
                   dz, dgates, z, ids, kept, K, rule);
}

template void gates<Here, float>(Exec&, float*, Rows<const float>, const std::int32_t*, const std::int32_t*, Size, Size, GateRule);
template void gates_backward<Here, float>(Exec&, Rows<float>, const float*, Rows<const float>, const std::int32_t*, const std::int32_t*,
                                          Size, GateRule);

}  // namespace moe::kernels
