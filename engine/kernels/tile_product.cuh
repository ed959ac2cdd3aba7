#pragma once
// A block's tile of a product: rows and columns of c, the whole of k. bf16 on tensor cores, fp32 by fused multiply-adds over k in order.
// What product.cu and grouped_product.cu share.
#include "engine/base/rows.h"
#include "engine/cuda/launch.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// How an operand lies: along k in its rows, or across.
enum class Along : std::uint8_t { k, rows };

// One operand: rows [first, end) of a matrix, or those that `index` names there. `vectors`: every row begins at a multiple of 16 bytes.
template <class T>
struct TileOperand {
    const T* data;
    Size stride, columns;
    Size first, end;
    const std::int32_t* index = nullptr;
    bool vectors = false;

    __device__ bool has_row(Size i) const { return first + i < end; }
    __device__ const T* row(Size i) const { return data + (index != nullptr ? index[first + i] : first + i) * stride; }
};

// Whether rows of so many elements from one to the next begin at multiples of 16 bytes.
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

// The same from a k on, of which `count` are left: what lies before is not read.
template <class T>
__device__ inline TileOperand<T> from_k(TileOperand<T> operand, Along along, Size first_k, Size count) {
    if (along == Along::rows) {
        operand.first += first_k;
        if (operand.first + count < operand.end) operand.end = operand.first + count;
    } else {
        operand.data += first_k;
        operand.columns = count;
    }
    return operand;
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

template <class Out>
struct alignas(2 * sizeof(Out)) OutPair {
    Out values[2];
};

// Where a tile's sums come from and go to: rows [m0, …) and columns [n0, …) of c.
template <class Out>
struct TileTarget {
    Rows<Out> c;
    Size m0, n0;
    bool pairs;  // two neighbours may be written at once

    __device__ TileTarget(Rows<Out> to, Size m, Size n) : c(to), m0(m), n0(n) {
        pairs =
            (reinterpret_cast<std::uintptr_t>(c.data) | static_cast<std::uintptr_t>(c.stride) * sizeof(Out)) % sizeof(OutPair<Out>) == 0;
    }
    // Sums begin with what stands there, or with 0.
    template <class Tile>
    __device__ void load_sums(Tile& tile, bool add) const {
        tile.for_each_pair([&](int row, int column, float& sum, float& next) {
            bool inside = add && m0 + row < c.rows;
            sum = inside && n0 + column < c.columns ? load(c(m0 + row, n0 + column)) : 0.0f;
            next = inside && n0 + column + 1 < c.columns ? load(c(m0 + row, n0 + column + 1)) : 0.0f;
        });
    }
    // value(row, column, sum) of each, with places in c.
    template <class Tile, class Value>
    __device__ void store_sums(Tile& tile, Value value) const {
        tile.for_each_pair([&](int row, int column, float& sum, float& next) {
            Size m = m0 + row, n = n0 + column;
            if (m >= c.rows || n >= c.columns) return;
            Out first = store<Out>(value(m, n, sum));
            if (n + 1 == c.columns) {
                c(m, n) = first;
                return;
            }
            Out second = store<Out>(value(m, n + 1, next));
            if (pairs) {
                *reinterpret_cast<OutPair<Out>*>(&c(m, n)) = {{first, second}};
            } else {
                c(m, n) = first;
                c(m, n + 1) = second;
            }
        });
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
