#include "moe/kernels/route_sort.h"

#include "engine/base/here.h"
#include "engine/memory/scratch.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;

template <class D>
void route_sort(Exec& exec, const RouteArrays& out, const std::int32_t* ids, Size N, Size K, Size E, Size shards) {
    std::fill_n(out.offsets, E + 1, 0);
    for (Size i = 0; i < N * K; ++i) out.offsets[ids[i] + 1] += ids[i] >= 0 ? 1 : 0;
    for (Size e = 0; e < E; ++e) out.offsets[e + 1] += out.offsets[e];
    engine::Scratch<std::int32_t> next(exec, E);
    std::copy_n(out.offsets, E, next.data());
    Size tokens_a_shard = N / shards;
    for (Size s = 0; s < shards; ++s) {
        std::copy_n(next.data(), E, out.shard_begin + s * E);
        for (Size n = s * tokens_a_shard; n < (s + 1) * tokens_a_shard; ++n) {
            for (Size k = 0; k < K; ++k) {
                std::int32_t expert = ids[n * K + k], row = expert >= 0 ? next[expert]++ : -1;
                if (row >= 0) out.token[row] = static_cast<std::int32_t>(n);
                out.position[n * K + k] = row;
            }
        }
    }
    std::copy_n(next.data(), E, out.shard_begin + shards * E);
}

template <class D, class S>
void to_routed(Exec&, S* y, const S* x, const std::int32_t* position, Size count) {
    for (Size i = 0; i < count; ++i) {
        if (position[i] >= 0) y[position[i]] = x[i];
    }
}

template <class D, class S>
void from_routed(Exec&, S* x, const S* y, const std::int32_t* position, Size count) {
    for (Size i = 0; i < count; ++i) x[i] = position[i] >= 0 ? y[position[i]] : S(0);
}

template void route_sort<Here>(Exec&, const RouteArrays&, const std::int32_t*, Size, Size, Size, Size);
template void to_routed<Here, float>(Exec&, float*, const float*, const std::int32_t*, Size);
template void to_routed<Here, double>(Exec&, double*, const double*, const std::int32_t*, Size);
template void from_routed<Here, float>(Exec&, float*, const float*, const std::int32_t*, Size);
template void from_routed<Here, double>(Exec&, double*, const double*, const std::int32_t*, Size);

}  // namespace moe::kernels
