#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/top_ids.h"
#include "moe/kernels/top_order.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr int kPickThreads = 128;

template <class S>
__device__ inline RankedScore<S> warp_first(RankedScore<S> mine) {
    for (int bits = 16; bits > 0; bits /= 2) {
        RankedScore<S> other{__shfl_xor_sync(engine::kFullWarp, mine.value, bits), __shfl_xor_sync(engine::kFullWarp, mine.index, bits),
                             __shfl_xor_sync(engine::kFullWarp, mine.dropped, bits)};
        if (stands_before(other, mine)) mine = other;
    }
    return mine;
}

// One warp a row; each pass finds the score that stands next behind the last one.
template <class S>
__global__ void top_ids_kernel(std::int32_t* ids, std::int32_t* kept, Rows<const S> s, Size K, ChoiceDropout dropout,
                               const engine::StepScalars* scalars) {
    Size n = (static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
    if (n >= s.rows) return;
    DropTest test{0, 0, static_cast<std::uint64_t>(dropout.first_row + n), dropout.site, engine::drop_threshold(dropout.rate)};
    if (test.threshold != 0) {
        test.seed = scalars->seed;
        test.step = scalars->step;
    }
    RankedScore<S> last{S(0), -1, 0};
    for (Size k = 0; k < K; ++k) {
        RankedScore<S> best{S(0), -1, 0};
        for (Size e = threadIdx.x % 32; e < s.columns; e += 32) {
            RankedScore<S> score{rankable(s(n, e)), static_cast<std::int32_t>(e), test(e, s.columns) ? 1 : 0};
            if ((k == 0 || stands_before(last, score)) && stands_before(score, best)) best = score;
        }
        last = warp_first(best);
        if (threadIdx.x % 32 != 0) continue;
        ids[n * K + k] = last.index;
        if (kept != nullptr) kept[n * K + k] = last.dropped != 0 ? -1 : last.index;
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void top_ids(Exec& exec, std::int32_t* ids, std::int32_t* kept, Rows<const S> s, Size K, ChoiceDropout dropout) {
    constexpr Size kRows = kPickThreads / 32;
    if (s.rows == 0) return;
    engine::launch("top_ids_kernel", top_ids_kernel<S>, dim3(static_cast<unsigned>((s.rows + kRows - 1) / kRows)), kPickThreads, 0,
                   exec.stream, ids, kept, s, K, dropout, exec.scalars);
}

template void top_ids<Here, float>(Exec&, std::int32_t*, std::int32_t*, Rows<const float>, Size, ChoiceDropout);

}  // namespace moe::kernels
