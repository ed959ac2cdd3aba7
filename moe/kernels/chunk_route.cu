#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/chunk_route.h"
#include "moe/kernels/chunk_route_row.h"

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::store;

inline namespace ENGINE_DEVICE {

constexpr int kRouteThreads = 128;

// One block a chunk of a sequence.
template <class T>
__global__ void chunk_route_kernel(std::int32_t* ids, Sum<T>* gates, Rows<Sum<T>> p, Rows<Sum<T>> c, Rows<const T> z, Rows<const T> w,
                                   Chunks chunks, Size prefix) {
    Size group = blockIdx.x, row = group / chunks.count * chunks.length, column = chunks.u(group % chunks.count);
    for (Size f = threadIdx.x; f < w.rows; f += blockDim.x) c(group, f) = prefix_mean(z, row, column + f, prefix);
    __syncthreads();
    for (Size e = threadIdx.x; e < chunks.count; e += blockDim.x) p(group, e) = chunk_logit<T>(c.row(group), w, e);
    __syncthreads();
    if (threadIdx.x != 0) return;
    ids[group] = softmax_choice(p.row(group), chunks.count);
    gates[group] = p(group, ids[group]);
}

template <class T>
__global__ void chunk_route_backward_kernel(Rows<Sum<T>> dlogits, Rows<T> dz, const Sum<T>* dgates, const std::int32_t* ids,
                                            Rows<const Sum<T>> p, Rows<const T> w, Chunks chunks, Size prefix) {
    using S = Sum<T>;
    Size group = blockIdx.x, row = group / chunks.count * chunks.length, column = chunks.u(group % chunks.count);
    S share = dgates[group] * p(group, ids[group]);
    for (Size e = threadIdx.x; e < chunks.count; e += blockDim.x) {
        dlogits(group, e) = share * ((e == ids[group] ? S(1) : S(0)) - p(group, e));
    }
    __syncthreads();
    for (Size f = threadIdx.x; f < w.rows; f += blockDim.x) {
        S sum = 0;
        for (Size e = 0; e < chunks.count; ++e) sum += load(w(f, e)) * dlogits(group, e);
        sum /= static_cast<S>(prefix);
        for (Size t = 0; t < prefix; ++t) dz(row + t, column + f) = store<T>(load(dz(row + t, column + f)) + sum);
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void chunk_route(Exec& exec, std::int32_t* ids, Sum<T>* gates, Rows<Sum<T>> p, Rows<Sum<T>> c, Rows<const T> z, Rows<const T> w,
                 const Chunks& chunks, Size prefix) {
    engine::launch("chunk_route_kernel", chunk_route_kernel<T>, dim3(static_cast<unsigned>(chunks.sequences * chunks.count)), kRouteThreads,
                   0, exec.stream, ids, gates, p, c, z, w, chunks, prefix);
}

template <class D, class T>
void chunk_route_backward(Exec& exec, Rows<Sum<T>> dlogits, Rows<T> dz, const Sum<T>* dgates, const std::int32_t* ids, Rows<const Sum<T>> p,
                          Rows<const T> w, const Chunks& chunks, Size prefix) {
    engine::launch("chunk_route_backward_kernel", chunk_route_backward_kernel<T>,
                   dim3(static_cast<unsigned>(chunks.sequences * chunks.count)), kRouteThreads, 0, exec.stream, dlogits, dz, dgates, ids, p,
                   w, chunks, prefix);
}

#define INSTANTIATE(T)                                                                                                                \
    template void chunk_route<Here, T>(Exec&, std::int32_t*, Sum<T>*, Rows<Sum<T>>, Rows<Sum<T>>, Rows<const T>, Rows<const T>,       \
                                       const Chunks&, Size);                                                                          \
    template void chunk_route_backward<Here, T>(Exec&, Rows<Sum<T>>, Rows<T>, const Sum<T>*, const std::int32_t*, Rows<const Sum<T>>, \
                                                Rows<const T>, const Chunks&, Size);
INSTANTIATE(float)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
