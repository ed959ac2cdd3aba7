#pragma once
#include "engine/autograd/tape.h"

namespace engine::ops {

// Rows of x (…,C) normalised, times weight (C), plus bias (C). engine/kernels/layer_norm.h has the formulas.
Var layer_norm(Tape& tape, const Var& x, const Var& weight_C, const Var& bias_C, double eps);
// Without mean and bias.
Var rms_norm(Tape& tape, const Var& x, const Var& weight_C, double eps);

}  // namespace engine::ops
