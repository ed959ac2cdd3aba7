#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/running_softmax.cuh"
#include "engine/kernels/xl_attention.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// One block a query and head. Keys go by in chunks of one a thread, with a running maximum (Milakov & Gimelshein 2018); thread c keeps
// output column c, c + 128, …: at most kKeyChunk columns a pass.
template <class T>
__global__ void xl_attention_kernel(Rows<T> y, Sum<T>* lse, XlAttentionInputs<T> in, XlAttentionShape shape) {
    auto& chunk = shared_memory<ChunkProbabilities>();
    Size i = blockIdx.x, h = blockIdx.y, b = blockIdx.z, column = h * shape.Sh;
    Size seen = shape.S - shape.T + i + 1;
    const T* q = in.q.row(b * shape.T + i) + column;
    float scale = load(*in.scale);
    for (Size base = 0; base < shape.Sh; base += kKeyChunk) {
        Size c = base + threadIdx.x;
        RunningSoftmax softmax;
        Rows<const T> values = in.v.slice(b * shape.S, shape.S);
        for (Size first = 0; first < seen; first += kKeyChunk) {
            Size j = first + threadIdx.x;
            float score = -INFINITY;
            if (j < seen) {
                const T* k = in.k.row(b * shape.S + j) + column;
                const T* r = in.r.row(j + shape.T - 1 - i) + column;
                float content = 0, position = 0;
                for (Size d = 0; d < shape.Sh; ++d) {
                    content += (load(q[d]) + load(in.u[column + d])) * load(k[d]);
                    position += (load(q[d]) + load(in.v_bias[column + d])) * load(r[d]);
                }
                score = (content + position) * scale;
            }
            softmax.add_chunk(chunk, score, j < seen, values, column, first, seen, c, shape.Sh);
        }
        if (c < shape.Sh) y.row(b * shape.T + i)[column + c] = store<T>(softmax.result());
        if (base == 0 && threadIdx.x == 0) lse[(b * shape.H + h) * shape.T + i] = softmax.log_sum_exp();
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void xl_attention(Exec& exec, Rows<T> y, Sum<T>* lse, const XlAttentionInputs<T>& in, XlAttentionShape shape) {
    if (shape.B * shape.T == 0) return;
    dim3 grid(static_cast<unsigned>(shape.T), static_cast<unsigned>(shape.H), static_cast<unsigned>(shape.B));
    launch("xl_attention_kernel", xl_attention_kernel<T>, grid, kKeyChunk, 0, exec.stream, y, lse, in, shape);
}

template void xl_attention<Here, float>(Exec&, Rows<float>, float*, const XlAttentionInputs<float>&, XlAttentionShape);
template void xl_attention<Here, bf16>(Exec&, Rows<bf16>, float*, const XlAttentionInputs<bf16>&, XlAttentionShape);

}  // namespace engine::kernels
