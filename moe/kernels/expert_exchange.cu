#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/expert_exchange.h"

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::store;

inline namespace ENGINE_DEVICE {

constexpr int kExchangeThreads = 128;

inline unsigned exchange_blocks(Size count) { return static_cast<unsigned>((count + kExchangeThreads - 1) / kExchangeThreads); }

__device__ inline Size exchange_index() { return static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x; }

__global__ void own_ids_kernel(std::int32_t* out, const std::int32_t* ids, Size count, Size first, Size experts, const std::int32_t* slot) {
    Size i = exchange_index();
    if (i >= count) return;
    bool own = ids[i] >= first && ids[i] < first + experts && (slot == nullptr || slot[i] >= 0);
    out[i] = own ? static_cast<std::int32_t>(ids[i] - first) : -1;
}

__global__ void owners_kernel(std::int32_t* out, const std::int32_t* ids, Size count, Size experts) {
    Size i = exchange_index();
    if (i < count) out[i] = ids[i] >= 0 ? static_cast<std::int32_t>(ids[i] / experts) : -1;
}

// One thread a row and an owner.
__global__ void owners_of_rows_kernel(std::int32_t* out, const std::int32_t* ids, Size N, Size K, Size P, Size experts) {
    Size i = exchange_index();
    if (i >= N * P) return;
    Size n = i / P, p = i % P;
    std::int32_t found = -1;
    for (Size k = 0; k < K; ++k) {
        if (ids[n * K + k] >= 0 && ids[n * K + k] / experts == p) found = static_cast<std::int32_t>(p);
    }
    out[i] = found;
}

// One block a row.
template <class T>
__global__ void take_rows_kernel(Rows<T> y, Rows<const T> x, const std::int32_t* index, const std::int32_t* through) {
    Size i = blockIdx.x;
    if (index[i] < 0) return;
    Size from = through != nullptr ? through[index[i]] : index[i];
    for (Size c = threadIdx.x; c < y.columns; c += blockDim.x) y(i, c) = x(from, c);
}

template <class T>
__global__ void put_rows_kernel(Rows<T> y, Rows<const T> x, const std::int32_t* index) {
    Size i = blockIdx.x, to = index[i];
    for (Size c = threadIdx.x; to >= 0 && c < y.columns; c += blockDim.x) y(to, c) = x(i, c);
}

template <class T>
__global__ void sum_routed_rows_kernel(Rows<T> y, bool add, Rows<const float> x, const std::int32_t* position, Size K) {
    Size n = blockIdx.x;
    for (Size c = threadIdx.x; c < y.columns; c += blockDim.x) {
        float total = add ? load(y(n, c)) : 0.0f;
        for (Size k = 0; k < K; ++k) {
            std::int32_t r = position[n * K + k];
            if (r >= 0) total += x(r, c);
        }
        y(n, c) = store<T>(total);
    }
}

}  // namespace ENGINE_DEVICE

template <class D>
void own_ids(Exec& exec, std::int32_t* out, const std::int32_t* ids, Size count, Size first, Size experts, const std::int32_t* slot) {
    if (count == 0) return;
    engine::launch("own_ids_kernel", own_ids_kernel, dim3(exchange_blocks(count)), kExchangeThreads, 0, exec.stream, out, ids, count, first,
                   experts, slot);
}

template <class D>
void owners(Exec& exec, std::int32_t* out, const std::int32_t* ids, Size count, Size experts) {
    if (count == 0) return;
    engine::launch("owners_kernel", owners_kernel, dim3(exchange_blocks(count)), kExchangeThreads, 0, exec.stream, out, ids, count,
                   experts);
}

template <class D>
void owners_of_rows(Exec& exec, std::int32_t* out, const std::int32_t* ids, Size N, Size K, Size P, Size experts) {
    if (N == 0) return;
    engine::launch("owners_of_rows_kernel", owners_of_rows_kernel, dim3(exchange_blocks(N * P)), kExchangeThreads, 0, exec.stream, out, ids,
                   N, K, P, experts);
}

template <class D, class T>
void take_rows(Exec& exec, Rows<T> y, Rows<const T> x, const std::int32_t* index, const std::int32_t* through) {
    if (y.rows == 0) return;
    engine::launch("take_rows_kernel", take_rows_kernel<T>, dim3(static_cast<unsigned>(y.rows)), kExchangeThreads, 0, exec.stream, y, x,
                   index, through);
}

template <class D, class T>
void put_rows(Exec& exec, Rows<T> y, Rows<const T> x, const std::int32_t* index) {
    if (x.rows == 0) return;
    engine::launch("put_rows_kernel", put_rows_kernel<T>, dim3(static_cast<unsigned>(x.rows)), kExchangeThreads, 0, exec.stream, y, x,
                   index);
}

template <class D, class T>
void sum_routed_rows(Exec& exec, Rows<T> y, bool add, Rows<const Sum<T>> x, const std::int32_t* position, const std::int32_t*, Size K) {
    if (y.rows == 0) return;
    engine::launch("sum_routed_rows_kernel", sum_routed_rows_kernel<T>, dim3(static_cast<unsigned>(y.rows)), kExchangeThreads, 0,
                   exec.stream, y, add, x, position, K);
}

template void own_ids<Here>(Exec&, std::int32_t*, const std::int32_t*, Size, Size, Size, const std::int32_t*);
template void owners<Here>(Exec&, std::int32_t*, const std::int32_t*, Size, Size);
template void owners_of_rows<Here>(Exec&, std::int32_t*, const std::int32_t*, Size, Size, Size, Size);
#define INSTANTIATE(T)                                                                                         \
    template void take_rows<Here, T>(Exec&, Rows<T>, Rows<const T>, const std::int32_t*, const std::int32_t*); \
    template void put_rows<Here, T>(Exec&, Rows<T>, Rows<const T>, const std::int32_t*);                       \
    template void sum_routed_rows<Here, T>(Exec&, Rows<T>, bool, Rows<const Sum<T>>, const std::int32_t*, const std::int32_t*, Size);
INSTANTIATE(float)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
