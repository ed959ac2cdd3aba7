#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/xl_attention.h"
#include "engine/memory/scratch.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr int kGradientThreads = 128;

__device__ inline Size gradient_index() { return static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x; }
inline dim3 gradient_grid(Size elements) { return dim3(static_cast<unsigned>((elements + kGradientThreads - 1) / kGradientThreads)); }

// Probabilities p and gradients ds of the unscaled scores of one sequence, (H,T,S) each; dscale_share (H,T). One block a query and head.
template <class T>
__global__ void xl_score_gradient_kernel(float* p, float* ds, float* dprobability, float* dscale_share, Rows<const T> dy, const float* lse,
                                         XlAttentionInputs<T> in, XlAttentionShape shape, Size b) {
    Size i = blockIdx.x, h = blockIdx.y, column = h * shape.Sh, row = h * shape.T + i;
    Size seen = shape.S - shape.T + i + 1;
    const T* q = in.q.row(b * shape.T + i) + column;
    const T* grad = dy.row(b * shape.T + i) + column;
    float scale = load(*in.scale), normaliser = lse[(b * shape.H + h) * shape.T + i], delta = 0, centre = 0, share = 0;
    // First p and the unscaled scores, in ds; then, with δ = Σ p·dp, the gradients. As on the CPU, Σ p·s is taken off s for dscale.
    for (Size j = threadIdx.x; j < shape.S; j += blockDim.x) {
        float probability = 0, score = 0, dp = 0;
        if (j < seen) {
            const T* k = in.k.row(b * shape.S + j) + column;
            const T* v = in.v.row(b * shape.S + j) + column;
            const T* r = in.r.row(j + shape.T - 1 - i) + column;
            for (Size d = 0; d < shape.Sh; ++d) {
                score += (load(q[d]) + load(in.u[column + d])) * load(k[d]) + (load(q[d]) + load(in.v_bias[column + d])) * load(r[d]);
                dp += load(grad[d]) * load(v[d]);
            }
            probability = expf(score * scale - normaliser);
        }
        p[row * shape.S + j] = probability;
        ds[row * shape.S + j] = score;
        centre += probability * score;
        dprobability[row * shape.S + j] = dp;
        delta += probability * dp;
    }
    delta = block_sum(delta);
    centre = block_sum(centre);
    for (Size j = threadIdx.x; j < seen; j += blockDim.x) {
        float gradient = p[row * shape.S + j] * (dprobability[row * shape.S + j] - delta);
        share += gradient * (ds[row * shape.S + j] - centre);
        ds[row * shape.S + j] = gradient * scale;
    }
    share = block_sum(share);
    if (threadIdx.x == 0) dscale_share[row] = share;
}

// One thread an element of dq; the two parts of the sum, whose sums over rows are du and dv_bias, go to dcontent, dposition (T,H·Sh).
template <class T>
__global__ void xl_query_gradient_kernel(Rows<T> dq, bool add, float* dcontent, float* dposition, const float* ds, XlAttentionInputs<T> in,
                                         XlAttentionShape shape, Size b) {
    Size width = shape.H * shape.Sh, index = gradient_index();
    if (index >= shape.T * width) return;
    Size i = index / width, column = index % width, h = column / shape.Sh, seen = shape.S - shape.T + i + 1;
    const float* row = ds + (h * shape.T + i) * shape.S;
    float content = 0, position = 0;
    for (Size j = 0; j < seen; ++j) {
        content += row[j] * load(in.k(b * shape.S + j, column));
        position += row[j] * load(in.r(j + shape.T - 1 - i, column));
    }
    dcontent[index] = content;
    dposition[index] = position;
    T& out = dq(b * shape.T + i, column);
    out = store<T>((add ? load(out) : 0.0f) + content + position);
}

template <class T>
__global__ void xl_key_gradient_kernel(Rows<T> dk, bool add_k, Rows<T> dv, bool add_v, const float* p, const float* ds, Rows<const T> dy,
                                       XlAttentionInputs<T> in, XlAttentionShape shape, Size b) {
    Size width = shape.H * shape.Sh, index = gradient_index();
    if (index >= shape.S * width) return;
    Size j = index / width, column = index % width, h = column / shape.Sh, M = shape.S - shape.T;
    float key = 0, value = 0;
    for (Size i = j > M ? j - M : 0; i < shape.T; ++i) {
        Size at = (h * shape.T + i) * shape.S + j;
        key += ds[at] * (load(in.q(b * shape.T + i, column)) + load(in.u[column]));
        value += p[at] * load(dy(b * shape.T + i, column));
    }
    T& out_k = dk(b * shape.S + j, column);
    T& out_v = dv(b * shape.S + j, column);
    out_k = store<T>((add_k ? load(out_k) : 0.0f) + key);
    out_v = store<T>((add_v ? load(out_v) : 0.0f) + value);
}

// Adds one sequence's share to dr (or sets it).
template <class T>
__global__ void xl_position_gradient_kernel(Rows<float> dr, bool add, const float* ds, XlAttentionInputs<T> in, XlAttentionShape shape,
                                            Size b) {
    Size width = shape.H * shape.Sh, index = gradient_index();
    if (index >= shape.S * width) return;
    Size t = index / width, column = index % width, h = column / shape.Sh;
    float sum = 0;
    // Key j = t − (T−1) + i of query i, where both exist.
    for (Size i = t < shape.T - 1 ? shape.T - 1 - t : 0; i < shape.T; ++i) {
        Size j = t + i - (shape.T - 1);
        if (j >= shape.S) break;
        sum += ds[(h * shape.T + i) * shape.S + j] * (load(in.q(b * shape.T + i, column)) + load(in.v_bias[column]));
    }
    dr(t, column) = add ? dr(t, column) + sum : sum;
}

// One thread a column: the sums over this sequence's queries.
__global__ void xl_bias_gradient_kernel(float* du, float* dv_bias, float* dscale, bool add, const float* dcontent, const float* dposition,
                                        const float* dscale_share, XlAttentionShape shape) {
    Size width = shape.H * shape.Sh, column = gradient_index();
    if (column < width) {
        float content = 0, position = 0;
        for (Size i = 0; i < shape.T; ++i) {
            content += dcontent[i * width + column];
            position += dposition[i * width + column];
        }
        du[column] = add ? du[column] + content : content;
        dv_bias[column] = add ? dv_bias[column] + position : position;
    }
    if (column == 0) {
        float sum = 0;
        for (Size row = 0; row < shape.H * shape.T; ++row) sum += dscale_share[row];
        *dscale = add ? *dscale + sum : sum;
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void xl_attention_backward(Exec& exec, const XlAttentionGradients<T>& out, Rows<const T> dy, const Sum<T>* lse,
                           const XlAttentionInputs<T>& in, XlAttentionShape shape, Size first, Size count) {
    Size width = shape.H * shape.Sh;
    Scratch<float> p(exec, shape.H * shape.T * shape.S), ds(exec, shape.H * shape.T * shape.S), dp(exec, shape.H * shape.T * shape.S),
        dscale_share(exec, shape.H * shape.T);
    Scratch<float> dcontent(exec, shape.T * width), dposition(exec, shape.T * width);
    for (Size b = first; b < first + count; ++b) {
        bool add = b > first;
        dim3 rows(static_cast<unsigned>(shape.T), static_cast<unsigned>(shape.H));
        launch("xl_score_gradient_kernel", xl_score_gradient_kernel<T>, rows, kGradientThreads, 0, exec.stream, p.data(), ds.data(),
               dp.data(), dscale_share.data(), dy, lse, in, shape, b);
        launch("xl_query_gradient_kernel", xl_query_gradient_kernel<T>, gradient_grid(shape.T * width), kGradientThreads, 0, exec.stream,
               out.dq, out.add_q, dcontent.data(), dposition.data(), ds.data(), in, shape, b);
        launch("xl_key_gradient_kernel", xl_key_gradient_kernel<T>, gradient_grid(shape.S * width), kGradientThreads, 0, exec.stream,
               out.dk, out.add_k, out.dv, out.add_v, p.data(), ds.data(), dy, in, shape, b);
        launch("xl_position_gradient_kernel", xl_position_gradient_kernel<T>, gradient_grid(shape.S * width), kGradientThreads, 0,
               exec.stream, out.dr, add, ds.data(), in, shape, b);
        launch("xl_bias_gradient_kernel", xl_bias_gradient_kernel, gradient_grid(width), kGradientThreads, 0, exec.stream, out.du,
               out.dv_bias, out.dscale, add, dcontent.data(), dposition.data(), dscale_share.data(), shape);
    }
}

template void xl_attention_backward<Here, float>(Exec&, const XlAttentionGradients<float>&, Rows<const float>, const float*,
                                                 const XlAttentionInputs<float>&, XlAttentionShape, Size, Size);
template void xl_attention_backward<Here, bf16>(Exec&, const XlAttentionGradients<bf16>&, Rows<const bf16>, const float*,
                                                const XlAttentionInputs<bf16>&, XlAttentionShape, Size, Size);

}  // namespace engine::kernels
