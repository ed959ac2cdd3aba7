#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/move_rows.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

template <class T>
__global__ void move_rows_kernel(Rows<T> y, Rows<const T> x, RowMove move, bool add) {
    Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= move.batch * move.count * y.columns) return;
    Size c = i % y.columns, row = i / y.columns, b = row / move.count, t = row % move.count;
    T& out = y(b * move.to_length + move.to_first + t, c);
    T in = x(b * move.from_length + move.from_first + t, c);
    out = add ? store<T>(load(out) + load(in)) : in;
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void move_rows(Exec& exec, Rows<T> y, Rows<const T> x, RowMove move, bool add) {
    constexpr int kThreads = 256;
    Size elements = move.batch * move.count * y.columns;
    if (elements == 0) return;
    launch("move_rows_kernel", move_rows_kernel<T>, dim3(static_cast<unsigned>((elements + kThreads - 1) / kThreads)), kThreads, 0,
           exec.stream, y, x, move, add);
}

template void move_rows<Here, float>(Exec&, Rows<float>, Rows<const float>, RowMove, bool);
template void move_rows<Here, bf16>(Exec&, Rows<bf16>, Rows<const bf16>, RowMove, bool);

}  // namespace engine::kernels
