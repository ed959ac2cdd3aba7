#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// What multiplies a chosen expert's output, from the row's logits z.
enum class Gate : std::uint8_t {
    one,             // 1
    raw,             // z_e
    sigmoid,         // σ(z_e)                         Csordás 2023, eq. 17
    softmax_all,     // softmax over all E logits      "softmax (before top-k)"
    softmax_chosen,  // softmax over the K chosen      "softmax (after top-k)"
    sigmoid_chosen,  // σ(z_e) / Σ_chosen σ(z)         DeepSeek-V3, eq. 13–15
};
struct GateRule {
    Gate gate = Gate::one;
    bool over_kept = false;  // softmax_chosen: divided by what was kept instead of by what was chosen
    double scale = 1;
};

// gates[n,k] = scale·α of expert ids[n,k], 0 where kept[n,k] < 0.
//   z (N,E) of S, empty for `one` · ids, kept (N,K) · gates (N,K) of S · a row's sums in order
template <class D, class S>
void gates(Exec& exec, S* gates, Rows<const S> z, const std::int32_t* ids, const std::int32_t* kept, Size N, Size K, GateRule rule);

// dz (N,E) is set to the gates' gradient, zeros included. A choice that was not kept takes part only through the divisor.
template <class D, class S>
void gates_backward(Exec& exec, Rows<S> dz, const S* dgates, Rows<const S> z, const std::int32_t* ids, const std::int32_t* kept, Size K,
                    GateRule rule);

}  // namespace moe::kernels
