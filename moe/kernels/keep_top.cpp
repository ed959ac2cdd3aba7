#include "moe/kernels/keep_top.h"

#include "engine/base/here.h"
#include "engine/base/threads.h"
#include "engine/kernels/tile/arena.h"
#include "moe/kernels/top_of.h"
#include "moe/kernels/top_order.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::kernels::tile::arena;

inline namespace ENGINE_DEVICE {

constexpr Size kTopRows = 32;

}  // namespace ENGINE_DEVICE

template <class D, class T>
void keep_top(Exec&, Rows<T> y, std::int32_t* ids, Rows<const T> x, Size K) {
    using S = engine::Sum<T>;
    Size F = x.columns, blocks = (x.rows + kTopRows - 1) / kTopRows;
    engine::parallel_for(blocks, [&](Size block) {
        TopOf<S> top(F);
        S* values = arena<4, S>(F + K);
        S* best = values + F;
        for (Size n = block * kTopRows; n < std::min(x.rows, (block + 1) * kTopRows); ++n) {
            const T* in = x.row(n);
            for (Size f = 0; f < F; ++f) values[f] = rankable(load(in[f]));
            std::int32_t* order = ids + n * K;
            top.find(best, order, values, nullptr, F, K);
            std::fill_n(y.row(n), F, T{});
            for (Size k = 0; k < K; ++k) y(n, order[k]) = in[order[k]];
        }
    });
}

template <class D, class T>
void keep_top_backward(Exec&, Rows<T> dx, Rows<const T> dy, const std::int32_t* ids, Size K) {
    engine::parallel_blocks(dx.rows, kTopRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            std::fill_n(dx.row(n), dx.columns, T{});
            for (Size k = 0; k < K; ++k) dx(n, ids[n * K + k]) = dy(n, ids[n * K + k]);
        }
    });
}

#define INSTANTIATE(T)                                                                   \
    template void keep_top<Here, T>(Exec&, Rows<T>, std::int32_t*, Rows<const T>, Size); \
    template void keep_top_backward<Here, T>(Exec&, Rows<T>, Rows<const T>, const std::int32_t*, Size);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
