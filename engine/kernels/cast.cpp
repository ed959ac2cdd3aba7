#include "engine/kernels/cast.h"

#include "engine/base/threads.h"

namespace engine::kernels {

template <class D, class To, class From>
void cast(Exec&, Rows<To> y, Rows<const From> x) {
    constexpr Size kBlock = 32768;
    Size columns = y.columns, blocks = (columns + kBlock - 1) / kBlock;
    parallel_for(y.rows * blocks, [&](Size task) {
        Size row = task / blocks, first = task % blocks * kBlock, last = first + kBlock < columns ? first + kBlock : columns;
        To* out = y.row(row);
        const From* in = x.row(row);
        for (Size j = first; j < last; ++j) out[j] = store<To>(load(in[j]));
    });
}

template void cast<Here, bf16, float>(Exec&, Rows<bf16>, Rows<const float>);
template void cast<Here, float, bf16>(Exec&, Rows<float>, Rows<const bf16>);

}  // namespace engine::kernels
