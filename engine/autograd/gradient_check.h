#pragma once
#include "engine/autograd/tape.h"

#include <functional>
#include <string>
#include <vector>

namespace engine {

// The largest difference, relative to the largest gradient of the same input, between the tape's gradients and central differences of
// Σ w∘f(inputs) with fixed random w, in double on the cpu. `inputs` are float64 leaves that need gradients (Var(tensor, true)).
// Differences with step 1e-5 are right to about 1e-9 for smooth f: expect less than 1e-7.
double gradient_error(Exec& exec, const std::vector<Var>& inputs, const std::function<Var(Tape&)>& f);

}  // namespace engine
