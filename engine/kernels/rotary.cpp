#include "engine/kernels/rotary.h"

#include "engine/base/threads.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr Size kRotaryRows = 16;

}  // namespace ENGINE_DEVICE

template <class D, class T>
void rotary(Exec&, Rows<T> y, Rows<const T> x, Rows<const Sum<T>> table, RotaryShape shape, bool back) {
    using S = Sum<T>;
    Size half = shape.Sh / 2;
    S sign = back ? S(-1) : S(1);
    parallel_blocks(x.rows, kRotaryRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            const S *cosines = table.row(shape.first + n % shape.T), *sines = cosines + half;
            for (Size h = 0; h < shape.H; ++h) {
                const T* in = x.row(n) + h * shape.Sh;
                T* out = y.row(n) + h * shape.Sh;
                for (Size i = 0; i < half; ++i) {
                    S a = load(in[i]), b = load(in[half + i]), sine = sign * sines[i];
                    out[i] = store<T>(a * cosines[i] - b * sine);
                    out[half + i] = store<T>(b * cosines[i] + a * sine);
                }
            }
        }
    });
}

template void rotary<Here, float>(Exec&, Rows<float>, Rows<const float>, Rows<const float>, RotaryShape, bool);
template void rotary<Here, double>(Exec&, Rows<double>, Rows<const double>, Rows<const double>, RotaryShape, bool);
template void rotary<Here, bf16>(Exec&, Rows<bf16>, Rows<const bf16>, Rows<const float>, RotaryShape, bool);

}  // namespace engine::kernels
