#pragma once
// A block's tile of a product: rows and columns of c, the whole of k. bf16 on tensor cores, fp32 by fused multiply-adds over k in order.
// What product.cu and grouped_product.cu share.
#include "engine/base/rows.h"
#include "engine/cuda/launch.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// One operand: rows [first, end) of a matrix, or those that `index` names there, each times its `scale` if it has one. `vectors`: every row
// begins at a multiple of 16 bytes, and padding up to a multiple of 8 elements may be read.
template <class T>
struct TileOperand {
    const T* data;
    Size stride, columns;
    Size first, end;
    const std::int32_t* index = nullptr;
    const float* scale = nullptr;
    bool vectors = false;

    __device__ bool has_row(Size i) const { return first + i < end; }
    __device__ const T* row(Size i) const { return data + (index != nullptr ? index[first + i] : first + i) * stride; }
    __device__ float factor(Size i) const { return scale != nullptr ? scale[first + i] : 1.0f; }
};

// Whether rows of so many elements from one to the next begin at multiples of 16 bytes, and have padding.
template <class T>
bool has_vectors(const T* data, Size stride) {
    return reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && stride % 8 == 0;
}
template <class T>
TileOperand<T> tile_operand(Rows<const T> rows) {
    return {.data = rows.data,
            .stride = rows.stride,
            .columns = rows.columns,
            .first = 0,
            .end = rows.rows,
            .vectors = has_vectors(rows.data, rows.stride)};
}

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

// Rows × columns of an operand into shared memory; beyond its edges 0. `row0`, `column0`: where the tile begins in the operand.
template <int kRows, int kColumns, int kThreads>
__device__ inline void copy_tile(Chunk* tile, const TileOperand<bf16>& from, Size row0, Size column0) {
    constexpr int kChunks = kColumns / 8;
#pragma unroll
    for (int i = 0; i < kRows * kChunks / kThreads; ++i) {
        int at = i * kThreads + static_cast<int>(threadIdx.x), row = at / kChunks, chunk = at % kChunks;
        Size column = column0 + 8 * chunk, left = from.columns - column;
        int count = from.has_row(row0 + row) && left > 0 ? static_cast<int>(left < 8 ? left : 8) : 0;
        const bf16* source = count > 0 ? from.row(row0 + row) + column : from.data;
        Chunk* to = tile + chunk_place<kColumns>(row, chunk);
        if (from.vectors && from.scale == nullptr) {
            begin_copy16(to, source, 2 * count);
            continue;
        }
        float factor = count > 0 ? from.factor(row0 + row) : 1.0f;
        Chunk values;
        for (int j = 0; j < 8; ++j) {
            bf16 value = j < count ? source[j] : bf16{0};
            values.values[j] = from.scale != nullptr ? to_bf16(load(value) * factor) : value;
        }
        *to = values;
    }
}

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

// How an operand lies: along k in its rows, or across.
enum class Along : std::uint8_t { k, rows };

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

    __device__ void copy_stage(int step, const TileOperand<bf16>& a, const TileOperand<bf16>& b, Size m0, Size n0) {
        Size k = static_cast<Size>(step) * Shape::kK;
        if constexpr (kA == Along::k) {
            copy_tile<Shape::kM, Shape::kK, Shape::kThreads>(stage(step, false), a, m0, k);
        } else {
            copy_tile<Shape::kK, Shape::kM, Shape::kThreads>(stage(step, false), a, k, m0);
        }
        if constexpr (kB == Along::k) {
            copy_tile<Shape::kN, Shape::kK, Shape::kThreads>(stage(step, true), b, n0, k);
        } else {
            copy_tile<Shape::kK, Shape::kN, Shape::kThreads>(stage(step, true), b, k, n0);
        }
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
        for (int step = 0; step < Shape::kStages - 1; ++step) {
            if (step < steps) copy_stage(step, a, b, m0, n0);
            end_copy_group();
        }
        for (int step = 0; step < steps; ++step) {
            wait_for_copies<Shape::kStages - 2>();
            __syncthreads();
            if (step + Shape::kStages - 1 < steps) copy_stage(step + Shape::kStages - 1, a, b, m0, n0);
            end_copy_group();
            multiply_stage(step);
        }
    }

    // use(row, column, sum) for this thread's elements, all of them.
    template <class Use>
    __device__ void for_each(Use use) {
#pragma unroll
        for (int m = 0; m < kTilesM; ++m) {
#pragma unroll
            for (int n = 0; n < kTilesN; ++n) {
#pragma unroll
                for (int i = 0; i < 4; ++i) use(row_of(m, i), column_of(n, i), sums[m][n].sums[i]);
            }
        }
    }
};

// The same of fp32: 256 threads, kSide/16 × kSide/16 elements each. Every sum is one chain of fused multiply-adds over k, in order.
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
            values[i] = inside ? from.row(row)[column] * from.factor(row) : 0.0f;
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
    __device__ void for_each(Use use) {
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
#pragma unroll
            for (int j = 0; j < kEach; ++j) use(row_of(i), column_of(j), sums[i][j]);
        }
    }
};

// The tile for operands of T: large ones unless they would leave most of a GPU without work. No bit depends on it.
template <class T, bool kLarge, Along kA, Along kB>
struct TileFor {
    using Type = TensorTile<std::conditional_t<kLarge, LargeTile, SmallTile>, kA, kB>;
};
template <bool kLarge, Along kA, Along kB>
struct TileFor<float, kLarge, kA, kB> {
    using Type = FloatTile<kLarge ? 128 : 64, kA, kB>;
};

}  // namespace ENGINE_DEVICE

// use.template operator()<Tile>() for operands that lie so. `tiles`: how many large ones there would be.
template <class T, class Use>
void with_tile(Size tiles, Along a, Along b, Use use) {
    auto with_layout = [&]<bool kLarge>() {
        if (a == Along::k && b == Along::k) return use.template operator()<typename TileFor<T, kLarge, Along::k, Along::k>::Type>();
        if (a == Along::k) return use.template operator()<typename TileFor<T, kLarge, Along::k, Along::rows>::Type>();
        if (b == Along::k) return use.template operator()<typename TileFor<T, kLarge, Along::rows, Along::k>::Type>();
        return use.template operator()<typename TileFor<T, kLarge, Along::rows, Along::rows>::Type>();
    };
    // simt, which has no processors to fill, takes them where tests can afford it.
    constexpr Size kEnough = std::is_same_v<Here, Cuda> ? 100 : 2;
    tiles >= kEnough ? with_layout.template operator()<true>() : with_layout.template operator()<false>();
}

inline unsigned tiles_of(Size elements, int tile) { return static_cast<unsigned>((elements + tile - 1) / tile); }

}  // namespace engine::kernels
