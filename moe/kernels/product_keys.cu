#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/product.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/product_key_row.h"

namespace moe::kernels {

using engine::Here;
using engine::Scratch;
using engine::kernels::Layout;

inline namespace ENGINE_DEVICE {

constexpr int kSearchThreads = 128;
constexpr Size kChunkTokens = 1024;

struct SmallerValue {
    __device__ float operator()(float a, float b) const { return a < b ? a : b; }
};

// best[r], best_id[r], r < count, of `n` values by the whole block: as TopOf of top_of.h. `above` has room for n.
__device__ inline void block_top(float* best, std::int32_t* best_id, const float* value, const std::int32_t* id, Size n, Size count,
                                 std::int32_t* above, std::int32_t* counter) {
    const float most_value = __builtin_huge_valf();
    float least = -most_value;
    if (count * 2 <= n) {
        least = most_value;
        for (Size g = threadIdx.x; g < count; g += blockDim.x) {
            float most = -most_value;
            for (Size i = g; i < n; i += count) most = value[i] > most ? value[i] : most;
            least = most < least ? most : least;
        }
        least = engine::block_reduce(least, most_value, SmallerValue{});
    }
    if (threadIdx.x == 0) *counter = 0;
    __syncthreads();
    for (Size i = threadIdx.x; i < n; i += blockDim.x) {
        if (value[i] >= least) above[atomicAdd(counter, 1)] = static_cast<std::int32_t>(i);
    }
    for (Size r = threadIdx.x; r < count; r += blockDim.x) {
        best[r] = value[r];
        best_id[r] = id != nullptr ? id[r] : static_cast<std::int32_t>(r);
    }
    __syncthreads();
    Size m = *counter;
    for (Size a = threadIdx.x; a < m; a += blockDim.x) {
        float own = value[above[a]];
        std::int32_t own_id = id != nullptr ? id[above[a]] : above[a];
        Size rank = 0;
        for (Size b = 0; b < m; ++b) {
            float other = value[above[b]];
            std::int32_t other_id = id != nullptr ? id[above[b]] : above[b];
            rank += other > own || (other == own && other_id < own_id) ? 1 : 0;
        }
        if (rank < count) {
            best[rank] = own;
            best_id[rank] = own_id;
        }
    }
    __syncthreads();
}

// Where a block's arrays stand in its dynamic shared memory, in 4-byte words.
struct SearchRoom {
    Size P, kept, pairs;
    ENGINE_BOTH Size above() const { return P > pairs ? P : pairs; }
    ENGINE_BOTH Size words() const { return 2 * P + 2 * (2 * kept + pairs) + above() + 1; }
};

// The pair of ranks (i,j) at a place of the grid.
__device__ inline void grid_pair(Size place, Size K, Size kept, Size& i, Size& j) {
    i = 0;
    while (place >= grid_columns(i, K, kept)) place -= grid_columns(i++, K, kept);
    j = place;
}

// One block a token and head. halves (tokens, H·2·P).
__global__ void product_key_top_kernel(std::int32_t* ids, float* scores, Rows<const float> halves, ProductKeys keys, SearchRoom room) {
    Size P = keys.sub_keys, K = keys.k, kept = room.kept, pairs = room.pairs;
    Size n = blockIdx.x / keys.heads, h = blockIdx.x % keys.heads;
    auto* half0 = reinterpret_cast<float*>(&engine::dynamic_shared<unsigned char>());
    float *half1 = half0 + P, *best0 = half1 + P, *best1 = best0 + kept, *sum = best1 + kept;
    auto* index0 = reinterpret_cast<std::int32_t*>(sum + pairs);
    std::int32_t *index1 = index0 + kept, *slot = index1 + kept, *above = slot + pairs, *counter = above + room.above();
    for (Size p = threadIdx.x; p < 2 * P; p += blockDim.x) half0[p] = halves(n, h * 2 * P + p);
    __syncthreads();
    block_top(best0, index0, half0, nullptr, P, kept, above, counter);
    block_top(best1, index1, half1, nullptr, P, kept, above, counter);
    for (Size pair = threadIdx.x; pair < pairs; pair += blockDim.x) {
        Size i, j;
        grid_pair(pair, K, kept, i, j);
        sum[pair] = best0[i] + best1[j];
        slot[pair] = static_cast<std::int32_t>(index0[i] * P + index1[j]);
    }
    __syncthreads();
    std::int32_t* own_ids = ids + (n * keys.heads + h) * K;
    float* own_scores = scores + (n * keys.heads + h) * K;
    block_top(own_scores, own_ids, sum, slot, pairs, K, above, counter);
    if (threadIdx.x != 0) return;
    float last = own_scores[K - 1];
    if (!(last == last)) {
        no_order(own_ids, own_scores, K, last);
    } else if (outside_ties(best0, best1, K, kept, last)) {
        resolve_ties(own_ids, own_scores, K, half0, half1, P, best1[0]);
    }
}

__global__ void product_key_choices_kernel(std::int32_t* rows, float* weights, const std::int32_t* ids, Rows<const float> dscores,
                                           ProductKeys keys) {
    Size i = engine::element_index(), HK = keys.heads * keys.k;
    if (i >= dscores.rows * HK) return;
    Size n = i / HK, h = i % HK / keys.k, k = i % keys.k;
    for (int part = 0; part < 2; ++part) {
        Size to = half_choice(keys, n, h, part, k);
        rows[to] = sub_key_row(keys, h, part, ids[i]);
        weights[to] = dscores(n, h * keys.k + k);
    }
}

struct LowRankCounter {
    std::int32_t value;
};

// One block a token.
__global__ void low_rank_top_kernel(std::int32_t* ids, float* best, std::int32_t* above, Rows<const float> scores, Size K) {
    auto& counter = engine::shared_memory<LowRankCounter>();
    Size n = blockIdx.x, M = scores.columns;
    block_top(best + n * K, ids + n * K, scores.row(n), nullptr, M, K, above + n * M, &counter.value);
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void product_key_top_k(Exec& exec, std::int32_t* ids, Sum<T>* scores, Rows<const T> q, Rows<const T> subkeys, const ProductKeys& keys) {
    Size H = keys.heads, P = keys.sub_keys, half = keys.half, chunk = q.rows < kChunkTokens ? q.rows : kChunkTokens;
    Size columns = H * 2 * P;
    Scratch<float> scratch(exec, chunk * columns + 1);
    SearchRoom room{P, kept_ranks(keys), grid_pairs(keys.k, kept_ranks(keys))};
    for (Size first = 0; first < q.rows; first += chunk) {
        Size rows = chunk < q.rows - first ? chunk : q.rows - first;
        for (Size h = 0; h < H; ++h) {
            for (Size part = 0; part < 2; ++part) {
                Rows<float> out{scratch.data() + (h * 2 + part) * P, rows, P, columns};
                Rows<const T> query{q.row(first) + ((keys.shares_query ? 0 : h) * 2 + part) * half, rows, half, q.stride};
                Rows<const T> set = subkeys.slice(((keys.shares_sub_keys ? 0 : h) * 2 + part) * P, P);
                engine::kernels::product<D, T, float>(exec, out, query, Layout::normal, set, Layout::transposed, false);
            }
        }
        engine::launch("product_key_top_kernel", product_key_top_kernel, dim3(static_cast<unsigned>(rows * H)), kSearchThreads,
                       static_cast<std::size_t>(room.words()) * 4, exec.stream, ids + first * H * keys.k, scores + first * H * keys.k,
                       Rows<const float>{scratch.data(), rows, columns, columns}, keys, room);
    }
}

template <class D, class S>
void product_key_choices(Exec& exec, std::int32_t* rows, S* weights, const std::int32_t* ids, Rows<const S> dscores,
                         const ProductKeys& keys) {
    engine::launch("product_key_choices_kernel", product_key_choices_kernel, engine::element_grid(dscores.rows * keys.heads * keys.k),
                   engine::kElementThreads, 0, exec.stream, rows, weights, ids, dscores, keys);
}

template <class D, class T>
void low_rank_top_k(Exec& exec, std::int32_t* ids, Rows<const T> x, Rows<const T> up, Size K) {
    constexpr Size kMostScores = Size{1} << 24;
    Size M = up.columns, chunk = kMostScores / M + 1 < x.rows ? kMostScores / M + 1 : x.rows;
    Scratch<float> scores(exec, chunk * M + 1), best(exec, chunk * K + 1);
    Scratch<std::int32_t> above(exec, chunk * M + 1);
    for (Size first = 0; first < x.rows; first += chunk) {
        Size rows = chunk < x.rows - first ? chunk : x.rows - first;
        Rows<float> part{scores.data(), rows, M, M};
        engine::kernels::product<D, T, float>(exec, part, x.slice(first, rows), Layout::normal, up, Layout::normal, false);
        engine::launch("low_rank_top_kernel", low_rank_top_kernel, dim3(static_cast<unsigned>(rows)), kSearchThreads, 0, exec.stream,
                       ids + first * K, best.data(), above.data(), part, K);
    }
}

#define INSTANTIATE(T)                                                                                                        \
    template void product_key_top_k<Here, T>(Exec&, std::int32_t*, float*, Rows<const T>, Rows<const T>, const ProductKeys&); \
    template void low_rank_top_k<Here, T>(Exec&, std::int32_t*, Rows<const T>, Rows<const T>, Size);
INSTANTIATE(float)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE
template void product_key_choices<Here, float>(Exec&, std::int32_t*, float*, const std::int32_t*, Rows<const float>, const ProductKeys&);

}  // namespace moe::kernels
