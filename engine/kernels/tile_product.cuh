#pragma once
// A block's tile of a product: rows and columns of c, the whole of k. bf16 on tensor cores, fp32 by fused multiply-adds over k in order.
// What product.cu and grouped_product.cu share.
#include "engine/kernels/float_tile.cuh"
#include "engine/kernels/tensor_tile.cuh"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

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
