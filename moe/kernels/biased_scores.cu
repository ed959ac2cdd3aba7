#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/biased_scores.h"
#include "moe/kernels/biased_scores_row.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

// One thread a row.
template <class S>
__global__ void biased_scores_kernel(Rows<S> keys, Rows<const S> z, const S* bias, GroupRule rule) {
    Size n = engine::element_index();
    if (n < z.rows) biased_row(keys.row(n), z.row(n), bias, z.columns, rule);
}

template <class S>
__global__ void move_bias_kernel(S* next, const S* bias, const S* counts, Size E, S target, S rate) {
    Size e = engine::element_index();
    if (e < E) next[e] = moved_bias(bias[e], counts[e], target, rate);
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void biased_scores(Exec& exec, Rows<S> keys, Rows<const S> z, const S* bias, GroupRule rule) {
    engine::launch("biased_scores_kernel", biased_scores_kernel<S>, engine::element_grid(z.rows), engine::kElementThreads, 0, exec.stream,
                   keys, z, bias, rule);
}

template <class D, class S>
void move_bias(Exec& exec, S* next, const S* bias, const S* counts, Size E, double target, double rate) {
    engine::launch("move_bias_kernel", move_bias_kernel<S>, engine::element_grid(E), engine::kElementThreads, 0, exec.stream, next, bias,
                   counts, E, static_cast<S>(target), static_cast<S>(rate));
}

template void biased_scores<Here, float>(Exec&, Rows<float>, Rows<const float>, const float*, GroupRule);
template void move_bias<Here, float>(Exec&, float*, const float*, const float*, Size, double, double);

}  // namespace moe::kernels
