#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// Expert dropout (Csordás 2023, eq. 22): drawn for every row and expert; a dropped expert's score is 0, without rescaling.
struct ChoiceDropout {
    float rate = 0;
    std::uint32_t site = 0;
    Size first_row = 0;  // of this rank in the whole batch
};

// ids[n,:]: the K largest of s[n,:], falling, ties to the lower index; NaN ranks as −∞.   1 ≤ K ≤ E
//   s (N,E) of S · ids (N,K) · kept (N,K) = ids, −1 where dropout dropped the choice (dropped ones come last); may be null without dropout
//   exact comparisons: the same ids on every device
//   CPU: O(E + K² ln(E/K)) a row up to K = 32, O(E + K ln K) beyond; elsewhere a warp a row, K passes over its E scores
template <class D, class S>
void top_ids(Exec& exec, std::int32_t* ids, std::int32_t* kept, Rows<const S> s, Size K, ChoiceDropout dropout = {});

}  // namespace moe::kernels
