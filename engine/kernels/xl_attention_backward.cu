#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/column_sums.cuh"
#include "engine/kernels/xl_attention.h"
#include "engine/kernels/xl_scores.cuh"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr int kGradientThreads = 128;

// One block a query, head and sequence: probabilities p, and the gradients of the unscaled scores by key and by place, 0 where no key
// exists; all (sequences, H, T, S). dscale_share (sequences, H, T)
template <class T>
__global__ void xl_score_gradient_kernel(T* p, T* by_key, T* by_place, float* dscale_share, const float* content, const float* position,
                                         const float* dprobability, const float* lse, Size stride, const T* scale_at,
                                         XlAttentionShape shape) {
    Size i = blockIdx.x, row = static_cast<Size>(blockIdx.y) * shape.T + i, seen = shape.S - shape.T + i + 1, shift = shape.T - 1 - i;
    Size begin = row * stride;
    float scale = load(*scale_at), normaliser = lse[row], delta = 0, centre = 0, share = 0;
    auto score = [&](Size j) { return content[begin + j] + position[begin + shift + j]; };
    // δ = Σ p·dp; as on the CPU, Σ p·s is taken off s for dscale.
    for (Size j = threadIdx.x; j < seen; j += kGradientThreads) {
        float s = score(j), probability = expf(s * scale - normaliser);
        centre += probability * s;
        delta += probability * dprobability[begin + j];
    }
    delta = block_sum(delta);
    centre = block_sum(centre);
    for (Size j = threadIdx.x; j < stride; j += kGradientThreads) {
        float probability = 0, gradient = 0;
        if (j < seen) {
            float s = score(j);
            probability = expf(s * scale - normaliser);
            gradient = probability * (dprobability[begin + j] - delta);
            share += gradient * (s - centre);
        }
        p[begin + j] = store<T>(probability);
        by_key[begin + j] = store<T>(gradient * scale);
        // Behind the keys, zeros for the places before the first one's, then for the padding.
        Size place = j < seen ? j + shift : j - seen < shift ? j - seen : j;
        by_place[begin + place] = store<T>(gradient * scale);
    }
    share = block_sum(share);
    if (threadIdx.x == 0) dscale_share[row] = share;
}

// One thread an element of dq: both parts of the sum.
template <class T>
__global__ void xl_query_gradient_kernel(Rows<T> dq, bool add, Rows<const float> dcontent, Rows<const float> dposition) {
    Size index = element_index();
    if (index >= dq.rows * dq.columns) return;
    Size n = index / dq.columns, c = index % dq.columns;
    dq(n, c) = store<T>((add ? load(dq(n, c)) : 0.0f) + dcontent(n, c) + dposition(n, c));
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void xl_attention_backward(Exec& exec, const XlAttentionGradients<T>& out, Rows<const T> dy, const Sum<T>* lse,
                           const XlAttentionInputs<T>& in, XlAttentionShape shape, Size first, Size count) {
    Size width = shape.H * shape.Sh, most = sequences_at_once(shape, count);
    XlScores<T> scores(exec, shape, most);
    Scratch<float> dprobability(exec, scores.elements(most)), dscale_share(exec, most * shape.H * shape.T);
    Scratch<T> p(exec, scores.elements(most)), by_key(exec, scores.elements(most)), by_place(exec, scores.elements(most));
    Scratch<float> dcontent(exec, most * shape.T * width), dposition(exec, most * shape.T * width);
    for (Size b = first; b < first + count; b += most) {
        bool add = b > first;
        Size some = most < first + count - b ? most : first + count - b;
        HeadBatch batch{some, shape.H}, summed{some, shape.H, true};
        HeadRows<const T> heads_dy = scores.queries(dy, b);
        scores.compute(exec, in, b, some);
        head_product<T, float>(exec, scores.scores(dprobability.data()), false, heads_dy, Along::k, scores.keys(in.v, b), Along::k,
                               shape.Sh, scores.role(Scores::by_key, Role::c), batch);
        launch("xl_score_gradient_kernel", xl_score_gradient_kernel<T>,
               dim3(static_cast<unsigned>(shape.T), static_cast<unsigned>(some * shape.H)), kGradientThreads, 0, exec.stream, p.data(),
               by_key.data(), by_place.data(), dscale_share.data(), scores.content(), scores.position(), dprobability.data(),
               lse + b * shape.H * shape.T, scores.stride(), in.scale, shape);
        HeadRows<const T> ds = scores.scores(static_cast<const T*>(by_key.data())),
                          placed = scores.scores(static_cast<const T*>(by_place.data())),
                          probabilities = scores.scores(static_cast<const T*>(p.data()));
        auto rows = [&](float* data) { return Rows<float>{data, some * shape.T, width, width}; };
        head_product<T, float>(exec, scores.queries(rows(dcontent.data()), 0), false, ds, Along::k, scores.keys(in.k, b), Along::rows,
                               shape.S, scores.role(Scores::by_key, Role::a), batch);
        head_product<T, float>(exec, scores.queries(rows(dposition.data()), 0), false, placed, Along::k, scores.places(in.r), Along::rows,
                               shape.S, scores.role(Scores::by_place, Role::a), batch);
        launch("xl_query_gradient_kernel", xl_query_gradient_kernel<T>, element_grid(some * shape.T * width), kElementThreads, 0,
               exec.stream, out.dq.slice(b * shape.T, some * shape.T), out.add_q, rows(dcontent.data()), rows(dposition.data()));
        head_product<T, T>(exec, scores.keys(out.dk, b), out.add_k, ds, Along::rows, scores.with_content().heads(), Along::rows, shape.T,
                           scores.role(Scores::by_key, Role::a_transposed), batch);
        head_product<T, T>(exec, scores.keys(out.dv, b), out.add_v, probabilities, Along::rows, heads_dy, Along::rows, shape.T,
                           scores.role(Scores::by_key, Role::a_transposed), batch);
        head_product<T, float>(exec, scores.places(out.dr), add, placed, Along::rows, scores.with_position().heads(), Along::rows, shape.T,
                               scores.role(Scores::by_place, Role::a_transposed), summed);
        column_sums(exec, out.du, Rows<const float>(rows(dcontent.data())), add);
        column_sums(exec, out.dv_bias, Rows<const float>(rows(dposition.data())), add);
        column_sums(exec, out.dscale, Rows<const float>{dscale_share.data(), some * shape.H * shape.T, 1, 1}, add);
    }
}

template void xl_attention_backward<Here, float>(Exec&, const XlAttentionGradients<float>&, Rows<const float>, const float*,
                                                 const XlAttentionInputs<float>&, XlAttentionShape, Size, Size);
template void xl_attention_backward<Here, bf16>(Exec&, const XlAttentionGradients<bf16>&, Rows<const bf16>, const float*,
                                                const XlAttentionInputs<bf16>&, XlAttentionShape, Size, Size);

}  // namespace engine::kernels
