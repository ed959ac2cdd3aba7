#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace engine::kernels {

// y = x / (1 − rate) where random_bits(seed, step, site, element) ≥ rate·2³², else 0.  The backward pass is the same call on gradients.
// element = (row in the whole batch)·columns + column: `first_row` is this rank's first row, so the mask does not depend on ranks.
//
//   seed and step come from exec.scalars in device memory · memory-bound, one Philox call for four elements
template <class D, class T>
void dropout(Exec& exec, Rows<T> y, Rows<const T> x, float rate, std::uint32_t site, Size first_row);

}  // namespace engine::kernels
