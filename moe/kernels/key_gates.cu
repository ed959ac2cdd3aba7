#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/key_gates.h"
#include "moe/kernels/key_gates_group.h"

#include <cmath>

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

struct ExactExp {
    ENGINE_BOTH float operator()(float x) const { return std::exp(x); }
};

// One thread a group.
__global__ void key_gates_kernel(Rows<float> gates, Rows<const float> scores, Size group, KeyGate kind) {
    Size i = engine::element_index(), groups = scores.columns / group;
    if (i >= scores.rows * groups) return;
    Size n = i / groups, j = i % groups * group;
    group_gates(gates.row(n) + j, scores.row(n) + j, group, kind, ExactExp{});
}

__global__ void key_gates_backward_kernel(Rows<float> dscores, Rows<const float> dgates, Rows<const float> gates, Size group,
                                          KeyGate kind) {
    Size i = engine::element_index(), groups = gates.columns / group;
    if (i >= gates.rows * groups) return;
    Size n = i / groups, j = i % groups * group;
    group_gates_backward(dscores.row(n) + j, dgates.row(n) + j, gates.row(n) + j, group, kind);
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void key_gates(Exec& exec, Rows<S> gates, Rows<const S> scores, Size group, KeyGate kind) {
    engine::launch("key_gates_kernel", key_gates_kernel, engine::element_grid(scores.rows * (scores.columns / group)),
                   engine::kElementThreads, 0, exec.stream, gates, scores, group, kind);
}

template <class D, class S>
void key_gates_backward(Exec& exec, Rows<S> dscores, Rows<const S> dgates, Rows<const S> gates, Size group, KeyGate kind) {
    engine::launch("key_gates_backward_kernel", key_gates_backward_kernel, engine::element_grid(gates.rows * (gates.columns / group)),
                   engine::kElementThreads, 0, exec.stream, dscores, dgates, gates, group, kind);
}

template void key_gates<Here, float>(Exec&, Rows<float>, Rows<const float>, Size, KeyGate);
template void key_gates_backward<Here, float>(Exec&, Rows<float>, Rows<const float>, Rows<const float>, Size, KeyGate);

}  // namespace moe::kernels
