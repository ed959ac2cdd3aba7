#include "engine/base/here.h"
#include "engine/base/philox.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/dropout.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

template <class T>
__global__ void dropout_kernel(Rows<T> y, Rows<const T> x, std::uint32_t threshold, Sum<T> scale, const StepScalars* scalars,
                               std::uint32_t site, Size first_row) {
    Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= x.rows * x.columns) return;
    Size n = i / x.columns, c = i % x.columns;
    std::uint32_t bits = random_bits(scalars->seed, scalars->step, site, static_cast<std::uint64_t>(first_row * x.columns + i));
    y(n, c) = store<T>(bits >= threshold ? load(x(n, c)) * scale : Sum<T>(0));
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void dropout(Exec& exec, Rows<T> y, Rows<const T> x, float rate, std::uint32_t site, Size first_row) {
    constexpr int kThreads = 256;
    Size elements = x.rows * x.columns;
    if (elements == 0) return;
    launch("dropout_kernel", dropout_kernel<T>, dim3(static_cast<unsigned>((elements + kThreads - 1) / kThreads)), kThreads, 0, exec.stream,
           y, x, drop_threshold(rate), Sum<T>(1) / (Sum<T>(1) - static_cast<Sum<T>>(rate)), exec.scalars, site, first_row);
}

template void dropout<Here, float>(Exec&, Rows<float>, Rows<const float>, float, std::uint32_t, Size);
template void dropout<Here, bf16>(Exec&, Rows<bf16>, Rows<const bf16>, float, std::uint32_t, Size);

}  // namespace engine::kernels
