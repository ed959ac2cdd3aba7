#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/batch_norm.h"
#include "moe/kernels/batch_norm_element.h"

namespace moe::kernels {

using engine::element_grid;
using engine::element_index;
using engine::Here;
using engine::kElementThreads;
using engine::load;
using engine::store;

inline namespace ENGINE_DEVICE {

constexpr int kStatisticThreads = 128;
constexpr Size kStatisticRows = 64;

// One thread a column of a block of 64 rows: partial (blocks, F).
template <class T>
__global__ void batch_norm_leaf_kernel(float* partial, Rows<const T> x, const float* m) {
    Size f = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x, first = blockIdx.y * kStatisticRows;
    if (f >= x.columns) return;
    float sum = 0;
    for (Size n = first; n < first + kStatisticRows && n < x.rows; ++n) {
        float value = m != nullptr ? load(x(n, f)) - m[f] : load(x(n, f));
        sum += m != nullptr ? value * value : value;
    }
    partial[blockIdx.y * x.columns + f] = sum;
}

// partial (blocks, 2F)
template <class T>
__global__ void batch_norm_gradient_leaf_kernel(float* partial, Rows<const T> dy, Rows<const T> x, const float* m, const float* r) {
    Size f = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x, first = blockIdx.y * kStatisticRows;
    if (f >= x.columns) return;
    float sum = 0, product = 0;
    for (Size n = first; n < first + kStatisticRows && n < x.rows; ++n) {
        sum += load(dy(n, f));
        product += load(dy(n, f)) * ((load(x(n, f)) - m[f]) * r[f]);
    }
    partial[blockIdx.y * 2 * x.columns + f] = sum;
    partial[(blockIdx.y * 2 + 1) * x.columns + f] = product;
}

__global__ void batch_norm_blocks_kernel(float* sum, const float* partial, Size blocks, Size columns) {
    Size f = element_index();
    if (f >= columns) return;
    float total = 0;
    for (Size block = 0; block < blocks; ++block) total += partial[block * columns + f];
    sum[f] = total;
}

__global__ void batch_norm_rate_kernel(float* r, const float* v, Size F, float eps) {
    Size f = element_index();
    if (f < F) r[f] = 1.0f / sqrtf(v[f] + eps);
}

__global__ void batch_norm_running_kernel(float* next_m, float* next_v, const float* old_m, const float* old_v, const float* m,
                                          const float* v, Size F, float unbiased) {
    Size f = element_index();
    if (f >= F) return;
    next_m[f] = running_average(old_m[f], m[f]);
    next_v[f] = running_average(old_v[f], v[f] * unbiased);
}

template <class T>
__global__ void batch_norm_kernel(Rows<T> y, Rows<const T> x, const float* m, const float* r, const T* w, const T* b) {
    Size i = element_index(), n = i / x.columns, f = i % x.columns;
    if (n < x.rows) y(n, f) = store<T>((load(x(n, f)) - m[f]) * r[f] * load(w[f]) + load(b[f]));
}

template <class T>
__global__ void batch_norm_backward_kernel(Rows<T> dx, bool add, Rows<const T> dy, Rows<const T> x, const float* m, const float* r,
                                           const T* w, const float* means) {
    Size i = element_index(), n = i / x.columns, f = i % x.columns;
    if (n >= x.rows) return;
    float value = normalised_gradient(load(dy(n, f)), load(x(n, f)), m[f], r[f], load(w[f]), means != nullptr ? means[f] : 0.0f,
                                      means != nullptr ? means[x.columns + f] : 0.0f);
    dx(n, f) = store<T>(add ? load(dx(n, f)) + value : value);
}

inline dim3 statistic_grid(Size columns, Size blocks) {
    return dim3(static_cast<unsigned>((columns + kStatisticThreads - 1) / kStatisticThreads), static_cast<unsigned>(blocks));
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void batch_norm_leaf(Exec& exec, Sum<T>* sum, Rows<const T> x, const Sum<T>* m) {
    Size blocks = (x.rows + kStatisticRows - 1) / kStatisticRows;
    engine::Scratch<float> partial(exec, blocks * x.columns + 1);
    engine::launch("batch_norm_leaf_kernel", batch_norm_leaf_kernel<T>, statistic_grid(x.columns, blocks), kStatisticThreads, 0,
                   exec.stream, partial.data(), x, m);
    engine::launch("batch_norm_blocks_kernel", batch_norm_blocks_kernel, element_grid(x.columns), kElementThreads, 0, exec.stream, sum,
                   partial.data(), blocks, x.columns);
}

template <class D, class T>
void batch_norm_gradient_leaf(Exec& exec, Sum<T>* sums, Rows<const T> dy, Rows<const T> x, const Sum<T>* m, const Sum<T>* r) {
    Size blocks = (x.rows + kStatisticRows - 1) / kStatisticRows;
    engine::Scratch<float> partial(exec, blocks * 2 * x.columns + 1);
    engine::launch("batch_norm_gradient_leaf_kernel", batch_norm_gradient_leaf_kernel<T>, statistic_grid(x.columns, blocks),
                   kStatisticThreads, 0, exec.stream, partial.data(), dy, x, m, r);
    engine::launch("batch_norm_blocks_kernel", batch_norm_blocks_kernel, element_grid(2 * x.columns), kElementThreads, 0, exec.stream, sums,
                   partial.data(), blocks, 2 * x.columns);
}

template <class D, class S>
void batch_norm_rate(Exec& exec, S* r, const S* v, Size F, double eps) {
    engine::launch("batch_norm_rate_kernel", batch_norm_rate_kernel, element_grid(F), kElementThreads, 0, exec.stream, r, v, F,
                   static_cast<float>(eps));
}

template <class D, class S>
void batch_norm_running(Exec& exec, S* next_m, S* next_v, const S* old_m, const S* old_v, const S* m, const S* v, Size F, double rows) {
    engine::launch("batch_norm_running_kernel", batch_norm_running_kernel, element_grid(F), kElementThreads, 0, exec.stream, next_m, next_v,
                   old_m, old_v, m, v, F, static_cast<float>(rows / (rows - 1)));
}

template <class D, class T>
void batch_norm(Exec& exec, Rows<T> y, Rows<const T> x, const Sum<T>* m, const Sum<T>* r, const T* w, const T* b) {
    engine::launch("batch_norm_kernel", batch_norm_kernel<T>, element_grid(x.rows * x.columns), kElementThreads, 0, exec.stream, y, x, m, r,
                   w, b);
}

template <class D, class T>
void batch_norm_backward(Exec& exec, Rows<T> dx, bool add, Rows<const T> dy, Rows<const T> x, const Sum<T>* m, const Sum<T>* r, const T* w,
                         const Sum<T>* means) {
    engine::launch("batch_norm_backward_kernel", batch_norm_backward_kernel<T>, element_grid(x.rows * x.columns), kElementThreads, 0,
                   exec.stream, dx, add, dy, x, m, r, w, means);
}

#define INSTANTIATE(T)                                                                                                                   \
    template void batch_norm_leaf<Here, T>(Exec&, float*, Rows<const T>, const float*);                                                  \
    template void batch_norm_gradient_leaf<Here, T>(Exec&, float*, Rows<const T>, Rows<const T>, const float*, const float*);            \
    template void batch_norm<Here, T>(Exec&, Rows<T>, Rows<const T>, const float*, const float*, const T*, const T*);                    \
    template void batch_norm_backward<Here, T>(Exec&, Rows<T>, bool, Rows<const T>, Rows<const T>, const float*, const float*, const T*, \
                                               const float*);
INSTANTIATE(float)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE
template void batch_norm_rate<Here, float>(Exec&, float*, const float*, Size, double);
template void batch_norm_running<Here, float>(Exec&, float*, float*, const float*, const float*, const float*, const float*, Size, double);

}  // namespace moe::kernels
