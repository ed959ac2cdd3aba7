#pragma once
// A tile of a product of bf16 on tensor cores.
#include "engine/kernels/tile_operand.cuh"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// A tile's place in shared memory: `kRows` rows of `kColumns` elements in chunks of 16 bytes, moved about so that eight rows' chunks of one
// column, or a row's eight, lie in different banks.
template <int kColumns>
__device__ inline int chunk_place(int row, int chunk) {
    constexpr int kChunks = kColumns / 8;
    return row * kChunks + (kChunks == 4 ? chunk ^ ((row >> 1) & 3) : chunk ^ (row & 7));
}

// Eight elements of bf16.
struct alignas(16) Chunk {
    bf16 values[8];
};

// Copies tiles of an operand to shared memory, one after another along k; beyond the edges 0. Each thread copies the same chunks of every
// tile. A tile has kSide rows of kDepth elements where the operand lies along k, else kDepth rows of kSide.
template <int kSide, int kDepth, int kThreads, Along kAlong>
class TileCopies {
  public:
    // side0: the first row, or column, of all tiles.
    __device__ TileCopies(const TileOperand<bf16>& from, Size side0) : from_(from) {
#pragma unroll
        for (int i = 0; i < kCopies; ++i) {
            Size row = kAlong == Along::k ? side0 + row_of(i) : row_of(i),
                 column = kAlong == Along::k ? column_of(i) : side0 + column_of(i);
            Size left = from.columns - column;
            columns_[i] = left > 0 ? static_cast<int>(left < kFar ? left : kFar) : 0;
            if (kAlong == Along::k && !from.has_row(row)) columns_[i] = 0;
            bool known = columns_[i] > 0 && (kAlong == Along::k || from.index == nullptr);
            source_[i] = known ? (kAlong == Along::k ? from.row(row) : from.data + (from.first + row) * from.stride) + column : from.data;
            if (kAlong == Along::rows && from.index != nullptr) source_[i] = from.data + column;
        }
    }

    // The tile that begins at k.
    __device__ void copy(Chunk* tile, Size k) const {
#pragma unroll
        for (int i = 0; i < kCopies; ++i) {
            const bf16* source = source_[i];
            int count = columns_[i];
            if constexpr (kAlong == Along::k) {
                source += k;
                count -= static_cast<int>(k);
            } else {
                Size row = k + row_of(i);
                if (!from_.has_row(row)) count = 0;
                if (count > 0)
                    source = from_.index != nullptr ? source + from_.index[from_.first + row] * from_.stride : source + k * from_.stride;
            }
            count = count < 0 ? 0 : count > 8 ? 8 : count;
            Chunk* to = tile + chunk_place<kColumns>(row_of(i), column_of(i) / 8);
            from_.vectors ? begin_copy16(to, count > 0 ? source : from_.data, 2 * count) : copy_elements(to, source, count);
        }
    }

  private:
    static constexpr int kRows = kAlong == Along::k ? kSide : kDepth, kColumns = kAlong == Along::k ? kDepth : kSide;
    static constexpr int kChunks = kColumns / 8, kCopies = kRows * kChunks / kThreads;
    static constexpr Size kFar = Size{1} << 30;

    __device__ static int chunk_of(int i) { return i * kThreads + static_cast<int>(threadIdx.x); }
    __device__ static int row_of(int i) { return chunk_of(i) / kChunks; }
    __device__ static int column_of(int i) { return chunk_of(i) % kChunks * 8; }
    __device__ static void copy_elements(Chunk* to, const bf16* source, int count) {
        Chunk values;
        for (int j = 0; j < 8; ++j) values.values[j] = j < count ? source[j] : bf16{0};
        *to = values;
    }

    const TileOperand<bf16>& from_;
    const bf16* source_[kCopies];  // of chunk i at k = 0, or of its column where rows are named
    int columns_[kCopies];         // from there to the end of the row
};

// kM × kN elements of c by warps of kWarpM × kWarpN each.
template <int kM_, int kN_, int kWarpM_, int kWarpN_>
struct TileShape {
    static constexpr int kM = kM_, kN = kN_, kK = 32, kStages = 4;
    static constexpr int kWarpM = kWarpM_, kWarpN = kWarpN_;
    static constexpr int kThreads = kM / kWarpM * (kN / kWarpN) * 32;
    static constexpr int kChunksA = kM * kK / 8, kChunksB = kN * kK / 8;
    static constexpr std::size_t kSharedBytes = kStages * (kChunksA + kChunksB) * sizeof(Chunk);
};
using LargeTile = TileShape<128, 128, 32, 64>;
using SmallTile = TileShape<64, 64, 32, 32>;

struct TileMemory {
    Chunk chunks[1];
};

// sums += a·b.   a (kM,K) or, across, (K,kM); b (K,kN) across, or (kN,K). m0, n0: the tile's first row and column.
template <class Shape, Along kA, Along kB>
struct TensorTile {
    static constexpr int kM = Shape::kM, kN = Shape::kN, kThreads = Shape::kThreads,
                         kBlocks = 512 / kThreads;  // a multiprocessor, at least
    static constexpr std::size_t kSharedBytes = Shape::kSharedBytes;
    static constexpr Along kAlongA = kA, kAlongB = kB;
    static constexpr int kTilesM = Shape::kWarpM / 16, kTilesN = Shape::kWarpN / 8;
    FragmentC sums[kTilesM][kTilesN];

    __device__ static int warp() { return static_cast<int>(threadIdx.x / 32); }
    __device__ static int lane() { return static_cast<int>(threadIdx.x % 32); }
    __device__ static int warp_m() { return warp() % (Shape::kM / Shape::kWarpM) * Shape::kWarpM; }
    __device__ static int warp_n() { return warp() / (Shape::kM / Shape::kWarpM) * Shape::kWarpN; }

    // Row and column in the tile of sum i of a fragment.
    __device__ static int row_of(int m, int i) { return warp_m() + 16 * m + lane() / 4 + 8 * (i / 2); }
    __device__ static int column_of(int n, int i) { return warp_n() + 8 * n + 2 * (lane() % 4) + i % 2; }

    __device__ static Chunk* stage(int k, bool of_b) {
        Chunk* memory = dynamic_shared<TileMemory>().chunks;
        return memory + k % Shape::kStages * (Shape::kChunksA + Shape::kChunksB) + (of_b ? Shape::kChunksA : 0);
    }

    __device__ void multiply_stage(int step) {
        const Chunk *tile_a = stage(step, false), *tile_b = stage(step, true);
        int matrix = lane() / 8, r = lane() % 8;
#pragma unroll
        for (int k = 0; k < Shape::kK; k += 16) {
            FragmentA a[kTilesM];
            FragmentB b[kTilesN];
#pragma unroll
            for (int m = 0; m < kTilesM; ++m) {
                int row = warp_m() + 16 * m;
                if constexpr (kA == Along::k) {
                    load_matrices<false>(a[m].pairs, tile_a + chunk_place<Shape::kK>(row + lane() % 16, k / 8 + lane() / 16));
                } else {
                    load_matrices<true>(a[m].pairs, tile_a + chunk_place<Shape::kM>(k + matrix / 2 * 8 + r, row / 8 + matrix % 2));
                }
            }
#pragma unroll
            for (int n = 0; n < kTilesN; n += 2) {
                int column = warp_n() + 8 * n;
                unsigned pairs[4];
                if constexpr (kB == Along::k) {
                    load_matrices<false>(pairs, tile_b + chunk_place<Shape::kK>(column + matrix / 2 * 8 + r, k / 8 + matrix % 2));
                } else {
                    load_matrices<true>(pairs, tile_b + chunk_place<Shape::kN>(k + matrix % 2 * 8 + r, column / 8 + matrix / 2));
                }
                b[n] = {pairs[0], pairs[1]};
                b[n + 1] = {pairs[2], pairs[3]};
            }
#pragma unroll
            for (int m = 0; m < kTilesM; ++m) {
#pragma unroll
                for (int n = 0; n < kTilesN; ++n) multiply_add(sums[m][n], a[m], b[n]);
            }
        }
    }

    __device__ void add_product(const TileOperand<bf16>& a, const TileOperand<bf16>& b, Size m0, Size n0, Size K) {
        int steps = static_cast<int>((K + Shape::kK - 1) / Shape::kK);
        TileCopies<Shape::kM, Shape::kK, Shape::kThreads, kA> copies_a(a, m0);
        TileCopies<Shape::kN, Shape::kK, Shape::kThreads, kB> copies_b(b, n0);
        auto begin_stage = [&](int step) {
            if (step < steps) {
                copies_a.copy(stage(step, false), static_cast<Size>(step) * Shape::kK);
                copies_b.copy(stage(step, true), static_cast<Size>(step) * Shape::kK);
            }
            end_copy_group();
        };
        for (int step = 0; step < Shape::kStages - 1; ++step) begin_stage(step);
        for (int step = 0; step < steps; ++step) {
            wait_for_copies<Shape::kStages - 2>();
            __syncthreads();
            begin_stage(step + Shape::kStages - 1);
            multiply_stage(step);
        }
    }

    // use(row, column, sum, next) for all of this thread's elements and their right neighbours, which are its own, too; columns are even.
    template <class Use>
    __device__ void for_each_pair(Use use) {
#pragma unroll
        for (int m = 0; m < kTilesM; ++m) {
#pragma unroll
            for (int n = 0; n < kTilesN; ++n) {
                float(&pairs)[4] = sums[m][n].sums;
                use(row_of(m, 0), column_of(n, 0), pairs[0], pairs[1]);
                use(row_of(m, 2), column_of(n, 2), pairs[2], pairs[3]);
            }
        }
    }
};

}  // namespace ENGINE_DEVICE

}  // namespace engine::kernels
