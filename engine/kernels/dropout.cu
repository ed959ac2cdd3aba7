#include "engine/base/here.h"
#include "engine/base/philox.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/dropout.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// One thread the four elements of the batch that share a random number's counter; x begins at element `first` of it.
template <class T>
__global__ void dropout_kernel(Rows<T> y, Rows<const T> x, std::uint32_t threshold, Sum<T> scale, const StepScalars* scalars,
                               std::uint32_t site, Size first) {
    Size begin = (first / 4 + element_index()) * 4, end = first + x.rows * x.columns;
    if (begin >= end) return;
    Random4 bits = random_bits4(scalars->seed, scalars->step, site, static_cast<std::uint64_t>(begin / 4));
    Size i = begin < first ? first : begin, n = (i - first) / x.columns, c = (i - first) % x.columns;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        if (begin + j < first || begin + j >= end) continue;
        y(n, c) = store<T>(bits.value[j] >= threshold ? load(x(n, c)) * scale : Sum<T>(0));
        if (++c == x.columns) ++n, c = 0;
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void dropout(Exec& exec, Rows<T> y, Rows<const T> x, float rate, std::uint32_t site, Size first_row) {
    Size first = first_row * x.columns, elements = x.rows * x.columns;
    if (elements == 0) return;
    Size groups = (first + elements + 3) / 4 - first / 4;
    launch("dropout_kernel", dropout_kernel<T>, element_grid(groups), kElementThreads, 0, exec.stream, y, x, drop_threshold(rate),
           Sum<T>(1) / (Sum<T>(1) - static_cast<Sum<T>>(rate)), exec.scalars, site, first);
}

template void dropout<Here, float>(Exec&, Rows<float>, Rows<const float>, float, std::uint32_t, Size);
template void dropout<Here, bf16>(Exec&, Rows<bf16>, Rows<const bf16>, float, std::uint32_t, Size);

}  // namespace engine::kernels
