#pragma once
// A warp's products on tensor cores, and the copies that feed them (PTX ISA, "mma.m16n8k16", "ldmatrix", "cp.async"; sm_80). Under g++ the
// same functions, lane by lane. All lanes of the warp call together. Reached through engine/cuda/launch.h.
#include "engine/base/dtype.h"

namespace engine::inline ENGINE_DEVICE {

// What a lane holds of a (16,16), b (16,8) and c (16,8). With g = lane/4 and t = lane%4:
//   a: pairs (g, 2t…), (g+8, 2t…), (g, 2t+8…), (g+8, 2t+8…) of k     b: pairs of k 2t…, 2t+8… of column g
//   c: (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1)
struct FragmentA {
    unsigned pairs[4];
};
struct FragmentB {
    unsigned pairs[2];
};
struct FragmentC {
    float sums[4];
};

#ifdef __CUDACC__

// c += a·b: products exact, sums in fp32 in an order of the hardware's that is the same for every element.
__device__ inline void multiply_add(FragmentC& c, const FragmentA& a, const FragmentB& b) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c.sums[0]), "+f"(c.sums[1]), "+f"(c.sums[2]), "+f"(c.sums[3])
                 : "r"(a.pairs[0]), "r"(a.pairs[1]), "r"(a.pairs[2]), "r"(a.pairs[3]), "r"(b.pairs[0]), "r"(b.pairs[1]));
}

__device__ inline unsigned shared_address(const void* address) { return static_cast<unsigned>(__cvta_generic_to_shared(address)); }

// Four 8×8 matrices of bf16 in shared memory; lane 8·i + r brings the address of row r of matrix i, 16 bytes. pairs[i] is what a lane holds
// of matrix i, or of its transpose.
template <bool kTransposed>
__device__ inline void load_matrices(unsigned (&pairs)[4], const void* row) {
    if constexpr (kTransposed) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(pairs[0]), "=r"(pairs[1]), "=r"(pairs[2]), "=r"(pairs[3])
                     : "r"(shared_address(row)));
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(pairs[0]), "=r"(pairs[1]), "=r"(pairs[2]), "=r"(pairs[3])
                     : "r"(shared_address(row)));
    }
}

// 16 bytes into shared memory, of which the first `bytes` come from `from` and the others are 0; there after wait_for_copies.
__device__ inline void begin_copy16(void* to, const void* from, int bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(bytes));
}
// The copies begun since the last call are one group.
__device__ inline void end_copy_group() { asm volatile("cp.async.commit_group;"); }
// This thread's copies are there, but for those of its last `kGroups` groups.
template <int kGroups>
__device__ inline void wait_for_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
}

#else

__device__ inline float low_half(unsigned pair) { return to_float(bf16{static_cast<std::uint16_t>(pair)}); }
__device__ inline float high_half(unsigned pair) { return to_float(bf16{static_cast<std::uint16_t>(pair >> 16)}); }

// What each lane of the block shows to its warp.
struct LanePointers {
    const void* of[1024];
};

// All lanes of the warp have put their pointers down; the caller's warp reads them through `of_lane` until it is synchronised again.
struct WarpPointers {
    const void* const* of_lane;
    explicit WarpPointers(const void* own) {
        auto& all = shared_memory<LanePointers>();
        all.of[threadIdx.x] = own;
        of_lane = all.of + threadIdx.x / 32 * 32;
        __syncwarp();
    }
    ~WarpPointers() { __syncwarp(); }
};

__device__ inline void multiply_add(FragmentC& c, const FragmentA& a, const FragmentB& b) {
    struct Operands {
        const FragmentA* a;
        const FragmentB* b;
    } own{&a, &b};
    WarpPointers warp(&own);
    auto operands = [&](unsigned lane) { return static_cast<const Operands*>(warp.of_lane[lane]); };
    unsigned lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    for (int half = 0; half < 2; ++half) {
        for (unsigned k = 0; k < 4; ++k) {
            for (unsigned i = 0; i < 4; ++i) {
                unsigned left = operands(4 * g + k)->a->pairs[2 * half + i / 2], right = operands(8 * t + 4 * (i % 2) + k)->b->pairs[half];
                c.sums[i] = fmaf(low_half(left), low_half(right), c.sums[i]);
                c.sums[i] = fmaf(high_half(left), high_half(right), c.sums[i]);
            }
        }
    }
}

template <bool kTransposed>
__device__ inline void load_matrices(unsigned (&pairs)[4], const void* row) {
    WarpPointers warp(row);
    unsigned lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    for (unsigned matrix = 0; matrix < 4; ++matrix) {
        auto element = [&](unsigned r, unsigned c) {
            return static_cast<unsigned>(static_cast<const std::uint16_t*>(warp.of_lane[8 * matrix + r])[c]);
        };
        pairs[matrix] = kTransposed ? element(2 * t, g) | element(2 * t + 1, g) << 16 : element(g, 2 * t) | element(g, 2 * t + 1) << 16;
    }
}

__device__ inline void begin_copy16(void* to, const void* from, int bytes) {
    memset(to, 0, 16);
    memcpy(to, from, static_cast<std::size_t>(bytes));
}
__device__ inline void end_copy_group() {}
template <int kGroups>
__device__ inline void wait_for_copies() {}

#endif

}  // namespace engine::inline ENGINE_DEVICE
