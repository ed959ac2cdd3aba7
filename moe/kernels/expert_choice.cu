#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/expert_choice.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr int kChooserThreads = 256;

// How much an expert likes a row, as bits that order as the values do.
__device__ inline unsigned liking(float p) { return p > 0.0f ? __float_as_uint(p) : 0u; }

// The rows whose liking `test` holds for; all threads get the number.
template <class Test>
__device__ inline int count_rows(Size N, Test test) {
    int count = 0;
    for (Size n = threadIdx.x; n < N; n += blockDim.x) count += test(n) ? 1 : 0;
    return engine::block_sum(count);
}

// One block an expert. `taken` (E,seats) is room for what it took, in no order.
template <class S>
__global__ void best_rows_kernel(std::int32_t* rows, std::int32_t* taken, std::int32_t* counts, Rows<const S> p, Size seats) {
    Size e = blockIdx.x, N = p.rows;
    std::int32_t* own = taken + e * seats;
    unsigned lowest = 0;
    for (int bit = 30; bit >= 0; --bit) {
        unsigned higher = lowest | (1u << bit);
        if (count_rows(N, [&](Size n) { return liking(p(n, e)) >= higher; }) >= seats) lowest = higher;
    }
    // Of equal ones the lower rows: row < limit.
    int equal = static_cast<int>(seats) - count_rows(N, [&](Size n) { return liking(p(n, e)) > lowest; });
    Size limit = 0;
    for (int bit = 30; bit >= 0; --bit) {
        Size higher = limit | (Size{1} << bit);
        if (count_rows(N, [&](Size n) { return liking(p(n, e)) == lowest && n < higher; }) <= equal) limit = higher;
    }
    if (threadIdx.x == 0) counts[e] = 0;
    __syncthreads();
    for (Size n = threadIdx.x; n < N; n += blockDim.x) {
        unsigned own_liking = liking(p(n, e));
        if (own_liking > lowest || (own_liking == lowest && n < limit)) own[atomicAdd(counts + e, 1)] = static_cast<std::int32_t>(n);
    }
    __syncthreads();
    for (Size i = threadIdx.x; i < seats; i += blockDim.x) {
        std::int32_t n = own[i];
        unsigned here = liking(p(n, e));
        Size rank = 0;
        for (Size j = 0; j < seats; ++j) {
            unsigned other = liking(p(own[j], e));
            rank += other > here || (other == here && own[j] < n) ? 1 : 0;
        }
        rows[e * seats + rank] = n;
    }
}

// One thread an element.
template <class S>
__global__ void clear_spread_kernel(std::int32_t* kept, S* gates, Size count) {
    Size i = engine::element_index();
    if (i >= count) return;
    kept[i] = -1;
    gates[i] = S(0);
}

// One thread a seat.
template <class S>
__global__ void spread_rows_kernel(std::int32_t* kept, S* gates, const std::int32_t* rows, Rows<const S> p, Size first, Size seats) {
    Size i = engine::element_index();
    if (i >= p.columns * seats) return;
    Size n = rows[i] - first, e = i / seats;
    if (n < 0 || n >= p.rows) return;
    kept[n * p.columns + e] = static_cast<std::int32_t>(e);
    gates[n * p.columns + e] = p(n, e);
}

template <class S>
__global__ void gather_gates_kernel(S* gates, const std::int32_t* rows, Rows<const S> p, Size seats) {
    Size i = engine::element_index();
    if (i < p.columns * seats) gates[i] = p(rows[i], i / seats);
}

// One block an expert.
template <class S>
__global__ void expert_choice_sums_kernel(S* sums, Rows<const S> p, const std::int32_t* kept, const S* dgates) {
    Size e = blockIdx.x;
    S sum = 0;
    for (Size n = threadIdx.x; n < p.rows; n += blockDim.x) {
        Size i = n * p.columns + e;
        if (kept[i] >= 0) sum += p(n, e) * dgates[i];
    }
    sum = engine::block_sum(sum);
    if (threadIdx.x == 0) sums[e] = sum;
}

// One thread a row.
template <class S>
__global__ void expert_choice_backward_kernel(Rows<S> dz, Rows<const S> p, const std::int32_t* kept, const S* dgates, const S* sums) {
    Size n = engine::element_index(), E = p.columns;
    if (n >= p.rows) return;
    S row_sum = 0;
    for (Size e = 0; sums == nullptr && e < E; ++e) row_sum += kept[n * E + e] >= 0 ? p(n, e) * dgates[n * E + e] : S(0);
    for (Size e = 0; e < E; ++e) {
        S d = kept[n * E + e] >= 0 ? dgates[n * E + e] : S(0);
        dz(n, e) = p(n, e) * (d - (sums != nullptr ? sums[e] : row_sum));
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void best_rows(Exec& exec, std::int32_t* rows, Rows<const S> p, Size seats) {
    engine::Scratch<std::int32_t> taken(exec, p.columns * (seats + 1));
    engine::launch("best_rows_kernel", best_rows_kernel<S>, dim3(static_cast<unsigned>(p.columns)), kChooserThreads, 0, exec.stream, rows,
                   taken.data(), taken.data() + p.columns * seats, p, seats);
}

template <class D, class S>
void spread_rows(Exec& exec, std::int32_t* kept, S* gates, const std::int32_t* rows, Rows<const S> p, Size first, Size seats) {
    engine::launch("clear_spread_kernel", clear_spread_kernel<S>, engine::element_grid(p.rows * p.columns), engine::kElementThreads, 0,
                   exec.stream, kept, gates, p.rows * p.columns);
    engine::launch("spread_rows_kernel", spread_rows_kernel<S>, engine::element_grid(p.columns * seats), engine::kElementThreads, 0,
                   exec.stream, kept, gates, rows, p, first, seats);
}

template <class D, class S>
void gather_gates(Exec& exec, S* gates, const std::int32_t* rows, Rows<const S> p, Size seats) {
    engine::launch("gather_gates_kernel", gather_gates_kernel<S>, engine::element_grid(p.columns * seats), engine::kElementThreads, 0,
                   exec.stream, gates, rows, p, seats);
}

template <class D, class S>
void expert_choice_sums(Exec& exec, S* sums, Rows<const S> p, const std::int32_t* kept, const S* dgates) {
    engine::launch("expert_choice_sums_kernel", expert_choice_sums_kernel<S>, dim3(static_cast<unsigned>(p.columns)), kChooserThreads, 0,
                   exec.stream, sums, p, kept, dgates);
}

template <class D, class S>
void expert_choice_backward(Exec& exec, Rows<S> dz, Rows<const S> p, const std::int32_t* kept, const S* dgates, const S* sums) {
    engine::launch("expert_choice_backward_kernel", expert_choice_backward_kernel<S>, engine::element_grid(p.rows), engine::kElementThreads,
                   0, exec.stream, dz, p, kept, dgates, sums);
}

template void best_rows<Here, float>(Exec&, std::int32_t*, Rows<const float>, Size);
template void spread_rows<Here, float>(Exec&, std::int32_t*, float*, const std::int32_t*, Rows<const float>, Size, Size);
template void gather_gates<Here, float>(Exec&, float*, const std::int32_t*, Rows<const float>, Size);
template void expert_choice_sums<Here, float>(Exec&, float*, Rows<const float>, const std::int32_t*, const float*);
template void expert_choice_backward<Here, float>(Exec&, Rows<float>, Rows<const float>, const std::int32_t*, const float*, const float*);

}  // namespace moe::kernels
