#include "moe/kernels/noisy_logits.h"

#include "engine/base/threads.h"
#include "moe/kernels/noisy_element.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr Size kNoisyRows = 64;

}  // namespace ENGINE_DEVICE

template <class D, class S>
void noisy_logits(Exec& exec, Rows<S> h, Rows<const S> z, Rows<const S> s, std::uint32_t site, Size first_row) {
    NoiseDraw draw{exec.scalars->seed, exec.scalars->step, site, first_row, z.columns};
    engine::parallel_blocks(z.rows, kNoisyRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            for (Size e = 0; e < z.columns; ++e) h(n, e) = z(n, e) + draw.at<S>(n, e) * softplus(s(n, e));
        }
    });
}

template <class D, class S>
void noisy_logits_backward(Exec& exec, Rows<S> ds, Rows<const S> dh, Rows<const S> s, std::uint32_t site, Size first_row) {
    NoiseDraw draw{exec.scalars->seed, exec.scalars->step, site, first_row, s.columns};
    engine::parallel_blocks(s.rows, kNoisyRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            for (Size e = 0; e < s.columns; ++e) ds(n, e) = dh(n, e) * draw.at<S>(n, e) * logistic(s(n, e));
        }
    });
}

#define INSTANTIATE(S)                                                                                      \
    template void noisy_logits<Here, S>(Exec&, Rows<S>, Rows<const S>, Rows<const S>, std::uint32_t, Size); \
    template void noisy_logits_backward<Here, S>(Exec&, Rows<S>, Rows<const S>, Rows<const S>, std::uint32_t, Size);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace moe::kernels
