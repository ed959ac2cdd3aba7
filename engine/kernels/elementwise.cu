#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/elementwise.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

template <class T>
__global__ void fill_kernel(Rows<T> y, Sum<T> value) {
    Size i = element_index();
    if (i < y.rows * y.columns) y(i / y.columns, i % y.columns) = store<T>(value);
}

template <class T>
__global__ void add_into_kernel(Rows<T> y, Rows<const T> x) {
    Size i = element_index();
    if (i >= y.rows * y.columns) return;
    T& out = y(i / y.columns, i % y.columns);
    out = store<T>(load(out) + load(x(i / y.columns, i % y.columns)));
}

template <class T>
__global__ void add_kernel(Rows<T> z, Rows<const T> x, Rows<const T> y) {
    Size i = element_index();
    if (i >= z.rows * z.columns) return;
    Size row = i / z.columns, column = i % z.columns;
    z(row, column) = store<T>(load(x(row, column)) + load(y(row, column)));
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void fill(Exec& exec, Rows<T> y, Sum<T> value) {
    if (y.rows * y.columns == 0) return;
    launch("fill_kernel", fill_kernel<T>, element_grid(y.rows * y.columns), kElementThreads, 0, exec.stream, y, value);
}

template <class D, class T>
void add_into(Exec& exec, Rows<T> y, Rows<const T> x) {
    if (y.rows * y.columns == 0) return;
    launch("add_into_kernel", add_into_kernel<T>, element_grid(y.rows * y.columns), kElementThreads, 0, exec.stream, y, x);
}

template <class D, class T>
void add(Exec& exec, Rows<T> z, Rows<const T> x, Rows<const T> y) {
    if (z.rows * z.columns == 0) return;
    launch("add_kernel", add_kernel<T>, element_grid(z.rows * z.columns), kElementThreads, 0, exec.stream, z, x, y);
}

#define INSTANTIATE(T)                                              \
    template void fill<Here, T>(Exec&, Rows<T>, Sum<T>);            \
    template void add_into<Here, T>(Exec&, Rows<T>, Rows<const T>); \
    template void add<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace engine::kernels
