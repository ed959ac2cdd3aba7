#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/column_sums.cuh"
#include "engine/kernels/layer_norm.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr int kRowThreads = 128;

// One block a row.
template <class T>
__global__ void layer_norm_kernel(Rows<T> y, Sum<T>* m, Sum<T>* r, Rows<const T> x, const T* w, const T* b, Sum<T> eps) {
    using S = Sum<T>;
    Size n = blockIdx.x, C = x.columns;
    const T* in = x.row(n);
    S sum = 0;
    for (Size c = threadIdx.x; c < C; c += blockDim.x) sum += load(in[c]);
    S mean = m != nullptr ? block_sum(sum) / static_cast<S>(C) : S(0);
    S squares = 0;
    for (Size c = threadIdx.x; c < C; c += blockDim.x) squares += (load(in[c]) - mean) * (load(in[c]) - mean);
    S rate = S(1) / sqrtf(block_sum(squares) / static_cast<S>(C) + eps);
    if (threadIdx.x == 0) {
        if (m != nullptr) m[n] = mean;
        r[n] = rate;
    }
    for (Size c = threadIdx.x; c < C; c += blockDim.x) {
        S value = (load(in[c]) - mean) * rate * load(w[c]);
        y(n, c) = store<T>(b != nullptr ? value + load(b[c]) : value);
    }
}

template <class T>
__global__ void layer_norm_backward_kernel(Rows<T> dx, bool add, Rows<const T> dy, Rows<const T> x, const T* w, const Sum<T>* m,
                                           const Sum<T>* r) {
    using S = Sum<T>;
    Size n = blockIdx.x, C = x.columns;
    S mean = m != nullptr ? m[n] : S(0), rate = r[n], sum_g = 0, sum_gx = 0;
    for (Size c = threadIdx.x; c < C; c += blockDim.x) {
        S g = load(dy(n, c)) * load(w[c]);
        sum_g += g;
        sum_gx += g * ((load(x(n, c)) - mean) * rate);
    }
    S mean_g = m != nullptr ? block_sum(sum_g) / static_cast<S>(C) : S(0);
    S mean_gx = block_sum(sum_gx) / static_cast<S>(C);
    for (Size c = threadIdx.x; c < C; c += blockDim.x) {
        S value = rate * (load(dy(n, c)) * load(w[c]) - mean_g - (load(x(n, c)) - mean) * rate * mean_gx);
        dx(n, c) = store<T>(add ? load(dx(n, c)) + value : value);
    }
}

// What a row adds to a column of dw.
template <class T>
struct WeightGradientValue {
    Rows<const T> dy, x;
    const Sum<T>* m;
    const Sum<T>* r;
    __device__ Sum<T> operator()(Size n, Size c) const {
        return load(dy(n, c)) * ((load(x(n, c)) - (m != nullptr ? m[n] : Sum<T>(0))) * r[n]);
    }
};

}  // namespace ENGINE_DEVICE

template <class D, class T>
void layer_norm(Exec& exec, Rows<T> y, Sum<T>* m, Sum<T>* r, Rows<const T> x, const T* w, const T* b, double eps) {
    if (x.rows == 0) return;
    launch("layer_norm_kernel", layer_norm_kernel<T>, dim3(static_cast<unsigned>(x.rows)), kRowThreads, 0, exec.stream, y, m, r, x, w, b,
           static_cast<Sum<T>>(eps));
}

template <class D, class T>
void layer_norm_backward(Exec& exec, Rows<T> dx, bool add, Rows<const T> dy, Rows<const T> x, const T* w, const Sum<T>* m,
                         const Sum<T>* r) {
    if (x.rows == 0) return;
    launch("layer_norm_backward_kernel", layer_norm_backward_kernel<T>, dim3(static_cast<unsigned>(x.rows)), kRowThreads, 0, exec.stream,
           dx, add, dy, x, w, m, r);
}

template <class D, class T>
void layer_norm_weight_gradient(Exec& exec, Sum<T>* dw, Sum<T>* db, Rows<const T> dy, Rows<const T> x, const Sum<T>* m, const Sum<T>* r,
                                bool add) {
    column_sums_of(exec, dw, x.rows, x.columns, WeightGradientValue<T>{dy, x, m, r}, add);
    if (db != nullptr) column_sums(exec, db, dy, add);
}

#define INSTANTIATE(T)                                                                                                                     \
    template void layer_norm<Here, T>(Exec&, Rows<T>, Sum<T>*, Sum<T>*, Rows<const T>, const T*, const T*, double);                        \
    template void layer_norm_backward<Here, T>(Exec&, Rows<T>, bool, Rows<const T>, Rows<const T>, const T*, const Sum<T>*,                \
                                               const Sum<T>*);                                                                             \
    template void layer_norm_weight_gradient<Here, T>(Exec&, Sum<T>*, Sum<T>*, Rows<const T>, Rows<const T>, const Sum<T>*, const Sum<T>*, \
                                                      bool);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace engine::kernels
