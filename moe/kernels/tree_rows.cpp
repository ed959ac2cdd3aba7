#include "moe/kernels/tree_rows.h"

#include "moe/kernels/tree_rows_column.h"

namespace moe::kernels {

using engine::Here;

template <class D, class S>
void tree_rows(Exec&, S* y, Rows<const S> x, double divisor) {
    for (Size w = 0; w < x.columns; ++w) y[w] = tree_column(x, w, 0, x.rows) / static_cast<S>(divisor);
}

template void tree_rows<Here, float>(Exec&, float*, Rows<const float>, double);
template void tree_rows<Here, double>(Exec&, double*, Rows<const double>, double);

}  // namespace moe::kernels
