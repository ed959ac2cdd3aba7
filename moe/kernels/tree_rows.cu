#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/tree_rows.h"
#include "moe/kernels/tree_rows_column.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

// One thread a column.
template <class S>
__global__ void tree_rows_kernel(S* y, Rows<const S> x, S divisor) {
    Size w = engine::element_index();
    if (w < x.columns) y[w] = tree_column(x, w, 0, x.rows) / divisor;
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void tree_rows(Exec& exec, S* y, Rows<const S> x, double divisor) {
    engine::launch("tree_rows_kernel", tree_rows_kernel<S>, engine::element_grid(x.columns), engine::kElementThreads, 0, exec.stream, y, x,
                   static_cast<S>(divisor));
}

template void tree_rows<Here, float>(Exec&, float*, Rows<const float>, double);

}  // namespace moe::kernels
