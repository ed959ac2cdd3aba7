#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// What multiplies a chosen expert's output.
enum class Gate : std::uint8_t {
    one,             // 1
    sigmoid,         // σ(z_e)                       Csordás 2023, eq. 17
    softmax_all,     // softmax over all E logits    "softmax (before top-k)"
    softmax_chosen,  // softmax over the K chosen    "softmax (after top-k)"
};

// Expert dropout (Csordás 2023, eq. 22): drawn for every row and expert; a dropped expert's score is 0, without rescaling.
struct ChoiceDropout {
    float rate = 0;
    std::uint32_t site = 0;
    Size first_row = 0;  // of this rank in the whole batch
};

// ids[n,:]: the K experts with the largest logits, falling, ties to the lower index; dropped ones come last and have gate 0.
//   z (N,E) of S · ids (N,K) · gates (N,K) of S · exact comparisons: the same ids on every device
template <class D, class S>
void choose(Exec& exec, std::int32_t* ids, S* gates, Rows<const S> z, Size K, Gate gate, ChoiceDropout dropout);

// dz (N,E) is set to the gates' gradient, zeros included.
template <class D, class S>
void choose_backward(Exec& exec, Rows<S> dz, const S* dgates, const std::int32_t* ids, const S* gates, Rows<const S> z, Size K, Gate gate);

}  // namespace moe::kernels
