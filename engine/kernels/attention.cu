#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/running_softmax.cuh"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// One block a query and head. Keys go by in chunks of one a thread, with a running maximum (Milakov & Gimelshein 2018); thread c keeps
// output column c, c + 128, …: at most kKeyChunk columns a pass.
template <class T>
__global__ void attention_kernel(Rows<T> y, Sum<T>* lse, AttentionInputs<T> in, AttentionShape shape) {
    auto& chunk = shared_memory<ChunkProbabilities>();
    Size i = blockIdx.x, h = blockIdx.y, b = blockIdx.z, column = h * shape.Sh, seen = shape.S - shape.T + i + 1;
    const T* q = in.q.row(b * shape.T + i) + column;
    float scale = 1.0f / sqrtf(static_cast<float>(shape.Sh));
    for (Size base = 0; base < shape.Sh; base += kKeyChunk) {
        Size c = base + threadIdx.x;
        RunningSoftmax softmax;
        Rows<const T> values = in.v.slice(b * shape.S, shape.S);
        for (Size first = 0; first < seen; first += kKeyChunk) {
            Size j = first + threadIdx.x;
            float score = 0;
            if (j < seen) {
                const T* k = in.k.row(b * shape.S + j) + column;
                for (Size d = 0; d < shape.Sh; ++d) score += load(q[d]) * load(k[d]);
            }
            score = j < seen ? score * scale : -INFINITY;
            softmax.add_chunk(chunk, score, j < seen, values, column, first, seen, c, shape.Sh);
        }
        if (c < shape.Sh) y.row(b * shape.T + i)[column + c] = store<T>(softmax.result());
        if (base == 0 && threadIdx.x == 0) lse[(b * shape.H + h) * shape.T + i] = softmax.log_sum_exp();
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void attention(Exec& exec, Rows<T> y, Sum<T>* lse, const AttentionInputs<T>& in, AttentionShape shape) {
    dim3 grid(static_cast<unsigned>(shape.T), static_cast<unsigned>(shape.H), static_cast<unsigned>(shape.B));
    launch("attention_kernel", attention_kernel<T>, grid, kKeyChunk, 0, exec.stream, y, lse, in, shape);
}

template void attention<Here, float>(Exec&, Rows<float>, float*, const AttentionInputs<float>&, AttentionShape);
template void attention<Here, bf16>(Exec&, Rows<bf16>, float*, const AttentionInputs<bf16>&, AttentionShape);

}  // namespace engine::kernels
