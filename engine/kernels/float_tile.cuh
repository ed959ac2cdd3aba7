#pragma once
// A tile of a product of fp32 in registers.
#include "engine/kernels/tile_operand.cuh"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// sums += a·b for a tile of kSide × kSide by 256 threads, kSide/16 × kSide/16 elements each. Every sum is one chain of fused multiply-adds
// over k, in order.
template <int kSide, Along kA, Along kB>
struct FloatTile {
    static constexpr int kM = kSide, kN = kSide, kThreads = 256, kBlocks = kSide > 64 ? 1 : 2, kK = 16, kEach = kSide / 16,
                         kPitch = kSide + 4;
    static constexpr std::size_t kSharedBytes = 0;  // but for what is static
    static constexpr Along kAlongA = kA, kAlongB = kB;
    struct Memory {
        alignas(16) float a[kK][kPitch];
        alignas(16) float b[kK][kPitch];
    };
    float sums[kEach][kEach];

    // Groups of 4 neighbours, 64 apart: a warp's reads of shared memory meet no bank twice.
    __device__ static int place(int i, unsigned part) { return i / 4 * 64 + 4 * static_cast<int>(part) + i % 4; }
    __device__ static int row_of(int i) { return place(i, threadIdx.x / 16); }
    __device__ static int column_of(int j) { return place(j, threadIdx.x % 16); }

    static constexpr int kCopies = kSide * kK / kThreads;
    // Which element of an operand's tile this thread's i-th copy is.
    template <Along kAlong>
    __device__ static void place_of_copy(int i, int& k, int& side) {
        int at = i * kThreads + static_cast<int>(threadIdx.x);
        k = kAlong == Along::k ? at % kK : at / kSide;
        side = kAlong == Along::k ? at / kK : at % kSide;
    }
    template <Along kAlong>
    __device__ static void fetch(float (&values)[kCopies], const TileOperand<float>& from, Size side0, Size k0) {
#pragma unroll
        for (int i = 0; i < kCopies; ++i) {
            int k, side;
            place_of_copy<kAlong>(i, k, side);
            Size row = kAlong == Along::k ? side0 + side : k0 + k, column = kAlong == Along::k ? k0 + k : side0 + side;
            bool inside = from.has_row(row) && column < from.columns;
            values[i] = inside ? from.row(row)[column] : 0.0f;
        }
    }
    template <Along kAlong>
    __device__ static void put(float (*tile)[kPitch], const float (&values)[kCopies]) {
#pragma unroll
        for (int i = 0; i < kCopies; ++i) {
            int k, side;
            place_of_copy<kAlong>(i, k, side);
            tile[k][side] = values[i];
        }
    }

    // The next tile is on its way while this one is multiplied.
    __device__ void add_product(const TileOperand<float>& a, const TileOperand<float>& b, Size m0, Size n0, Size K) {
        auto& memory = shared_memory<Memory>();
        float next_a[kCopies], next_b[kCopies];
        fetch<kA>(next_a, a, m0, 0);
        fetch<kB>(next_b, b, n0, 0);
        for (Size k0 = 0; k0 < K; k0 += kK) {
            put<kA>(memory.a, next_a);
            put<kB>(memory.b, next_b);
            __syncthreads();
            fetch<kA>(next_a, a, m0, k0 + kK);
            fetch<kB>(next_b, b, n0, k0 + kK);
            if (K - k0 >= kK) {
#pragma unroll
                for (int k = 0; k < kK; ++k) multiply(memory, k);
            } else {
                for (int k = 0; k < static_cast<int>(K - k0); ++k) multiply(memory, k);
            }
            __syncthreads();
        }
    }
    __device__ void multiply(const Memory& memory, int k) {
        float left[kEach], right[kEach];
#pragma unroll
        for (int i = 0; i < kEach; ++i) left[i] = memory.a[k][row_of(i)], right[i] = memory.b[k][column_of(i)];
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
#pragma unroll
            for (int j = 0; j < kEach; ++j) sums[i][j] = fmaf(left[i], right[j], sums[i][j]);
        }
    }

    template <class Use>
    __device__ void for_each_pair(Use use) {
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
#pragma unroll
            for (int j = 0; j < kEach; j += 2) use(row_of(i), column_of(j), sums[i][j], sums[i][j + 1]);
        }
    }
};

}  // namespace ENGINE_DEVICE

}  // namespace engine::kernels
