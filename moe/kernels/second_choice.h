#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// How GShard takes a row's second expert.
enum class Second : std::uint8_t {
    all,       // the largest logit of the rest
    sampling,  // the largest of logit + Gumbel noise of the rest
    random,    // as `all`, kept with probability min(1, 2·p₂), p₂ its softmax (Lepikhin 2020, alg. 1)
};

// ids[n] = (first, second) with first the largest logit, ties to the lower index; kept the same, −1 for a second that chance dropped.
//   z (N,E) of S, E ≥ 2 · ids, kept (N,2) int32 · seed and step come from exec.scalars unless `second` is all; first_row is this rank's
//   exact comparisons with random numbers in plain arithmetic: the same ids on every device
template <class D, class S>
void second_choice(Exec& exec, std::int32_t* ids, std::int32_t* kept, Rows<const S> z, Second second, std::uint32_t site, Size first_row);

}  // namespace moe::kernels
