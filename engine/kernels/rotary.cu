#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/rotary.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// One thread a pair.
template <class T>
__global__ void rotary_kernel(Rows<T> y, Rows<const T> x, Rows<const Sum<T>> table, RotaryShape shape, float sign) {
    Size half = shape.Sh / 2, pairs = shape.H * half, index = element_index();
    if (index >= x.rows * pairs) return;
    Size n = index / pairs, pair = index % pairs, i = pair % half, column = pair / half * shape.Sh + i;
    const float* row = table.row(shape.first + n % shape.T);
    float a = load(x(n, column)), b = load(x(n, column + half)), cosine = row[i], sine = sign * row[half + i];
    y(n, column) = store<T>(a * cosine - b * sine);
    y(n, column + half) = store<T>(b * cosine + a * sine);
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void rotary(Exec& exec, Rows<T> y, Rows<const T> x, Rows<const Sum<T>> table, RotaryShape shape, bool back) {
    launch("rotary_kernel", rotary_kernel<T>, element_grid(x.rows * shape.H * (shape.Sh / 2)), kElementThreads, 0, exec.stream, y, x, table,
           shape, back ? -1.0f : 1.0f);
}

template void rotary<Here, float>(Exec&, Rows<float>, Rows<const float>, Rows<const float>, RotaryShape, bool);
template void rotary<Here, bf16>(Exec&, Rows<bf16>, Rows<const bf16>, Rows<const float>, RotaryShape, bool);

}  // namespace engine::kernels
