#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/pair_slots.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr int kPairThreads = 512;
constexpr std::size_t kPairsOfLaunch = 64;

// They travel with the call: nothing waits.
struct PairsOfLaunch {
    Pair pair[kPairsOfLaunch];
};

// Rows and choices before something.
struct PairCounts {
    std::int32_t rows, choices;
};

struct PairWarps {
    PairCounts before[kPairThreads / 32 + 1];  // each warp's, then all
};

// What the block's threads before this one have together; and the block's total.
__device__ inline PairCounts counts_before(PairCounts own, PairCounts& total) {
    auto& warps = engine::shared_memory<PairWarps>();
    unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    PairCounts sum{engine::warp_sum_up_to_lane(own.rows), engine::warp_sum_up_to_lane(own.choices)};
    if (lane == 31) warps.before[warp + 1] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        warps.before[0] = {0, 0};
        for (int w = 0; w < kPairThreads / 32; ++w) {
            warps.before[w + 1].rows += warps.before[w].rows;
            warps.before[w + 1].choices += warps.before[w].choices;
        }
    }
    __syncthreads();
    PairCounts before = warps.before[warp];
    total = warps.before[kPairThreads / 32];
    __syncthreads();
    return {before.rows + sum.rows - own.rows, before.choices + sum.choices - own.choices};
}

__global__ void no_slots_kernel(std::int32_t* slot, Size count) {
    Size i = engine::element_index();
    if (i < count) slot[i] = -1;
}

// One block a pair, one thread a row.
__global__ void pair_slots_kernel(PairArrays out, const std::int32_t* ids, Size K, Size experts, PairsOfLaunch pairs, Size first_pair,
                                  Size all_pairs) {
    Pair pair = pairs.pair[blockIdx.x];
    PairCounts done{0, 0};
    for (Size begin = 0; begin < pair.rows; begin += kPairThreads) {
        Size n = pair.first_row + begin + threadIdx.x;
        bool exists = begin + threadIdx.x < pair.rows;
        PairCounts own{0, 0};
        for (Size i = n * K; exists && i < (n + 1) * K; ++i) own.choices += ids[i] >= 0 && ids[i] / experts == pair.owner ? 1 : 0;
        own.rows = own.choices > 0 ? 1 : 0;
        PairCounts total, at = counts_before(own, total);
        at = {done.rows + at.rows, done.choices + at.choices};
        done = {done.rows + total.rows, done.choices + total.choices};
        if (own.rows == 0 || at.rows >= pair.row_slots.count) continue;
        out.row[pair.row_slots.first + at.rows] = static_cast<std::int32_t>(n);
        for (Size i = n * K; i < (n + 1) * K; ++i) {
            if (ids[i] < 0 || ids[i] / experts != pair.owner) continue;
            std::int32_t j = at.choices++;
            if (j >= pair.choice_slots.count) continue;
            out.slot[i] = pair.choice_slots.first + j;
            if (out.choice != nullptr) out.choice[pair.choice_slots.first + j] = static_cast<std::int32_t>(i);
        }
    }
    for (Size i = done.rows + threadIdx.x; i < pair.row_slots.count; i += kPairThreads) out.row[pair.row_slots.first + i] = -1;
    if (threadIdx.x != 0 || out.need == nullptr) return;
    out.need[first_pair + blockIdx.x] = done.rows;
    out.need[all_pairs + first_pair + blockIdx.x] = done.choices;
}

}  // namespace ENGINE_DEVICE

template <class D>
void pair_slots(Exec& exec, const PairArrays& out, const std::int32_t* ids, Size N, Size K, Size experts, const std::vector<Pair>& pairs) {
    auto clear = [&](std::int32_t* slots, Size count) {
        engine::launch("no_slots_kernel", no_slots_kernel, engine::element_grid(count), engine::kElementThreads, 0, exec.stream, slots,
                       count);
    };
    clear(out.slot, N * K);
    Size choices = 0;
    for (const Pair& pair : pairs) choices = std::max<Size>(choices, pair.choice_slots.first + pair.choice_slots.count);
    if (out.choice != nullptr) clear(out.choice, choices);
    for (std::size_t first = 0; first < pairs.size(); first += kPairsOfLaunch) {
        PairsOfLaunch some{};
        std::size_t count = std::min(kPairsOfLaunch, pairs.size() - first);
        std::copy_n(pairs.begin() + static_cast<std::ptrdiff_t>(first), count, some.pair);
        engine::launch("pair_slots_kernel", pair_slots_kernel, dim3(static_cast<unsigned>(count)), kPairThreads, 0, exec.stream, out, ids,
                       K, experts, some, static_cast<Size>(first), static_cast<Size>(pairs.size()));
    }
}

template void pair_slots<Here>(Exec&, const PairArrays&, const std::int32_t*, Size, Size, Size, const std::vector<Pair>&);

}  // namespace moe::kernels
