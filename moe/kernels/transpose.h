#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// y[j,i] (+)= x[i,j].   x (A,B), y (B,A). Memory-bound, in square tiles.
template <class D, class T>
void transpose(Exec& exec, Rows<T> y, Rows<const T> x, bool add);

}  // namespace moe::kernels
