#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/auction_rule.h"
#include "moe/kernels/balanced_assignment.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr int kAuctionThreads = 256, kSingleEvictions = 8;

// Everything of one auction in device memory. Lists have no order: what is kept depends on bids and rows only.
struct AuctionMemory {
    Price* value;           // (N,E)
    Price* price;           // (E)
    Price* bid;             // (N)
    std::int32_t* owner;    // (N)
    std::int32_t* members;  // (E,N): rows that each expert holds
    std::int32_t* held;     // (E): how many
    std::int32_t* touched;  // (E): bids came this round
    std::int32_t* waiting;  // (2,N): rows without an expert, of this round and of the next
    std::int32_t* count;    // (2)
};

struct Member {
    Price bid;
    std::int32_t row, place;
    // Nothing is stronger than everything.
    __device__ bool weaker_than(const Member& other) const {
        if (row < 0 || other.row < 0) return other.row < 0 && row >= 0;
        return bid != other.bid ? bid < other.bid : row > other.row;
    }
};

__device__ inline Member weakest_member(const AuctionMemory& m, const std::int32_t* list, Size held) {
    Member weakest{0, -1, -1};
    for (Size i = threadIdx.x % 32; i < held; i += 32) {
        Member here{m.bid[list[i]], list[i], static_cast<std::int32_t>(i)};
        if (here.weaker_than(weakest)) weakest = here;
    }
    for (int bits = 16; bits > 0; bits /= 2) {
        Member other{__shfl_xor_sync(engine::kFullWarp, weakest.bid, bits), __shfl_xor_sync(engine::kFullWarp, weakest.row, bits),
                     __shfl_xor_sync(engine::kFullWarp, weakest.place, bits)};
        if (other.weaker_than(weakest)) weakest = other;
    }
    return weakest;
}

// How many of the list's rows `test` holds for; all lanes get it.
template <class Test>
__device__ inline Size count_members(const std::int32_t* list, Size held, Test test) {
    std::int32_t count = 0;
    for (Size i = threadIdx.x % 32; i < held; i += 32) count += test(list[i]) ? 1 : 0;
    return engine::warp_sum(count);
}

// Keeps the `seats` strongest of a list at once: the lowest bid kept, then, among equal ones, the highest row kept, bit by bit.
__device__ inline void keep_strongest(const AuctionMemory& m, std::int32_t* list, Size held, Size seats, std::int32_t* evicted,
                                      std::int32_t* evictions) {
    Price bid = 0;
    for (int bit = 61; bit >= 0; --bit) {
        Price higher = bid | (Price{1} << bit);
        if (count_members(list, held, [&](std::int32_t n) { return m.bid[n] >= higher; }) >= seats) bid = higher;
    }
    Size equal = seats - count_members(list, held, [&](std::int32_t n) { return m.bid[n] > bid; });
    std::int32_t row = 0;  // rows below it are too few
    for (int bit = 30; bit >= 0; --bit) {
        std::int32_t higher = row | (std::int32_t{1} << bit);
        if (count_members(list, held, [&](std::int32_t n) { return m.bid[n] == bid && n < higher; }) < equal) row = higher;
    }
    Size kept = 0;
    for (Size first = 0; first < held; first += 32) {
        Size i = first + threadIdx.x % 32;
        std::int32_t n = i < held ? list[i] : -1;
        bool keep = n >= 0 && (m.bid[n] > bid || (m.bid[n] == bid && n <= row));
        unsigned keepers = __ballot_sync(engine::kFullWarp, keep);
        __syncwarp();
        if (keep) list[kept + __popc(keepers & ((1u << (threadIdx.x % 32)) - 1u))] = n;
        if (n >= 0 && !keep) {
            m.owner[n] = -1;
            evicted[atomicAdd(evictions, 1)] = n;
        }
        kept += __popc(keepers);
        __syncwarp();
    }
}

// One warp: expert e lets go of its weakest rows until its seats suffice; when they are all taken, the weakest sets the price.
__device__ inline void settle_expert(const AuctionMemory& m, Size N, Size e, Size seats, std::int32_t* evicted, std::int32_t* evictions) {
    std::int32_t* list = m.members + e * N;
    Size held = m.held[e];
    bool leads = threadIdx.x % 32 == 0;
    if (held > seats + kSingleEvictions) {
        keep_strongest(m, list, held, seats, evicted, evictions);
        held = seats;
    }
    for (; held > seats; --held) {
        Member out = weakest_member(m, list, held);
        __syncwarp();
        if (leads) {
            list[out.place] = list[held - 1];
            m.owner[out.row] = -1;
            evicted[atomicAdd(evictions, 1)] = out.row;
        }
        __syncwarp();
    }
    Member last = held == seats ? weakest_member(m, list, held) : Member{0, -1, -1};
    if (!leads) return;
    m.held[e] = static_cast<std::int32_t>(held);
    m.touched[e] = 0;
    if (last.row >= 0) m.price[e] = last.bid;
}

// One warp: what row n would offer whom.
__device__ inline Offer warp_offer(const AuctionMemory& m, Size E, Size n) {
    Offer offer;
    for (Size e = threadIdx.x % 32; e < E; e += 32) offer.see(m.value[n * E + e] - m.price[e], static_cast<std::int32_t>(e));
    for (int bits = 16; bits > 0; bits /= 2) {
        Offer other{__shfl_xor_sync(engine::kFullWarp, offer.best, bits), __shfl_xor_sync(engine::kFullWarp, offer.second, bits),
                    __shfl_xor_sync(engine::kFullWarp, offer.expert, bits)};
        if (other.expert >= 0) {
            if (offer.expert < 0) {
                offer = other;
            } else {
                Price second = other.second;
                offer.see(other.best, other.expert);
                if (second > offer.second) offer.second = second;
            }
        }
    }
    return offer;
}

__device__ inline void join_expert(const AuctionMemory& m, Size N, std::int32_t n, std::int32_t e, Price bid) {
    m.owner[n] = e;
    m.bid[n] = bid;
    m.members[e * N + atomicAdd(m.held + e, 1)] = n;
}

// One block holds the whole auction.
template <class S>
__global__ void balanced_assignment_kernel(AuctionMemory m, Rows<const S> z) {
    Size N = z.rows, E = z.columns < N ? z.columns : N, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    bool leads = threadIdx.x % 32 == 0;
    double low = __builtin_inf(), high = -__builtin_inf();
    for (Size i = threadIdx.x; i < N * E; i += blockDim.x) {
        double value = static_cast<double>(z(i / E, i % E));
        if (!is_finite_score(value)) continue;
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    low = -engine::block_max(-low, -__builtin_inf());
    high = engine::block_max(high, -__builtin_inf());
    AuctionRule rule(N, E, high < low ? 0.0 : low, high < low ? 0.0 : high);
    for (Size i = threadIdx.x; i < N * E; i += blockDim.x) m.value[i] = rule.value(z(i / E, i % E));
    for (Size n = threadIdx.x; n < N; n += blockDim.x) m.owner[n] = -1;
    for (Size e = threadIdx.x; e < E; e += blockDim.x) {
        m.price[e] = 0;
        m.touched[e] = 0;
    }
    for (Price epsilon = rule.first;; epsilon = AuctionRule::next(epsilon)) {
        for (Size e = threadIdx.x; e < E; e += blockDim.x) m.held[e] = 0;
        if (threadIdx.x < 2) m.count[threadIdx.x] = 0;
        __syncthreads();
        // Rows whose expert is within ε of their best stay, at its price; the others wait.
        for (Size n = warp; n < N; n += warps) {
            std::int32_t e = m.owner[n];
            Offer offer = warp_offer(m, E, n);
            if (!leads) continue;
            if (e >= 0 && m.value[n * E + e] - m.price[e] >= offer.best - epsilon) {
                join_expert(m, N, static_cast<std::int32_t>(n), e, m.price[e]);
            } else {
                m.owner[n] = -1;
                m.waiting[atomicAdd(m.count, 1)] = static_cast<std::int32_t>(n);
            }
        }
        __syncthreads();
        for (int side = 0;; side ^= 1) {
            std::int32_t* now = m.waiting + side * N;
            Size waiting = m.count[side];
            if (waiting == 0) break;
            for (Size i = warp; i < waiting; i += warps) {
                Offer offer = warp_offer(m, E, now[i]);
                if (!leads) continue;
                join_expert(m, N, now[i], offer.expert, m.price[offer.expert] + offer.raise(epsilon));
                atomicOr(m.touched + offer.expert, 1);
            }
            __syncthreads();
            if (threadIdx.x == 0) m.count[side] = 0;
            for (Size e = warp; e < E; e += warps) {
                if (m.touched[e] != 0) settle_expert(m, N, e, rule.seats(e), m.waiting + (side ^ 1) * N, m.count + (side ^ 1));
            }
            __syncthreads();
        }
        if (epsilon <= 1) break;
        __syncthreads();
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void balanced_assignment(Exec& exec, std::int32_t* ids, Rows<const S> z) {
    Size N = z.rows, E = z.columns < N ? z.columns : N;
    if (N == 0) return;
    engine::Scratch<Price> prices(exec, N * E + E + N);
    engine::Scratch<std::int32_t> lists(exec, E * N + 2 * E + 2 * N + 2);
    AuctionMemory memory{prices.data(),
                         prices.data() + N * E,
                         prices.data() + N * E + E,
                         ids,
                         lists.data(),
                         lists.data() + E * N,
                         lists.data() + E * N + E,
                         lists.data() + E * N + 2 * E,
                         lists.data() + E * N + 2 * E + 2 * N};
    engine::launch("balanced_assignment_kernel", balanced_assignment_kernel<S>, dim3(1), kAuctionThreads, 0, exec.stream, memory, z);
}

template void balanced_assignment<Here, float>(Exec&, std::int32_t*, Rows<const float>);

}  // namespace moe::kernels
