#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/xl_attention.h"
#include "engine/kernels/xl_scores.cuh"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr int kSoftmaxThreads = 128;

// One block a query, head and sequence: its scores' softmax, 0 where no key exists. p (sequences, H, T, S)
template <class T>
__global__ void xl_softmax_kernel(T* p, float* lse, const float* content, const float* position, Size stride, const T* scale_at,
                                  XlAttentionShape shape) {
    Size i = blockIdx.x, row = static_cast<Size>(blockIdx.y) * shape.T + i, seen = shape.S - shape.T + i + 1;
    const float *by_key = content + row * stride, *by_place = position + row * stride + shape.T - 1 - i;
    float scale = load(*scale_at), largest = -INFINITY, sum = 0;
    auto score = [&](Size j) { return (by_key[j] + by_place[j]) * scale; };
    for (Size j = threadIdx.x; j < seen; j += kSoftmaxThreads) largest = max(largest, score(j));
    largest = block_max(largest, -INFINITY);
    for (Size j = threadIdx.x; j < seen; j += kSoftmaxThreads) sum += expf(score(j) - largest);
    sum = block_sum(sum);
    for (Size j = threadIdx.x; j < stride; j += kSoftmaxThreads) {
        p[row * stride + j] = store<T>(j < seen ? expf(score(j) - largest) / sum : 0.0f);
    }
    if (threadIdx.x == 0) lse[row] = largest + logf(sum);
}

}  // namespace ENGINE_DEVICE

// Scores of some sequences, their softmax, and its product with the values.
template <class D, class T>
void xl_attention(Exec& exec, Rows<T> y, Sum<T>* lse, const XlAttentionInputs<T>& in, XlAttentionShape shape) {
    if (shape.B * shape.T == 0) return;
    Size most = sequences_at_once(shape, shape.B);
    XlScores<T> scores(exec, shape, most);
    Scratch<T> p(exec, scores.elements(most));
    for (Size first = 0; first < shape.B; first += most) {
        Size count = most < shape.B - first ? most : shape.B - first;
        scores.compute(exec, in, first, count);
        dim3 rows(static_cast<unsigned>(shape.T), static_cast<unsigned>(count * shape.H));
        launch("xl_softmax_kernel", xl_softmax_kernel<T>, rows, kSoftmaxThreads, 0, exec.stream, p.data(), lse + first * shape.H * shape.T,
               scores.content(), scores.position(), scores.stride(), in.scale, shape);
        const T* probabilities = p.data();
        head_product<T, T>(exec, scores.queries(y, first), false, scores.scores(probabilities), Along::k, scores.keys(in.v, first),
                           Along::rows, shape.S, scores.role(Scores::by_key, Role::a), {count, shape.H});
    }
}

template void xl_attention<Here, float>(Exec&, Rows<float>, float*, const XlAttentionInputs<float>&, XlAttentionShape);
template void xl_attention<Here, bf16>(Exec&, Rows<bf16>, float*, const XlAttentionInputs<bf16>&, XlAttentionShape);

}  // namespace engine::kernels
