#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// What multiplies a chosen slot, from its score.
enum class KeyGate : std::uint8_t {
    softmax,  // over the scores of a group: of one head, or of all       Lample et al. 2019, eq. 3
    sigmoid,
    relu,  // Csordás 2023, sec. 3.2
};

// gates, scores (N,J) of S; a row's scores are J/group groups of neighbours. Memory-bound; sums of a group in order.
template <class D, class S>
void key_gates(Exec& exec, Rows<S> gates, Rows<const S> scores, Size group, KeyGate kind);

// softmax: ds = g·(dg − Σ_group g·dg)   sigmoid: dg·g·(1−g)   relu: dg where g > 0, else 0
template <class D, class S>
void key_gates_backward(Exec& exec, Rows<S> dscores, Rows<const S> dgates, Rows<const S> gates, Size group, KeyGate kind);

}  // namespace moe::kernels
