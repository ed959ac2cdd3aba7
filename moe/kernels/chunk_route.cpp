#include "moe/kernels/chunk_route.h"

#include "engine/base/here.h"
#include "engine/base/threads.h"
#include "moe/kernels/chunk_route_row.h"

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::store;

template <class D, class T>
void chunk_route(Exec&, std::int32_t* ids, Sum<T>* gates, Rows<Sum<T>> p, Rows<Sum<T>> c, Rows<const T> z, Rows<const T> w,
                 const Chunks& chunks, Size prefix) {
    engine::parallel_for(chunks.sequences * chunks.count, [&](Size group) {
        Size row = group / chunks.count * chunks.length, column = chunks.u(group % chunks.count);
        for (Size f = 0; f < w.rows; ++f) c(group, f) = prefix_mean(z, row, column + f, prefix);
        for (Size e = 0; e < chunks.count; ++e) p(group, e) = chunk_logit<T>(c.row(group), w, e);
        ids[group] = softmax_choice(p.row(group), chunks.count);
        gates[group] = p(group, ids[group]);
    });
}

template <class D, class T>
void chunk_route_backward(Exec&, Rows<Sum<T>> dlogits, Rows<T> dz, const Sum<T>* dgates, const std::int32_t* ids, Rows<const Sum<T>> p,
                          Rows<const T> w, const Chunks& chunks, Size prefix) {
    using S = Sum<T>;
    engine::parallel_for(chunks.sequences * chunks.count, [&](Size group) {
        Size row = group / chunks.count * chunks.length, column = chunks.u(group % chunks.count);
        S share = dgates[group] * p(group, ids[group]);
        for (Size e = 0; e < chunks.count; ++e) dlogits(group, e) = share * ((e == ids[group] ? S(1) : S(0)) - p(group, e));
        for (Size f = 0; f < w.rows; ++f) {
            S sum = 0;
            for (Size e = 0; e < chunks.count; ++e) sum += load(w(f, e)) * dlogits(group, e);
            sum /= static_cast<S>(prefix);
            for (Size t = 0; t < prefix; ++t) dz(row + t, column + f) = store<T>(load(dz(row + t, column + f)) + sum);
        }
    });
}

#define INSTANTIATE(T)                                                                                                                \
    template void chunk_route<Here, T>(Exec&, std::int32_t*, Sum<T>*, Rows<Sum<T>>, Rows<Sum<T>>, Rows<const T>, Rows<const T>,       \
                                       const Chunks&, Size);                                                                          \
    template void chunk_route_backward<Here, T>(Exec&, Rows<Sum<T>>, Rows<T>, const Sum<T>*, const std::int32_t*, Rows<const Sum<T>>, \
                                                Rows<const T>, const Chunks&, Size);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
