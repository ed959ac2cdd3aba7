#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/attention.h"
#include "engine/memory/scratch.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr int kPairThreads = 128;

struct PairChunk {
    float p[kPairThreads], ds[kPairThreads];
};

// Probability p of the pair of query i and key j, and the gradient dp of p.
struct AttentionPair {
    float p, dp;
};
template <class T>
__device__ AttentionPair attention_pair(const AttentionInputs<T>& in, Rows<const T> dy, const float* lse, AttentionShape shape, Size b,
                                        Size h, Size i, Size j) {
    Size column = h * shape.Sh;
    const T* q = in.q.row(b * shape.T + i) + column;
    const T* k = in.k.row(b * shape.S + j) + column;
    const T* v = in.v.row(b * shape.S + j) + column;
    const T* grad = dy.row(b * shape.T + i) + column;
    float score = 0, dp = 0;
    for (Size d = 0; d < shape.Sh; ++d) {
        score += load(q[d]) * load(k[d]);
        dp += load(grad[d]) * load(v[d]);
    }
    return {expf(score / sqrtf(static_cast<float>(shape.Sh)) - lse[(b * shape.H + h) * shape.T + i]), dp};
}

// One block a query and head: δ = Σ_j p∘dp, kept for the keys' kernel, then dq. Keys go by in chunks of one a thread.
template <class T>
__global__ void attention_query_gradient_kernel(Rows<T> dq, float* delta, Rows<const T> dy, const float* lse, AttentionInputs<T> in,
                                                AttentionShape shape) {
    auto& chunk = shared_memory<PairChunk>();
    Size i = blockIdx.x, h = blockIdx.y, b = blockIdx.z, column = h * shape.Sh, seen = shape.S - shape.T + i + 1;
    float scale = 1.0f / sqrtf(static_cast<float>(shape.Sh)), share = 0;
    for (Size j = threadIdx.x; j < seen; j += kPairThreads) {
        AttentionPair pair = attention_pair(in, dy, lse, shape, b, h, i, j);
        share += pair.p * pair.dp;
    }
    share = block_sum(share);
    if (threadIdx.x == 0) delta[(b * shape.H + h) * shape.T + i] = share;
    for (Size base = 0; base < shape.Sh; base += kPairThreads) {
        Size c = base + threadIdx.x;
        float total = 0;
        for (Size first = 0; first < seen; first += kPairThreads) {
            Size j = first + threadIdx.x;
            AttentionPair pair{0, 0};
            if (j < seen) pair = attention_pair(in, dy, lse, shape, b, h, i, j);
            chunk.ds[threadIdx.x] = pair.p * (pair.dp - share) * scale;
            __syncthreads();
            if (c < shape.Sh) {
                Size count = seen - first < kPairThreads ? seen - first : kPairThreads;
                for (Size n = 0; n < count; ++n) total += chunk.ds[n] * load(in.k.row(b * shape.S + first + n)[column + c]);
            }
            __syncthreads();
        }
        if (c < shape.Sh) dq.row(b * shape.T + i)[column + c] = store<T>(total);
    }
}

// One block a key and head; the queries that see the key go by in chunks, in order.
template <class T>
__global__ void attention_key_gradient_kernel(Rows<T> dk, Rows<T> dv, const float* delta, Rows<const T> dy, const float* lse,
                                              AttentionInputs<T> in, AttentionShape shape) {
    auto& chunk = shared_memory<PairChunk>();
    Size j = blockIdx.x, h = blockIdx.y, b = blockIdx.z, column = h * shape.Sh, M = shape.S - shape.T;
    float scale = 1.0f / sqrtf(static_cast<float>(shape.Sh));
    for (Size base = 0; base < shape.Sh; base += kPairThreads) {
        Size c = base + threadIdx.x;
        float key = 0, value = 0;
        for (Size first = j > M ? j - M : 0; first < shape.T; first += kPairThreads) {
            Size i = first + threadIdx.x;
            AttentionPair pair{0, 0};
            if (i < shape.T) pair = attention_pair(in, dy, lse, shape, b, h, i, j);
            chunk.p[threadIdx.x] = pair.p;
            chunk.ds[threadIdx.x] = i < shape.T ? pair.p * (pair.dp - delta[(b * shape.H + h) * shape.T + i]) * scale : 0.0f;
            __syncthreads();
            if (c < shape.Sh) {
                Size count = shape.T - first < kPairThreads ? shape.T - first : kPairThreads;
                for (Size n = 0; n < count; ++n) {
                    key += chunk.ds[n] * load(in.q.row(b * shape.T + first + n)[column + c]);
                    value += chunk.p[n] * load(dy.row(b * shape.T + first + n)[column + c]);
                }
            }
            __syncthreads();
        }
        if (c < shape.Sh) {
            dk.row(b * shape.S + j)[column + c] = store<T>(key);
            dv.row(b * shape.S + j)[column + c] = store<T>(value);
        }
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void attention_backward(Exec& exec, const AttentionGradients<T>& out, Rows<const T> dy, const Sum<T>* lse, const AttentionInputs<T>& in,
                        AttentionShape shape) {
    Scratch<float> delta(exec, shape.B * shape.H * shape.T);
    dim3 queries(static_cast<unsigned>(shape.T), static_cast<unsigned>(shape.H), static_cast<unsigned>(shape.B));
    dim3 keys(static_cast<unsigned>(shape.S), static_cast<unsigned>(shape.H), static_cast<unsigned>(shape.B));
    launch("attention_query_gradient_kernel", attention_query_gradient_kernel<T>, queries, kPairThreads, 0, exec.stream, out.dq,
           delta.data(), dy, lse, in, shape);
    launch("attention_key_gradient_kernel", attention_key_gradient_kernel<T>, keys, kPairThreads, 0, exec.stream, out.dk, out.dv,
           delta.data(), dy, lse, in, shape);
}

#define INSTANTIATE(T)                                                                                           \
    template void attention_backward<Here, T>(Exec&, const AttentionGradients<T>&, Rows<const T>, const Sum<T>*, \
                                              const AttentionInputs<T>&, AttentionShape);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace engine::kernels
