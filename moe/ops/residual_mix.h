#pragma once
#include "engine/autograd/tape.h"

namespace moe::ops {

// y + (1 − α)∘x (moe/kernels/residual_mix.h).  y, x (N,C); alpha (N,1) of Sum dtype.
engine::Var residual_mix(engine::Tape& tape, const engine::Var& y_NC, const engine::Var& x_NC, const engine::Var& alpha_N1);

}  // namespace moe::ops
