#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace engine::kernels {

// y[c] (+)= Σ_n x[n,c].  x (N,C), y (C).  Blocks of 64 rows in order (of 256 off the CPU), then the blocks in order. A bias's gradient.
template <class D, class T>
void column_sum(Exec& exec, Sum<T>* y, Rows<const T> x, bool add);

}  // namespace engine::kernels
