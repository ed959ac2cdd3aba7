#include "engine/kernels/ceilings.h"

#include "engine/base/threads.h"
#include "engine/kernels/tile/panels.h"
#include "engine/memory/scratch.h"

#include <algorithm>

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr Size kLoopElements = Size{1} << 18;
constexpr int kChains = 12;  // enough to hide the latency of a multiply-add on two ports

// Keeps a value in a register and the compiler from reasoning about it.
template <class V>
inline void keep(V& value) {
    asm volatile("" : "+v"(value));
}

template <class I>
float multiply_add_chains(Size rounds) {
    tile::Vector<float> chain[kChains], factor = tile::broadcast(0.001f), term = tile::broadcast(0.5f);
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) chain[i] = tile::broadcast(static_cast<float>(i));
    for (Size round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
        for (int i = 0; i < kChains; ++i) {
            chain[i] = tile::multiply_add_items<I>(factor, term, chain[i]);
            keep(chain[i]);
        }
    }
#pragma GCC unroll 12
    for (int i = 1; i < kChains; ++i) chain[0] += chain[i];
    return chain[0][0];
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
double multiply_add_loop(Exec& exec, float* sink, Size rounds) {
    Scratch<float> sums(exec, threads() * 16);
    double flops = 0;
    tile::with_item<T>([&]<class I>(std::type_identity<I>) {
        if constexpr (!std::is_same_v<I, double>) {
            parallel_for(threads(), [&](Size task) { sums[task * 16] = multiply_add_chains<I>(rounds); });
            flops = 2.0 * kChains * tile::kLanes<float> * tile::kItemDepth<I> * static_cast<double>(rounds) * threads();
        }
    });
    *sink = 0;
    for (int i = 0; i < threads(); ++i) *sink += sums[i * 16];
    return flops;
}

template <class D>
void read_loop(Exec& exec, float* sink, const float* x, Size count) {
    Size blocks = (count + kLoopElements - 1) / kLoopElements;
    Scratch<float> sums(exec, blocks);
    parallel_blocks(count, kLoopElements, [&](Size first, Size last) {
        constexpr int kWidth = tile::kLanes<float>;
        tile::Vector<float> sum[4] = {};
        Size i = first;
        for (; i + 4 * kWidth <= last; i += 4 * kWidth) {
            for (int v = 0; v < 4; ++v) sum[v] += tile::load_vector(x + i + v * kWidth);
        }
        sum[0] += sum[1] + sum[2] + sum[3];
        sums[first / kLoopElements] = sum[0][0];
    });
    *sink = 0;
    for (Size i = 0; i < blocks; ++i) *sink += sums[i];
}

template <class D>
void read_rows_loop(Exec& exec, float* sink, const float* x, Size rows, Size columns) {
    constexpr Size kBlockRows = 1024;
    constexpr int kWidth = tile::kLanes<float>;
    Size blocks = (rows + kBlockRows - 1) / kBlockRows;
    Scratch<float> sums(exec, blocks);
    parallel_blocks(rows, kBlockRows, [&](Size first, Size last) {
        tile::Vector<float> sum[4] = {};
        for (Size i = first; i < last; ++i) {
            const float* row = x + scattered_row(i, rows) * columns;
            for (Size c = 0; c + 4 * kWidth <= columns; c += 4 * kWidth) {
                for (int v = 0; v < 4; ++v) sum[v] += tile::load_vector(row + c + v * kWidth);
            }
        }
        sum[0] += sum[1] + sum[2] + sum[3];
        sums[first / kBlockRows] = sum[0][0];
    });
    *sink = 0;
    for (Size i = 0; i < blocks; ++i) *sink += sums[i];
}

template <class D>
void copy_loop(Exec&, float* y, const float* x, Size count) {
    parallel_blocks(count, kLoopElements, [&](Size first, Size last) { std::copy(x + first, x + last, y + first); });
}

template double multiply_add_loop<Here, float>(Exec&, float*, Size);
template double multiply_add_loop<Here, bf16>(Exec&, float*, Size);
template void read_loop<Here>(Exec&, float*, const float*, Size);
template void read_rows_loop<Here>(Exec&, float*, const float*, Size, Size);
template void copy_loop<Here>(Exec&, float*, const float*, Size);

}  // namespace engine::kernels
