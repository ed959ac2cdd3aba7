#include "engine/kernels/embedding.h"

#include "engine/base/threads.h"
#include "engine/memory/scratch.h"

#include <algorithm>

namespace engine::kernels {

template <class D, class T>
void embedding(Exec&, Rows<T> y, Rows<const T> table, const std::int32_t* ids) {
    constexpr Size kBlockRows = 64;
    parallel_blocks(y.rows, kBlockRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) std::copy_n(table.row(ids[n]), y.columns, y.row(n));
    });
}

template <class D, class T>
void embedding_backward(Exec& exec, Rows<Sum<T>> dtable, Rows<const T> dy, const std::int32_t* ids, bool add) {
    Size V = dtable.rows, N = dy.rows;
    // A stable counting sort of the rows by id.
    Scratch<Size> begin(exec, V + 1);
    Scratch<Size> order(exec, N);
    std::fill_n(begin.data(), V + 1, Size{0});
    for (Size n = 0; n < N; ++n) ++begin[ids[n] + 1];
    for (Size v = 0; v < V; ++v) begin[v + 1] += begin[v];
    Scratch<Size> next(exec, V);
    std::copy_n(begin.data(), V, next.data());
    for (Size n = 0; n < N; ++n) order[next[ids[n]]++] = n;
    parallel_for(V, [&](Size v) {
        Sum<T>* out = dtable.row(v);
        if (!add) std::fill_n(out, dtable.columns, Sum<T>(0));
        for (Size i = begin[v]; i < begin[v + 1]; ++i) {
            const T* in = dy.row(order[i]);
            for (Size c = 0; c < dtable.columns; ++c) out[c] += load(in[c]);
        }
    });
}

#define INSTANTIATE(T)                                                                    \
    template void embedding<Here, T>(Exec&, Rows<T>, Rows<const T>, const std::int32_t*); \
    template void embedding_backward<Here, T>(Exec&, Rows<Sum<T>>, Rows<const T>, const std::int32_t*, bool);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace engine::kernels
