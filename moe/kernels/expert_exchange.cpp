#include "moe/kernels/expert_exchange.h"

#include "engine/base/here.h"
#include "engine/base/threads.h"
#include "engine/kernels/tile/arena.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::parallel_for;
using engine::store;
using engine::kernels::tile::arena;

template <class D>
void own_ids(Exec&, std::int32_t* out, const std::int32_t* ids, Size count, Size first, Size experts, const std::int32_t* slot) {
    for (Size i = 0; i < count; ++i) {
        bool own = ids[i] >= first && ids[i] < first + experts && (slot == nullptr || slot[i] >= 0);
        out[i] = own ? static_cast<std::int32_t>(ids[i] - first) : -1;
    }
}

template <class D>
void owners(Exec&, std::int32_t* out, const std::int32_t* ids, Size count, Size experts) {
    for (Size i = 0; i < count; ++i) out[i] = ids[i] >= 0 ? static_cast<std::int32_t>(ids[i] / experts) : -1;
}

template <class D>
void owners_of_rows(Exec&, std::int32_t* out, const std::int32_t* ids, Size N, Size K, Size P, Size experts) {
    std::fill_n(out, N * P, -1);
    for (Size n = 0; n < N; ++n) {
        for (Size k = 0; k < K; ++k) {
            std::int32_t id = ids[n * K + k];
            if (id >= 0) out[n * P + id / experts] = static_cast<std::int32_t>(id / experts);
        }
    }
}

template <class D, class T>
void take_rows(Exec&, Rows<T> y, Rows<const T> x, const std::int32_t* index, const std::int32_t* through) {
    parallel_for(y.rows, [&](Size i) {
        if (index[i] >= 0) std::copy_n(x.row(through != nullptr ? through[index[i]] : index[i]), y.columns, y.row(i));
    });
}

template <class D, class T>
void put_rows(Exec&, Rows<T> y, Rows<const T> x, const std::int32_t* index) {
    parallel_for(x.rows, [&](Size i) {
        if (index[i] >= 0) std::copy_n(x.row(i), y.columns, y.row(index[i]));
    });
}

template <class D, class T>
void sum_routed_rows(Exec&, Rows<T> y, bool add, Rows<const Sum<T>> x, const std::int32_t* position, const std::int32_t* ids, Size K) {
    using S = Sum<T>;
    parallel_for(y.rows, [&](Size n) {
        S* sum = arena<3, S>(y.columns);
        auto* order = arena<4, std::int32_t>(K);
        for (Size c = 0; c < y.columns; ++c) sum[c] = add ? load(y(n, c)) : S(0);
        for (Size k = 0; k < K; ++k) order[k] = static_cast<std::int32_t>(k);
        std::stable_sort(order, order + K, [&](std::int32_t a, std::int32_t b) { return ids[n * K + a] < ids[n * K + b]; });
        for (Size i = 0; i < K; ++i) {
            std::int32_t r = position[n * K + order[i]];
            if (r < 0) continue;
            for (Size c = 0; c < y.columns; ++c) sum[c] += x(r, c);
        }
        for (Size c = 0; c < y.columns; ++c) y(n, c) = store<T>(sum[c]);
    });
}

template void own_ids<Here>(Exec&, std::int32_t*, const std::int32_t*, Size, Size, Size, const std::int32_t*);
template void owners<Here>(Exec&, std::int32_t*, const std::int32_t*, Size, Size);
template void owners_of_rows<Here>(Exec&, std::int32_t*, const std::int32_t*, Size, Size, Size, Size);
#define INSTANTIATE(T)                                                                                         \
    template void take_rows<Here, T>(Exec&, Rows<T>, Rows<const T>, const std::int32_t*, const std::int32_t*); \
    template void put_rows<Here, T>(Exec&, Rows<T>, Rows<const T>, const std::int32_t*);                       \
    template void sum_routed_rows<Here, T>(Exec&, Rows<T>, bool, Rows<const Sum<T>>, const std::int32_t*, const std::int32_t*, Size);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
