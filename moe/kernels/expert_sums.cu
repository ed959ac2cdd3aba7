#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/expert_sums.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr int kSumThreads = 128;

// One block an expert.
template <class S>
__global__ void expert_sums_kernel(S* sums, const std::int32_t* kept, const S* weights, Size count) {
    S sum = 0;
    for (Size i = threadIdx.x; i < count; i += blockDim.x) {
        if (kept[i] == static_cast<std::int32_t>(blockIdx.x)) sum += weights != nullptr ? weights[i] : S(1);
    }
    sum = engine::block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

template <class S>
__global__ void squared_variation_kernel(S* loss, S* slope, const S* sums, Size E) {
    S mean = 0, variance = 0;
    for (Size e = threadIdx.x; e < E; e += blockDim.x) mean += sums[e];
    mean = engine::block_sum(mean) / static_cast<S>(E);
    for (Size e = threadIdx.x; e < E; e += blockDim.x) variance += (sums[e] - mean) * (sums[e] - mean);
    S value = engine::block_sum(variance) / static_cast<S>(E) / (mean * mean);
    for (Size e = threadIdx.x; e < E; e += blockDim.x)
        slope[e] = S(2) / (static_cast<S>(E) * mean * mean) * (sums[e] - mean - value * mean);
    if (threadIdx.x == 0) *loss = value;
}

template <class S>
__global__ void spread_slope_kernel(S* d, const S* slope, const std::int32_t* kept, Size count, S scale) {
    Size i = engine::element_index();
    if (i < count) d[i] = kept[i] >= 0 ? scale * slope[kept[i]] : S(0);
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void expert_sums(Exec& exec, S* sums, const std::int32_t* kept, const S* weights, Size N, Size K, Size E) {
    engine::launch("expert_sums_kernel", expert_sums_kernel<S>, dim3(static_cast<unsigned>(E)), kSumThreads, 0, exec.stream, sums, kept,
                   weights, N * K);
}

template <class D, class S>
void squared_variation(Exec& exec, S* loss, S* slope, const S* sums, Size E) {
    engine::launch("squared_variation_kernel", squared_variation_kernel<S>, dim3(1), kSumThreads, 0, exec.stream, loss, slope, sums, E);
}

template <class D, class S>
void spread_slope(Exec& exec, S* d, const S* slope, const std::int32_t* kept, Size count, double scale) {
    engine::launch("spread_slope_kernel", spread_slope_kernel<S>, engine::element_grid(count), engine::kElementThreads, 0, exec.stream, d,
                   slope, kept, count, static_cast<S>(scale));
}

template void expert_sums<Here, float>(Exec&, float*, const std::int32_t*, const float*, Size, Size, Size);
template void squared_variation<Here, float>(Exec&, float*, float*, const float*, Size);
template void spread_slope<Here, float>(Exec&, float*, const float*, const std::int32_t*, Size, double);

}  // namespace moe::kernels
