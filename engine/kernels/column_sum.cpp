#include "engine/kernels/column_sum.h"

#include "engine/kernels/column_blocks.h"

namespace engine::kernels {

template <class D, class T>
void column_sum(Exec& exec, Sum<T>* y, Rows<const T> x, bool add) {
    Sum<T>* sums[1] = {y};
    sum_columns<1>(exec, sums, x.rows, x.columns, add, [&](Size n, Sum<T>* const(&out)[1]) {
        const T* in = x.row(n);
        for (Size c = 0; c < x.columns; ++c) out[0][c] += load(in[c]);
    });
}

template void column_sum<Here, float>(Exec&, float*, Rows<const float>, bool);
template void column_sum<Here, double>(Exec&, double*, Rows<const double>, bool);
template void column_sum<Here, bf16>(Exec&, float*, Rows<const bf16>, bool);

}  // namespace engine::kernels
