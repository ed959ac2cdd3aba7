#pragma once
#include "engine/base/exec.h"

namespace engine::kernels {

// norm[0] = √Σ g², in double over blocks of 4096 elements in order.   g: n of S.
// clip_factor = min(1, clip / (norm + 1e-6)), 1 where clip is 0; written to the step's scalars. A norm that is not finite gives factor 0.
template <class D, class S>
void clip_by_norm(Exec& exec, StepScalars* scalars, double* norm, const S* g, Size n, double clip);

// Puts a step's values into device memory. They travel with the call: nothing waits.
template <class D>
void write_scalars(Exec& exec, StepScalars* to, const StepScalars& values);

}  // namespace engine::kernels
