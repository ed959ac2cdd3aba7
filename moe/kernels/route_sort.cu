#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/route_sort.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr int kSortThreads = 128;

// counts[e] = choices of expert e. One block an expert.
__global__ void count_choices_kernel(std::int32_t* offsets, const std::int32_t* ids, Size choices) {
    std::int32_t count = 0;
    for (Size i = threadIdx.x; i < choices; i += blockDim.x) count += ids[i] == static_cast<std::int32_t>(blockIdx.x) ? 1 : 0;
    count = engine::block_sum(count);
    if (threadIdx.x == 0) offsets[blockIdx.x + 1] = count;
}

__global__ void sum_offsets_kernel(std::int32_t* offsets, Size E) {
    offsets[0] = 0;
    for (Size e = 0; e < E; ++e) offsets[e + 1] += offsets[e];
}

// One thread an expert walks over all choices in order: simple, stable and slow; experts run side by side.
__global__ void place_choices_kernel(RouteArrays out, const std::int32_t* ids, Size N, Size K, Size E, Size shards) {
    Size e = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (e >= E) return;
    std::int32_t next = out.offsets[e];
    Size tokens_a_shard = N / shards;
    for (Size n = 0; n < N; ++n) {
        if (n % tokens_a_shard == 0) out.shard_begin[n / tokens_a_shard * E + e] = next;
        for (Size k = 0; k < K; ++k) {
            if (e == 0 && ids[n * K + k] < 0) out.position[n * K + k] = -1;
            if (ids[n * K + k] != e) continue;
            out.token[next] = static_cast<std::int32_t>(n);
            out.position[n * K + k] = next;
            ++next;
        }
    }
    out.shard_begin[shards * E + e] = next;
}

template <class S>
__global__ void to_routed_kernel(S* y, const S* x, const std::int32_t* position, Size count) {
    Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count && position[i] >= 0) y[position[i]] = x[i];
}

template <class S>
__global__ void from_routed_kernel(S* x, const S* y, const std::int32_t* position, Size count) {
    Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count) x[i] = position[i] >= 0 ? y[position[i]] : S(0);
}

inline dim3 sort_grid(Size count) { return dim3(static_cast<unsigned>((count + kSortThreads - 1) / kSortThreads)); }

}  // namespace ENGINE_DEVICE

template <class D>
void route_sort(Exec& exec, const RouteArrays& out, const std::int32_t* ids, Size N, Size K, Size E, Size shards) {
    engine::launch("count_choices_kernel", count_choices_kernel, dim3(static_cast<unsigned>(E)), kSortThreads, 0, exec.stream, out.offsets,
                   ids, N * K);
    engine::launch("sum_offsets_kernel", sum_offsets_kernel, dim3(1), dim3(1), 0, exec.stream, out.offsets, E);
    engine::launch("place_choices_kernel", place_choices_kernel, sort_grid(E), kSortThreads, 0, exec.stream, out, ids, N, K, E, shards);
}

template <class D, class S>
void to_routed(Exec& exec, S* y, const S* x, const std::int32_t* position, Size count) {
    if (count == 0) return;
    engine::launch("to_routed_kernel", to_routed_kernel<S>, sort_grid(count), kSortThreads, 0, exec.stream, y, x, position, count);
}

template <class D, class S>
void from_routed(Exec& exec, S* x, const S* y, const std::int32_t* position, Size count) {
    if (count == 0) return;
    engine::launch("from_routed_kernel", from_routed_kernel<S>, sort_grid(count), kSortThreads, 0, exec.stream, x, y, position, count);
}

template void route_sort<Here>(Exec&, const RouteArrays&, const std::int32_t*, Size, Size, Size, Size);
template void to_routed<Here, float>(Exec&, float*, const float*, const std::int32_t*, Size);
template void from_routed<Here, float>(Exec&, float*, const float*, const std::int32_t*, Size);

}  // namespace moe::kernels
