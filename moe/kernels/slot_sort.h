#pragma once
#include "engine/base/exec.h"

namespace moe::kernels {

using engine::Exec;
using engine::Size;

// The stable sort of R choices by the row of a table that each chose.
//   ids (R) int32 in [0, M) · order (R): indices of choices · offsets (M+1): row m was chosen by order[offsets[m] … offsets[m+1]),
//   ascending integers only, the same on every device CPU: a counting sort, O(R + M), one histogram a thread; elsewhere a radix sort, four
//   bits a pass, no atomics
// Tables have up to 2³¹ rows and any number of elements; R < 2³¹.
template <class D>
void slot_sort(Exec& exec, std::int32_t* offsets, std::int32_t* order, const std::int32_t* ids, Size R, Size M);

}  // namespace moe::kernels
