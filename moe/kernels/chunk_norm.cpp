#include "moe/kernels/chunk_norm.h"

#include "engine/base/here.h"
#include "engine/base/threads.h"
#include "engine/kernels/column_blocks.h"
#include "engine/kernels/lanes.h"

#include <cmath>

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::store;
using engine::kernels::sum_lanes;

inline namespace ENGINE_DEVICE {

constexpr Size kChunkNormRows = 16;

// body(row, chunk, expert) for every chunk of every row.
template <class Body>
void for_chunks(Size rows, const Chunks& chunks, Body&& body) {
    engine::parallel_blocks(rows, kChunkNormRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            for (Size i = 0; i < chunks.count; ++i) body(n, i, chunks.expert(n / chunks.length, i));
        }
    });
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void chunk_norm(Exec&, Rows<T> y, Sum<T>* m, Sum<T>* r, Rows<const T> z, Rows<const T> w, Rows<const T> b, const Chunks& chunks,
                double eps) {
    using S = Sum<T>;
    Size W = chunks.width;
    S scale = S(1) / static_cast<S>(W);
    for_chunks(z.rows, chunks, [&](Size n, Size i, Size e) {
        const T* in = z.row(n) + chunks.v(i);
        T* out = y.row(n) + chunks.half(i);
        S mean = sum_lanes<S>(W, [&](Size j) { return load(in[j]); }) * scale;
        S variance = sum_lanes<S>(W,
                                  [&](Size j) {
                                      S d = load(in[j]) - mean;
                                      return d * d;
                                  }) *
                     scale;
        S rate = S(1) / std::sqrt(variance + static_cast<S>(eps));
        m[n * chunks.count + i] = mean;
        r[n * chunks.count + i] = rate;
        const T *weight = w.row(e), *bias = b.row(e);
        for (Size j = 0; j < W; ++j) out[j] = store<T>((load(in[j]) - mean) * rate * load(weight[j]) + load(bias[j]));
    });
}

template <class D, class T>
void chunk_norm_backward(Exec&, Rows<T> dz, Rows<const T> dy, Rows<const T> z, Rows<const T> w, const Sum<T>* m, const Sum<T>* r,
                         const Chunks& chunks) {
    using S = Sum<T>;
    Size W = chunks.width;
    S scale = S(1) / static_cast<S>(W);
    for_chunks(z.rows, chunks, [&](Size n, Size i, Size e) {
        const T *in = z.row(n) + chunks.v(i), *grad = dy.row(n) + chunks.half(i), *weight = w.row(e);
        T* out = dz.row(n) + chunks.v(i);
        S mean = m[n * chunks.count + i], rate = r[n * chunks.count + i];
        S mean_g = sum_lanes<S>(W, [&](Size j) { return load(grad[j]) * load(weight[j]); }) * scale;
        S mean_gx = sum_lanes<S>(W, [&](Size j) { return load(grad[j]) * load(weight[j]) * ((load(in[j]) - mean) * rate); }) * scale;
        for (Size j = 0; j < W; ++j) {
            out[j] = store<T>(rate * (load(grad[j]) * load(weight[j]) - mean_g - (load(in[j]) - mean) * rate * mean_gx));
        }
    });
}

template <class D, class T>
void chunk_norm_weight_gradient(Exec& exec, Rows<Sum<T>> dw, Rows<Sum<T>> db, Rows<const T> dy, Rows<const T> z, const Sum<T>* m,
                                const Sum<T>* r, const Chunks& chunks) {
    using S = Sum<T>;
    Size W = chunks.width, E = chunks.count;
    engine::Scratch<S> dense(exec, 2 * E * W);
    S* sums[2] = {dense.data(), dense.data() + E * W};
    engine::kernels::sum_columns<2>(exec, sums, z.rows, E * W, false, [&](Size n, S* const(&out)[2]) {
        for (Size i = 0; i < E; ++i) {
            const T *in = z.row(n) + chunks.v(i), *grad = dy.row(n) + chunks.half(i);
            S mean = m[n * E + i], rate = r[n * E + i];
            Size at = chunks.half(chunks.expert(n / chunks.length, i));
            for (Size j = 0; j < W; ++j) out[0][at + j] += load(grad[j]) * ((load(in[j]) - mean) * rate);
            for (Size j = 0; j < W; ++j) out[1][at + j] += load(grad[j]);
        }
    });
    for (Size e = 0; e < E; ++e) {
        std::copy_n(sums[0] + e * W, W, dw.row(e));
        std::copy_n(sums[1] + e * W, W, db.row(e));
    }
}

#define INSTANTIATE(T)                                                                                                                    \
    template void chunk_norm<Here, T>(Exec&, Rows<T>, Sum<T>*, Sum<T>*, Rows<const T>, Rows<const T>, Rows<const T>, const Chunks&,       \
                                      double);                                                                                            \
    template void chunk_norm_backward<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>, Rows<const T>, const Sum<T>*, const Sum<T>*, \
                                               const Chunks&);                                                                            \
    template void chunk_norm_weight_gradient<Here, T>(Exec&, Rows<Sum<T>>, Rows<Sum<T>>, Rows<const T>, Rows<const T>, const Sum<T>*,     \
                                                      const Sum<T>*, const Chunks&);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
