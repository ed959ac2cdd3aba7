#pragma once
#include "engine/base/exec.h"

namespace moe::kernels {

using engine::Exec;
using engine::Size;

// Expert capacity (Fedus 2021, sec. 2.2; Lepikhin 2020, alg. 1): out[n,k] = ids[n,k] where that choice gets one of its expert's `seats`,
// else −1. Seats are filled by all first choices in row order, then by all second choices in row order, and so on.
//   ids, out (N,K) int32, ids −1: no choice, takes no seat · integers only: the same on every device
template <class D>
void take_seats(Exec& exec, std::int32_t* out, const std::int32_t* ids, Size N, Size K, Size E, Size seats);

}  // namespace moe::kernels
