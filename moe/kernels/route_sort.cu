#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/route_sort.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr int kSortThreads = 128;
// Choices that one warp places: none of two micro-shards.
constexpr Size kRouteChunk = 256;

struct RouteChunks {
    Size choices, a_shard;  // of the whole, of one micro-shard
    Size chunks_a_shard, count;

    RouteChunks(Size N, Size K, Size shards) : choices(N * K), a_shard(N / shards * K) {
        chunks_a_shard = a_shard > 0 ? (a_shard + kRouteChunk - 1) / kRouteChunk : 1;
        count = chunks_a_shard * shards;
    }
    __device__ Size shard(Size chunk) const { return chunk / chunks_a_shard; }
    __device__ Size first(Size chunk) const { return shard(chunk) * a_shard + chunk % chunks_a_shard * kRouteChunk; }
    __device__ Size end(Size chunk) const {
        Size end = first(chunk) + kRouteChunk, of_shard = (shard(chunk) + 1) * a_shard;
        return end < of_shard ? end : of_shard;
    }
};

// Bit i: lane i of the warp has the same id. `bits`: how many an id has.
__device__ inline unsigned lanes_with(std::int32_t id, int bits) {
    unsigned same = engine::kFullWarp;
    for (int bit = 0; bit < bits; ++bit) {
        unsigned set = __ballot_sync(engine::kFullWarp, id >> bit & 1);
        same &= id >> bit & 1 ? set : ~set;
    }
    return same;
}

// One warp a chunk: counts[chunk,e] becomes its choices of expert e; or, where `out` is given, first holds how many chunks before have, and
// the choices go to their places.
__global__ void route_chunk_kernel(RouteArrays out, std::int32_t* counts, const std::int32_t* ids, RouteChunks chunks, Size K, Size E,
                                   int bits) {
    Size chunk = blockIdx.x, end = chunks.end(chunk);
    std::int32_t* own = counts + chunk * E;
    bool places = out.token != nullptr;
    for (Size e = threadIdx.x; e < E; e += 32) {
        if (!places) {
            own[e] = 0;
            continue;
        }
        if (chunk % chunks.chunks_a_shard == 0) out.shard_begin[chunks.shard(chunk) * E + e] = out.offsets[e] + own[e];
        if (chunk + 1 == chunks.count) out.shard_begin[chunks.count / chunks.chunks_a_shard * E + e] = out.offsets[e + 1];
    }
    __syncwarp();
    for (Size first = chunks.first(chunk); first < end; first += 32) {
        Size i = first + threadIdx.x;
        std::int32_t id = i < end ? ids[i] : -1;
        unsigned same = lanes_with(id, bits);
        int before = __popc(same & ((1u << threadIdx.x) - 1));
        std::int32_t at = id >= 0 ? own[id] + before : 0;
        __syncwarp();
        if (id >= 0 && before == 0) own[id] += __popc(same);
        __syncwarp();
        if (!places || i >= end) continue;
        if (id >= 0) {
            at += out.offsets[id];
            out.token[at] = static_cast<std::int32_t>(i / K);
        }
        out.position[i] = id >= 0 ? at : -1;
    }
}

// One warp an expert: counts[chunk,e] becomes the sum over the chunks before; offsets[e+1] the expert's choices.
__global__ void route_before_kernel(std::int32_t* offsets, std::int32_t* counts, Size chunks, Size E) {
    Size e = blockIdx.x;
    std::int32_t before = 0;
    for (Size first = 0; first < chunks; first += 32) {
        Size chunk = first + threadIdx.x;
        std::int32_t own = chunk < chunks ? counts[chunk * E + e] : 0, sum = engine::warp_sum_up_to_lane(own);
        if (chunk < chunks) counts[chunk * E + e] = before + sum - own;
        before += __shfl_sync(engine::kFullWarp, sum, 31);
    }
    if (threadIdx.x == 0) offsets[e + 1] = before;
}

// One warp: offsets become sums.
__global__ void route_offsets_kernel(std::int32_t* offsets, Size E) {
    std::int32_t before = 0;
    if (threadIdx.x == 0) offsets[0] = 0;
    for (Size first = 0; first < E; first += 32) {
        Size e = first + threadIdx.x;
        std::int32_t sum = engine::warp_sum_up_to_lane(e < E ? offsets[e + 1] : 0);
        if (e < E) offsets[e + 1] = before + sum;
        before += __shfl_sync(engine::kFullWarp, sum, 31);
    }
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
    RouteChunks chunks(N, K, shards);
    engine::Scratch<std::int32_t> counts(exec, chunks.count * E);
    int bits = 1;  // with one that only −1 has
    while (bits < 32 && E > Size{1} << (bits - 1)) ++bits;
    dim3 grid(static_cast<unsigned>(chunks.count));
    engine::launch("route_chunk_kernel", route_chunk_kernel, grid, 32, 0, exec.stream, RouteArrays{}, counts.data(), ids, chunks, K, E,
                   bits);
    engine::launch("route_before_kernel", route_before_kernel, dim3(static_cast<unsigned>(E)), 32, 0, exec.stream, out.offsets,
                   counts.data(), chunks.count, E);
    engine::launch("route_offsets_kernel", route_offsets_kernel, dim3(1), 32, 0, exec.stream, out.offsets, E);
    engine::launch("route_chunk_kernel", route_chunk_kernel, grid, 32, 0, exec.stream, out, counts.data(), ids, chunks, K, E, bits);
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
