#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/noisy_element.h"
#include "moe/kernels/noisy_logits.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

// One thread an element.
template <class S>
__global__ void noisy_logits_kernel(Rows<S> h, Rows<const S> z, Rows<const S> s, std::uint32_t site, Size first_row,
                                    const engine::StepScalars* scalars) {
    Size i = engine::element_index();
    if (i >= z.rows * z.columns) return;
    Size n = i / z.columns, e = i % z.columns;
    NoiseDraw draw{scalars->seed, scalars->step, site, first_row, z.columns};
    h(n, e) = z(n, e) + draw.at<S>(n, e) * softplus(s(n, e));
}

template <class S>
__global__ void noisy_logits_backward_kernel(Rows<S> ds, Rows<const S> dh, Rows<const S> s, std::uint32_t site, Size first_row,
                                             const engine::StepScalars* scalars) {
    Size i = engine::element_index();
    if (i >= s.rows * s.columns) return;
    Size n = i / s.columns, e = i % s.columns;
    NoiseDraw draw{scalars->seed, scalars->step, site, first_row, s.columns};
    ds(n, e) = dh(n, e) * draw.at<S>(n, e) * logistic(s(n, e));
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void noisy_logits(Exec& exec, Rows<S> h, Rows<const S> z, Rows<const S> s, std::uint32_t site, Size first_row) {
    engine::launch("noisy_logits_kernel", noisy_logits_kernel<S>, engine::element_grid(z.rows * z.columns), engine::kElementThreads, 0,
                   exec.stream, h, z, s, site, first_row, exec.scalars);
}

template <class D, class S>
void noisy_logits_backward(Exec& exec, Rows<S> ds, Rows<const S> dh, Rows<const S> s, std::uint32_t site, Size first_row) {
    engine::launch("noisy_logits_backward_kernel", noisy_logits_backward_kernel<S>, engine::element_grid(s.rows * s.columns),
                   engine::kElementThreads, 0, exec.stream, ds, dh, s, site, first_row, exec.scalars);
}

template void noisy_logits<Here, float>(Exec&, Rows<float>, Rows<const float>, Rows<const float>, std::uint32_t, Size);
template void noisy_logits_backward<Here, float>(Exec&, Rows<float>, Rows<const float>, Rows<const float>, std::uint32_t, Size);

}  // namespace moe::kernels
