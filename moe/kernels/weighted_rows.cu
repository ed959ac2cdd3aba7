#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/strips.h"
#include "moe/kernels/weighted_rows.h"

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::store;
using engine::kernels::kStrips;
using engine::kernels::strip_begin;

inline namespace ENGINE_DEVICE {

constexpr int kDotWarps = 4, kColumnThreads = 128;

// Each lane brings its part of every strip's sum; lane 0 gets their sum along the tree over strips. The lanes' parts are folded upper half
// onto lower; while there are strips left to divide, each half of the lanes goes on with one half of them.
template <int kStrips>
__device__ float fold_strips(float* part) {
    auto other = [](float value, int bits) { return __shfl_xor_sync(engine::kFullWarp, value, bits); };
    unsigned lane = threadIdx.x % 32;
    int bits = 16;
    for (int half = kStrips / 2; half > 0; half /= 2, bits /= 2) {
        bool upper = (lane & static_cast<unsigned>(bits)) != 0;
        for (int k = 0; k < half; ++k) {
            float own = upper ? part[k + half] : part[k], given = upper ? part[k] : part[k + half];
            part[k] = own + other(given, bits);
        }
    }
    float sum = part[0];
    for (int each = bits; each > 0; each /= 2) sum += other(sum, each);
    for (int each = bits * 2; each <= 16; each *= 2) sum += other(sum, each);
    return sum;
}

// One block a token, one warp a choice at a time.
template <int kStrips, class T>
__global__ void row_dots_kernel(Rows<float> a, Rows<const T> x, Rows<const T> table, RowChoices choices) {
    Size n = blockIdx.x;
    unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (Size j = warp; j < choices.choices; j += kDotWarps) {
        const T* row = table.row(choices.ids[n * choices.choices + j]);
        float part[kStrips];
        for (int k = 0; k < kStrips; ++k) {
            part[k] = 0;
            Size last = strip_begin(x.columns, kStrips, k + 1);
            for (Size c = strip_begin(x.columns, kStrips, k) + lane; c < last; c += 32)
                part[k] = fmaf(load(x(n, c)), load(row[c]), part[k]);
        }
        float sum = fold_strips<kStrips>(part);
        if (lane == 0) a(n, j) = sum;
    }
}

// One block a token, one thread a column: neighbours read neighbours.
template <class T>
__global__ void row_combine_kernel(Rows<T> y, bool add, Rows<const float> w, Rows<const T> table, RowChoices choices) {
    Size n = blockIdx.x;
    const std::int32_t* ids = choices.ids + n * choices.choices;
    for (Size c = threadIdx.x; c < y.columns; c += blockDim.x) {
        float sum = add ? load(y(n, c)) : 0.0f;
        for (Size j = 0; j < choices.choices; ++j) sum = fmaf(w(n, j), load(table(ids[j], c)), sum);
        y(n, c) = store<T>(sum);
    }
}

// The aligned tree over leaves as they come: equal halves join as soon as both are there, the rest from the right.
struct LeafStack {
    float sum[32];
    int leaves[32];
    int depth = 0;

    __device__ void push(float leaf) {
        sum[depth] = leaf;
        leaves[depth] = 1;
        ++depth;
        while (depth > 1 && leaves[depth - 2] == leaves[depth - 1]) join();
    }
    __device__ void join() {
        --depth;
        sum[depth - 1] += sum[depth];
        leaves[depth - 1] += leaves[depth];
    }
    __device__ float root() {
        while (depth > 1) join();
        return depth > 0 ? sum[0] : 0.0f;
    }
};

// One block a row of the table, one thread a column.
template <class T>
__global__ void row_gradient_kernel(Rows<float> dtable, bool add, Rows<const float> w, Rows<const T> x, RowChoices choices, int shards) {
    Size m = blockIdx.x, first = choices.offsets[m], last = choices.offsets[m + 1];
    if (first == last && add) return;
    Size shard_choices = choices.count() / shards;
    for (Size c = threadIdx.x; c < x.columns; c += blockDim.x) {
        LeafStack tree;
        Size r = first;
        for (int shard = 0; shard < shards; ++shard) {
            float sum = 0;
            for (; r < last && choices.order[r] < (shard + 1) * shard_choices; ++r) {
                Size n = choices.order[r] / choices.choices, j = choices.order[r] % choices.choices;
                sum = fmaf(w(n, j), load(x(n, c)), sum);
            }
            tree.push(sum + 0.0f);
        }
        dtable(m, c) = add ? dtable(m, c) + tree.root() : tree.root();
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void row_dots(Exec& exec, Rows<Sum<T>> a, Rows<const T> x, Rows<const T> table, const RowChoices& choices) {
    auto run = [&]<int kHeld>(std::integral_constant<int, kHeld>) {
        engine::launch("row_dots_kernel", row_dots_kernel<kHeld, T>, dim3(static_cast<unsigned>(choices.tokens)), kDotWarps * 32, 0,
                       exec.stream, a, x, table, choices);
    };
    if (choices.parts == 1) return run(std::integral_constant<int, kStrips>());
    if (choices.parts == 2) return run(std::integral_constant<int, kStrips / 2>());
    if (choices.parts == 4) return run(std::integral_constant<int, kStrips / 4>());
    run(std::integral_constant<int, kStrips / 8>());
}

template <class D, class T>
void row_combine(Exec& exec, Rows<T> y, bool add, Rows<const Sum<T>> w, Rows<const T> table, const RowChoices& choices) {
    engine::launch("row_combine_kernel", row_combine_kernel<T>, dim3(static_cast<unsigned>(choices.tokens)), kColumnThreads, 0, exec.stream,
                   y, add, w, table, choices);
}

template <class D, class T>
void row_gradient(Exec& exec, Rows<Sum<T>> dtable, bool add, Rows<const Sum<T>> w, Rows<const T> x, const RowChoices& choices,
                  Rows<Sum<T>> a, Rows<const T> table) {
    if (a.data != nullptr) row_dots<D, T>(exec, a, x, table, choices);
    engine::launch("row_gradient_kernel", row_gradient_kernel<T>, dim3(static_cast<unsigned>(choices.rows)), kColumnThreads, 0, exec.stream,
                   dtable, add, w, x, choices, exec.shards.count);
}

#define INSTANTIATE(T)                                                                                                                 \
    template void row_dots<Here, T>(Exec&, Rows<Sum<T>>, Rows<const T>, Rows<const T>, const RowChoices&);                             \
    template void row_combine<Here, T>(Exec&, Rows<T>, bool, Rows<const Sum<T>>, Rows<const T>, const RowChoices&);                    \
    template void row_gradient<Here, T>(Exec&, Rows<Sum<T>>, bool, Rows<const Sum<T>>, Rows<const T>, const RowChoices&, Rows<Sum<T>>, \
                                        Rows<const T>);
INSTANTIATE(float)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
