#include "engine/base/here.h"
#include "engine/kernels/column_sum.h"
#include "engine/kernels/column_sums.cuh"

namespace engine::kernels {

template <class D, class T>
void column_sum(Exec& exec, Sum<T>* y, Rows<const T> x, bool add) {
    column_sums(exec, y, x, add);
}

template void column_sum<Here, float>(Exec&, float*, Rows<const float>, bool);
template void column_sum<Here, bf16>(Exec&, float*, Rows<const bf16>, bool);

}  // namespace engine::kernels
